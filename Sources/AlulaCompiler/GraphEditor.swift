import AlulaGraph

/// A graph under rewriting: nodes are fused into later ones, then dead nodes and constants are dropped.
struct GraphEditor {
    var graph: Graph
    private(set) var producers: [Int]
    private var useCounts: [Int]
    private var isDead: [Bool]
    /// New nodes, in order, each to stand before an old one.
    private var insertions: [(place: Int, node: Node)] = []

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

    /// Adds a node that is computed before node `place`, and gives its result. The new node has no index: `producer` does not find it.
    mutating func insert(_ op: Operator, _ inputs: [ValueID], before place: Int) throws(CompilerError) -> ValueID {
        do throws(GraphError) {
            let result = try graph.add(op, inputs)
            let node = graph.nodes.removeLast()
            insertions.append((place, node))
            count(node.inputs, 1)
            return result
        } catch { throw .graph(error) }
    }

    /// Replaces node `index` by another that computes the same results, swallowing `producer`, whose result nobody else reads.
    mutating func fuse(_ producer: Int, into index: Int, _ op: Operator, _ inputs: [ValueID]) {
        remove(producer)
        replace(index, op, inputs)
    }

    mutating func replace(_ index: Int, _ op: Operator, _ inputs: [ValueID]) {
        count(graph.nodes[index].inputs, -1)
        count(inputs, 1)
        var operands = inputs
        while operands.last == ValueID.none { operands.removeLast() }
        graph.nodes[index].op = op
        graph.nodes[index].inputs = operands
    }

    /// Lets every reader of `old` read `new`, which is defined before them.
    mutating func replaceUses(of old: ValueID, with new: ValueID) {
        let renamed = { (id: ValueID) in id == old ? new : id }
        for index in graph.nodes.indices where !isDead[index] {
            count(graph.nodes[index].inputs.filter { $0 == old }.map { _ in new }, 1)
            graph.nodes[index].inputs = graph.nodes[index].inputs.map(renamed)
        }
        for index in insertions.indices {
            count(insertions[index].node.inputs.filter { $0 == old }.map { _ in new }, 1)
            insertions[index].node.inputs = insertions[index].node.inputs.map(renamed)
        }
        count(graph.outputs.filter { $0 == old }.map { _ in new }, 1)
        graph.setOutputs(graph.outputs.map(renamed))
        useCounts[Int(old.index)] = 0
    }

    /// Takes out node `index`, whose one result is the same as its operand `x`. A result of the graph keeps its name: what computes `x` then
    /// computes it, unless `x` is an input, a constant or a result itself.
    mutating func bypass(_ index: Int, _ x: ValueID) {
        let result = graph.nodes[index].outputs[0]
        guard graph.outputs.contains(result) else {
            remove(index)
            return replaceUses(of: result, with: x)
        }
        let isOld = producer(x) != nil
        let inserted = insertions.firstIndex { $0.node.outputs.contains(x) }
        guard !graph.outputs.contains(x), isOld || inserted != nil else { return }
        let renamed = { (id: ValueID) in id == x ? result : id }
        if let producer = producer(x) {
            graph.nodes[producer].outputs = graph.nodes[producer].outputs.map(renamed)
            producers[Int(result.index)] = producer
        } else if let inserted {
            insertions[inserted].node.outputs = insertions[inserted].node.outputs.map(renamed)
            producers[Int(result.index)] = -1
        }
        remove(index)
        replaceUses(of: x, with: result)
    }

    private mutating func remove(_ index: Int) {
        guard !isDead[index] else { return }
        isDead[index] = true
        count(graph.nodes[index].inputs, -1)
    }

    /// Only values of the original graph are counted.
    private mutating func count(_ ids: [ValueID], _ change: Int) {
        for id in ids where !id.isNone && Int(id.index) < useCounts.count { useCounts[Int(id.index)] += change }
    }

    /// The graph without what is no longer needed. Constants that ended up with the same name are told apart by a suffix.
    func finished() -> Graph {
        var result = graph
        result.nodes = []
        var next = 0
        let inserted = insertions.enumerated().sorted { ($0.element.place, $0.offset) < ($1.element.place, $1.offset) }
        for index in graph.nodes.indices {
            while next < inserted.count, inserted[next].element.place == index {
                result.nodes.append(inserted[next].element.node)
                next += 1
            }
            if !isDead[index] { result.nodes.append(graph.nodes[index]) }
        }
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

    /// A constant of the same shape as constant `id`, computed from it.
    mutating func derived(_ id: ValueID, _ suffix: String, _ values: [Float]) -> ValueID {
        addFloats(self[id].name + "." + suffix, shape(id), values)
    }

    /// The value of a constant with one element.
    func scalar(_ id: ValueID) -> Float? {
        guard !id.isNone, shape(id).elementCount == 1 else { return nil }
        return floats(id)?.first
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
