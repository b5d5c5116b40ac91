import AlulaGraph

/// Low-rank adapters: layers `x Wᵀ` learn `x Wᵀ + alpha / rank · x Aᵀ Bᵀ` with small A and B while W stays (Hu et al., arXiv 2106.09685).
/// Linear layers and 1x1 convolutions can have them; merged, they are the same layers with other weights.
public struct LowRankAdapters: Sendable, Equatable {
    public var rank: Int
    public var alpha: Float
    /// Weights of the layers that get one.
    public var layers: [NamePattern]
    /// Other parameters that are trained as well, such as a new head's.
    public var alsoTrained: [NamePattern]

    public init(
        rank: Int = 8, alpha: Float = 16, layers: [NamePattern] = [NamePattern("*")], alsoTrained: [NamePattern] = []
    ) {
        (self.rank, self.alpha, self.layers, self.alsoTrained) = (rank, alpha, layers, alsoTrained)
    }

    private static let suffixes = (a: ".lora_a", b: ".lora_b")
    private var factor: Float { alpha / Float(rank) }

    /// Whether a parameter of an adapted graph is trained.
    func trains(_ name: String) -> Bool {
        name.hasSuffix(Self.suffixes.a) || name.hasSuffix(Self.suffixes.b) || alsoTrained.contains { $0.matches(name) }
    }

    /// The graph with adapters. A is drawn uniformly from `±1/√inputs` by `seed`, B is 0: at first the graph computes what it did.
    public func adding(to graph: Graph, seed: UInt64) throws(TrainingError) -> Graph {
        guard (1...4096).contains(rank), alpha.isFinite else {
            throw .invalidOption(
                name: "adapters", problem: "rank \(rank) is not within 1...4096, or alpha is not a number")
        }
        var copy = try GraphCopy(graph)
        var random = SplitMix64(seed: seed)
        var pairs: [ValueID: (a: ValueID, b: ValueID)] = [:]
        for node in graph.nodes {
            guard let weight = adaptedWeight(node, graph) else {
                try copy.copy(node)
                continue
            }
            let shape = graph.shape(weight)
            if pairs[weight] == nil {
                let bound = 1 / Float(shape.last).squareRoot()
                let numbers = (0..<rank * shape.last).map { _ in (Float(random.next() >> 40) * 0x1p-23 - 1) * bound }
                var (first, second) = (shape, shape)
                first[0] = rank
                second[second.rank - 1] = rank
                let name = graph[weight].name
                pairs[weight] = (
                    copy.graph.addConstant(
                        name + Self.suffixes.a, TensorType(.f32, first), TensorData(elements: numbers)),
                    copy.graph.addConstant(
                        name + Self.suffixes.b, TensorType(.f32, second),
                        TensorData(elements: [Float](repeating: 0, count: second.elementCount)))
                )
            }
            let pair = pairs[weight]!
            let x = copy[node.inputs[0]]
            let whole = try copy.graph.emit(node.op, copy.operands(node))
            var plain = Operator.linear(Linear())
            if case .conv2D(let conv) = node.op { plain = .conv2D(Conv2D(stride: conv.stride)) }
            let inner = try copy.graph.emit(plain, [x, pair.a])
            let last: Operator = if case .linear = node.op { .linear(Linear()) } else { .conv2D(Conv2D()) }
            let branch = try copy.graph.emit(last, [inner, pair.b])
            let number = copy.graph.addTrainingConstant([1], [factor])
            let scaled = try copy.graph.emit(.binary(Binary(.mul)), [branch, number])
            try copy.add(.binary(Binary(.add)), [whole, scaled], for: node)
        }
        guard !pairs.isEmpty else {
            throw .noMatch(
                pattern: layers.map(\.text).joined(separator: ", "),
                problem: "names no linear layer or 1x1 convolution")
        }
        return copy.finished()
    }

    private func adaptedWeight(_ node: Node, _ graph: Graph) -> ValueID? {
        switch node.op {
        case .linear(let op) where op.activation == nil && node.input(WeightedOperand.residual).isNone: break
        case .conv2D(let op) where op.activation == nil && node.input(WeightedOperand.residual).isNone:
            guard op.groups == 1, op.padding.isZero, graph.shape(node.inputs[1]).count(1..<3) == 1 else { return nil }
        default: return nil
        }
        let weight = node.inputs[WeightedOperand.weight]
        guard graph[weight].constant?.data != nil, graph.type(weight).dataType == .f32 else { return nil }
        return layers.contains { $0.matches(graph[weight].name) } ? weight : nil
    }

    /// `original` with what `adapted`, made from it by `adding` and trained, learned: other constants as they are there, weights with their adapters' products.
    public func merging(_ adapted: Graph, into original: Graph) -> Graph {
        var result = original
        let constants = Dictionary(uniqueKeysWithValues: adapted.constants.map { (adapted[$0].name, $0) })
        for id in original.constants {
            let name = original[id].name
            guard let own = constants[name], let data = adapted[own].constant?.data else { continue }
            result[id].constant?.data = data
            guard let a = constants[name + Self.suffixes.a], let b = constants[name + Self.suffixes.b],
                let first = adapted[a].constant?.data?.array(of: Float.self),
                let second = adapted[b].constant?.data?.array(of: Float.self)
            else { continue }
            var weight = data.array(of: Float.self)
            let (outputs, inputs) = (original.shape(id)[0], original.shape(id).last)
            for o in 0..<outputs {
                for i in 0..<inputs {
                    let sum = (0..<rank).reduce(0.0) {
                        $0 + Double(second[o * rank + $1]) * Double(first[$1 * inputs + i])
                    }
                    weight[o * inputs + i] += Float(Double(factor) * sum)
                }
            }
            result[id].constant?.data = TensorData(elements: weight)
        }
        return result
    }
}
