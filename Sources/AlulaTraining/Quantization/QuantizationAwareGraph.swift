import AlulaCompiler
import AlulaGraph

/// A float graph that computes with the rounding of the int8 graph it will become, so that training makes up for it (Jacob et al., arXiv 1712.05877).
///
/// It follows the int8 graph that `Quantizer` makes of the folded float graph: every value that is u8 there is quantized and dequantized here, in front
/// of activation tables too, and weights that are s8 there are rounded to their channel's scale. Gradients pass rounding unchanged, and stop where a value is
/// clipped (straight-through, Bengio et al., arXiv 1308.3432). Batch norms are folded before.
public struct QuantizationAwareGraph {
    /// What is trained, for one sample: pass it to `TrainingSession` with `options` prepared by `prepare`.
    public let graph: Graph
    /// The folded float graph.
    private let folded: Graph
    private let calibration: Calibration
    private let options: Quantizer.Options
    private var stopped: Set<String> = []

    /// - Parameters:
    ///   - folded: a float graph after `Pass.folding`.
    ///   - calibration: observations of the same graph: they give the ranges.
    public init(_ folded: Graph, _ calibration: Calibration, options: Quantizer.Options = .init()) throws(TrainingError)
    {
        (self.folded, self.calibration) = (folded, calibration)
        var options = options
        // Training moves biases to where they fit.
        options.correctsBiases = false
        self.options = options
        let int8 = try QuantizationAwareGraph.quantize(folded, calibration, options)
        let plain = try folded.unfused()
        var (ranges, innerRanges, weights): ([String: Quantization], [String: Quantization], Set<String>) = (
            [:], [:], []
        )
        for value in int8.values where !value.name.isEmpty {
            if let own = value.type.quantization { ranges[value.name] = own }
            if value.constant != nil, value.type.dataType == .s8 { weights.insert(value.name) }
        }
        for node in int8.nodes {
            let name = int8[node.outputs[0]].name
            switch node.op {
            case .conv2D(let op): innerRanges[name] = op.preActivation
            case .linear(let op): innerRanges[name] = op.preActivation
            default: break
            }
        }
        var copy = try GraphCopy(plain)
        for id in plain.inputs + plain.constants {
            let name = plain[id].name
            if weights.contains(name) {
                let difference = "rounding of " + name
                copy[id] = try copy.graph.rounded(copy[id], difference: difference)
                stopped.insert(difference)
            } else if let own = ranges[name], plain.type(id).dataType == .f32 {
                copy[id] = copy.graph.quantized(copy[id], own)
            }
        }
        for node in plain.nodes {
            let name = plain[node.outputs[0]].name
            if case .unary = node.op, let inner = innerRanges[name] {
                let x = copy.graph.quantized(copy[node.inputs[0]], inner)
                try copy.add(node.op, [x] + copy.operands(node).dropFirst(), for: node)
            } else {
                try copy.copy(node)
            }
            for id in node.outputs {
                guard let own = ranges[plain[id].name], !copy.graph.isQuantized(copy[id], own) else { continue }
                copy[id] = copy.graph.quantized(copy[id], own)
            }
        }
        graph = copy.finished()
        do throws(GraphError) { try graph.verify() } catch { throw .graph(error) }
    }

    /// What training this graph needs beside the caller's wishes.
    public func prepare(_ options: inout TrainingOptions) { options.stoppedGradients = stopped }

    /// The folded float graph with the constants of a trained `graph`.
    public func foldedGraph(_ trained: Graph) -> Graph {
        var result = folded
        let constants = Dictionary(uniqueKeysWithValues: trained.constants.map { (trained[$0].name, $0) })
        for id in folded.constants {
            guard let own = constants[folded[id].name], let data = trained[own].constant?.data else { continue }
            result[id].constant?.data = data
        }
        return result
    }

    /// The int8 graph of a trained `graph`, with the ranges it was trained with and plain weight layout.
    public func quantized(_ trained: Graph) throws(TrainingError) -> Graph {
        try QuantizationAwareGraph.quantize(foldedGraph(trained), calibration, options)
    }

    private static func quantize(
        _ graph: Graph, _ calibration: Calibration, _ options: Quantizer.Options
    ) throws(TrainingError) -> Graph {
        do throws(CompilerError) { return try Quantizer.quantize(graph, calibration, options: options) } catch {
            throw .compiler(error)
        }
    }
}

extension Graph {
    /// `x`, rounded to u8 and back.
    fileprivate mutating func quantized(_ x: ValueID, _ quantization: Quantization) -> ValueID {
        let bytes = addNode(.quantize(Quantize()), [x], types: [TensorType(.u8, shape(x), quantization)])[0]
        return addNode(.dequantize(Dequantize()), [bytes], types: [TensorType(.f32, shape(x))])[0]
    }

    /// Whether `x` was only moved since it was rounded to the same numbers.
    fileprivate func isQuantized(_ x: ValueID, _ quantization: Quantization) -> Bool {
        guard let node = nodes.last(where: { $0.outputs.contains(x) }), let first = node.inputs.first else {
            return false
        }
        if case .dequantize = node.op { return type(first).quantization == quantization }
        guard case .movement = node.op.numericRule, node.op.isVariadic == false else { return false }
        return isQuantized(first, quantization)
    }

    /// Weights rounded to `max |w| / 127` of each output channel, as `w + (rounded - w)`: training takes the difference for constant.
    fileprivate mutating func rounded(_ weight: ValueID, difference name: String) throws(TrainingError) -> ValueID {
        let axes = Array(1..<shape(weight).rank)
        let size = try emit(.unary(Unary(.abs)), [weight])
        let largest = try emit(.reduce(Reduce(.maximum, axes: axes, keepsAxes: true)), [size])
        let step = try emit(.binary(Binary(.div)), [largest, addTrainingConstant([1], [127])])
        let scale = try emit(.binary(Binary(.max)), [step, addTrainingConstant([1], [1e-30])])
        let levels = try emit(.unary(Unary(.round)), [emit(.binary(Binary(.div)), [weight, scale])])
        let rounded = try emit(.binary(Binary(.mul)), [levels, scale])
        let difference = try emit(.binary(Binary(.sub)), [rounded, weight], name: name)
        return try emit(.binary(Binary(.add)), [weight, difference])
    }
}
