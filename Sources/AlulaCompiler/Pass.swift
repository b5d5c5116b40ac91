import AlulaGraph
import AlulaRuntime

/// Why compilation failed.
public enum CompilerError: Error, Equatable {
    case graph(GraphError)
    case runtime(RuntimeError)
    /// No observation of a value that must be quantized: the calibration ran on another graph.
    case notCalibrated(value: String)
    /// A value was NaN or infinite while calibrating.
    case notFinite(value: String)
    /// `--after` names no pass.
    case unknownPass(name: String, known: [String])
    /// Calibration needs at least one sample.
    case noSamples

    public var message: String {
        switch self {
        case .graph(let error): error.message
        case .runtime(let error): error.message
        case .notCalibrated(let value): "value %\(value) was not seen while calibrating"
        case .notFinite(let value): "value %\(value) is NaN or infinite on the calibration data"
        case .unknownPass(let name, let known):
            "no pass is called \(name); the passes are \(known.joined(separator: ", "))"
        case .noSamples: "no calibration samples"
        }
    }
}

/// A named step from graph to graph. `alula inspect --after NAME` shows the graph behind each.
public struct Pass: Sendable {
    public let name: String
    package let run: @Sendable (Graph) throws(CompilerError) -> Graph

    /// The float passes, in order. What they give is what calibration observes.
    public static let folding: [Pass] = [
        Pass(name: "fold-constants", run: foldConstants),
        Pass(name: "fold-batch-norm", run: foldBatchNorm),
        Pass(name: "fuse-pool-mixer", run: fusePoolMixer),
        Pass(name: "fold-parallel-linear", run: foldParallelLinear),
        Pass(name: "fold-scale", run: foldScale),
        Pass(name: "layout", run: simplifyLayout),
        Pass(name: "fuse-residual", run: fuseResidual),
        Pass(name: "name-results", run: { (graph) throws(CompilerError) in graph.withNamedResults() }),
    ]

    /// What a float graph gets on top before it runs. The quantizer fuses activations itself, since it needs the range before them.
    public static let floatOnly: [Pass] = [
        Pass(name: "fuse-activation", run: fuseActivation),
        Pass(name: "pack", run: packWeights),
    ]

    /// Runs passes in order, verifying the graph after each.
    public static func run(_ passes: [Pass], on graph: Graph, after last: String? = nil) throws(CompilerError) -> Graph
    {
        if let last, !passes.contains(where: { $0.name == last }) {
            throw .unknownPass(name: last, known: passes.map(\.name))
        }
        var result = graph
        for pass in passes {
            result = try pass.run(result)
            do throws(GraphError) { try result.verify() } catch { throw .graph(error) }
            if pass.name == last { break }
        }
        return result
    }
}

// MARK: Editing graphs

/// A graph under rewriting: nodes are fused into later ones, then dead nodes and constants are dropped.
struct GraphEditor {
    var graph: Graph
    private(set) var producers: [Int]
    private var useCounts: [Int]
    private var isDead: [Bool]

    init(_ graph: Graph) {
        self.graph = graph
        producers = graph.producers()
        isDead = [Bool](repeating: false, count: graph.nodes.count)
        useCounts = [Int](repeating: 0, count: graph.values.count)
        for node in graph.nodes { for id in node.inputs where !id.isNone { useCounts[Int(id.index)] += 1 } }
        for id in graph.outputs { useCounts[Int(id.index)] += 1 }
    }

    /// The index of the live node that computes `id`, nil for inputs and constants.
    func producer(_ id: ValueID) -> Int? {
        guard !id.isNone, Int(id.index) < producers.count, producers[Int(id.index)] >= 0 else { return nil }
        let index = producers[Int(id.index)]
        return isDead[index] ? nil : index
    }

    func hasSingleUse(_ id: ValueID) -> Bool { Int(id.index) < useCounts.count && useCounts[Int(id.index)] == 1 }

    /// Replaces node `index` by another that computes the same results, swallowing `producer`, whose result nobody else reads.
    mutating func fuse(_ producer: Int, into index: Int, _ op: Operator, _ inputs: [ValueID]) {
        if !isDead[producer] {
            isDead[producer] = true
            for id in graph.nodes[producer].inputs where !id.isNone && Int(id.index) < useCounts.count {
                useCounts[Int(id.index)] -= 1
            }
        }
        replace(index, op, inputs)
    }

    mutating func replace(_ index: Int, _ op: Operator, _ inputs: [ValueID]) {
        for id in graph.nodes[index].inputs where !id.isNone && Int(id.index) < useCounts.count {
            useCounts[Int(id.index)] -= 1
        }
        for id in inputs where !id.isNone && Int(id.index) < useCounts.count { useCounts[Int(id.index)] += 1 }
        var operands = inputs
        while operands.last == ValueID.none { operands.removeLast() }
        graph.nodes[index].op = op
        graph.nodes[index].inputs = operands
    }

    /// Lets every reader of `old` read `new`, which is defined before them.
    mutating func replaceUses(of old: ValueID, with new: ValueID) {
        for index in graph.nodes.indices where !isDead[index] {
            for place in graph.nodes[index].inputs.indices where graph.nodes[index].inputs[place] == old {
                graph.nodes[index].inputs[place] = new
                useCounts[Int(new.index)] += 1
            }
        }
        graph.setOutputs(graph.outputs.map { $0 == old ? new : $0 })
        useCounts[Int(old.index)] = 0
    }

    /// The graph without what is no longer needed. Constants that ended up with the same name are told apart by a suffix.
    func finished() -> Graph {
        var result = graph
        result.nodes = graph.nodes.indices.filter { !isDead[$0] }.map { graph.nodes[$0] }
        return result.pruned().withUniqueConstantNames()
    }
}

extension Graph {
    /// The f32 elements of a plain constant, or nil for any other value.
    func floats(_ id: ValueID) -> [Float]? {
        guard !id.isNone, let constant = self[id].constant, constant.layout == .plain, type(id).dataType == .f32,
            let data = constant.data
        else { return nil }
        return data.array(of: Float.self)
    }

    mutating func addFloats(_ name: String, _ shape: Shape, _ values: [Float]) -> ValueID {
        addConstant(name, TensorType(.f32, shape), TensorData(elements: values))
    }

    func withUniqueConstantNames() -> Graph {
        var result = self
        var seen: Set<String> = []
        for id in constants {
            var name = self[id].name
            var suffix = 1
            while !seen.insert(name).inserted {
                name = self[id].name + ".\(suffix)"
                suffix += 1
            }
            result[id].name = name
        }
        return result
    }
}

/// The weights of a convolution or linear layer as rows of one output channel each.
struct WeightRows {
    var values: [Float]
    let rows: Int
    var length: Int { values.count / max(rows, 1) }

    /// Multiplies each output channel by its factor.
    mutating func scale(_ factors: [Double]) {
        for row in 0..<rows {
            for index in row * length..<(row + 1) * length {
                values[index] = Float(Double(values[index]) * factors[row])
            }
        }
    }
}

extension Operator {
    /// The activation of a convolution or linear layer, nil for every other operator.
    var isWeighted: Bool {
        switch self {
        case .conv2D, .linear: true
        default: false
        }
    }

    var weightedActivation: Activation {
        switch self {
        case .conv2D(let conv): conv.activation
        case .linear(let linear): linear.activation
        default: nil
        }
    }

    func withActivation(_ activation: Activation, preActivation: Quantization? = nil) -> Operator {
        switch self {
        case .conv2D(var conv):
            (conv.activation, conv.preActivation) = (activation, preActivation)
            return .conv2D(conv)
        case .linear(var linear):
            (linear.activation, linear.preActivation) = (activation, preActivation)
            return .linear(linear)
        default: return self
        }
    }
}
