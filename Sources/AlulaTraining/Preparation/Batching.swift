import AlulaGraph

extension Graph {
    /// The graph for `count` samples at a time, from one for a single sample: inputs `[1,…]` become `[count,…]`.
    ///
    /// Every value that depends on an input carries the samples along one axis, whose size grows by the factor `count`. Samples are the outer part
    /// of that axis: `[1,24,C]` reshaped to windows `[4,6,C]` becomes `[count·4,6,C]`.
    /// - Throws: `notBatchable` for an operator that would mix samples.
    package func batched(_ count: Int) throws(TrainingError) -> Graph {
        guard (1...1 << 16).contains(count) else {
            throw .invalidOption(name: "batch size", problem: "\(count) is not within 1...65536")
        }
        var batching = try Batching(self, count)
        for node in nodes { try batching.add(node) }
        return batching.copy.finished()
    }
}

private struct Batching {
    var copy: GraphCopy
    let count: Int
    /// By value index of the source: the axis of the samples; nil for values that depend on no input.
    var axes: [Int?]

    init(_ source: Graph, _ count: Int) throws(TrainingError) {
        copy = try GraphCopy(source) { (id) throws(TrainingError) in
            var type = source.type(id)
            guard type.shape.rank >= 1, type.shape[0] == 1 else {
                throw .notBatchable(
                    operator: "input", value: source[id].name,
                    reason: "its shape \(type.shape.description) does not begin with one sample")
            }
            type.shape[0] = count
            return type
        }
        self.count = count
        axes = [Int?](repeating: nil, count: source.values.count)
        for id in source.inputs { axes[Int(id.index)] = 0 }
    }

    var source: Graph { copy.source }
    func axis(_ id: ValueID) -> Int? { id.isNone ? nil : axes[Int(id.index)] }

    func refuse(_ node: Node, _ reason: String) -> TrainingError {
        .notBatchable(operator: node.op.name, value: source.displayName(node.outputs[0]), reason: reason)
    }

    mutating func add(_ node: Node) throws(TrainingError) {
        guard let first = node.inputs.first(where: { axis($0) != nil }) else { return try copy.copy(node) }
        let resultAxis = try self.resultAxis(node, first)
        switch node.op {
        case .reshape(var op):
            op.shape[resultAxis] *= count
            try copy.add(.reshape(op), copy.operands(node), for: node)
        case .expand(var op):
            op.shape[resultAxis] *= count
            try copy.add(.expand(op), copy.operands(node), for: node)
        case .concat: try copy.add(node.op, repeatedOperands(node, resultAxis), for: node)
        case .binary, .select: try addElementwise(node, resultAxis)
        default: try copy.copy(node)
        }
        for id in node.outputs {
            var expected = source.shape(id)
            expected[resultAxis] *= count
            guard copy.graph.shape(copy[id]) == expected else {
                throw refuse(node, "its result does not grow with the batch")
            }
            axes[Int(id.index)] = resultAxis
        }
    }

    /// Constants are repeated for each sample.
    private mutating func repeatedOperands(_ node: Node, _ axis: Int) throws(TrainingError) -> [ValueID] {
        var result: [ValueID] = []
        for id in node.inputs {
            guard self.axis(id) == nil else {
                result.append(copy[id])
                continue
            }
            var shape = source.shape(id)
            guard shape[axis] == 1 else { throw refuse(node, "a constant takes part for several samples at once") }
            shape[axis] = count
            result.append(try copy.graph.emit(.expand(Expand(shape)), [copy[id]]))
        }
        return result
    }

    /// A constant with something of its own for each part of the samples' axis (windows) meets the samples one by one.
    private mutating func addElementwise(_ node: Node, _ axis: Int) throws(TrainingError) {
        let result = source.shape(node.outputs[0])
        let (source, axes) = (self.source, self.axes)
        let isUneven = node.inputs.contains { id in
            let place = axis - (result.rank - source.shape(id).rank)
            return axes[Int(id.index)] == nil && place >= 0 && source.shape(id)[place] > 1
        }
        guard isUneven else { return try copy.copy(node) }
        guard axis == 0 else { throw refuse(node, "a constant is different for parts of a sample along axis \(axis)") }
        var operands: [ValueID] = []
        for id in node.inputs {
            guard self.axis(id) != nil else {
                operands.append(copy[id])
                continue
            }
            let shape = source.shape(id).dimensions
            guard shape.count == result.rank else { throw refuse(node, "operands of different ranks") }
            operands.append(try copy.graph.emit(.reshape(Reshape(Shape([count] + shape))), [copy[id]]))
        }
        let apart = try copy.graph.emit(node.op, operands)
        var whole = result
        whole[0] *= count
        try copy.add(.reshape(Reshape(whole)), [apart], for: node)
    }

    /// The axis of the samples in a node's results; an error if the node mixes them.
    private func resultAxis(_ node: Node, _ first: ValueID) throws(TrainingError) -> Int {
        let own = axis(first)!
        let (x, result) = (source.shape(first), source.shape(node.outputs[0]))
        let mustNotBe = { (axis: Int) throws(TrainingError) in
            if axis == own { throw refuse(node, "it works along the axis of the samples") }
        }
        switch node.op {
        case .conv2D, .convTranspose2D, .pool, .poolMixer:
            guard own == 0, first == node.inputs[0], node.inputs.dropFirst().prefix(2).allSatisfy({ axis($0) == nil })
            else { throw refuse(node, "samples do not lie along axis 0") }
            return 0
        case .linear, .layerNorm, .batchNorm:
            try mustNotBe(x.rank - 1)
            guard first == node.inputs[0] else { throw refuse(node, "its weights depend on the sample") }
            return own
        case .attention:
            guard own < x.rank - 2, axis(node.input(Attention.bias)) == nil,
                node.inputs.prefix(3).allSatisfy({ $0.isNone || axis($0) == own })
            else { throw refuse(node, "samples do not lie along an outer axis") }
            return own
        case .softmax(let op):
            try mustNotBe(op.axis)
            return own
        case .topK(let op):
            try mustNotBe(op.axis)
            return own
        case .reduce(let op):
            guard !op.axes.contains(own) else { throw refuse(node, "it reduces the axis of the samples") }
            return op.keepsAxes ? own : own - op.axes.filter { $0 < own }.count
        case .matmul(let op):
            let fromEnd = x.rank - own
            let isRow = fromEnd == 2 && first == node.inputs[0]
            guard fromEnd > 2 || isRow else { throw refuse(node, "it works along the axis of the samples") }
            if isRow, axis(node.inputs[1]) != nil { throw refuse(node, "both operands hold samples") }
            _ = op
            return try aligned(node, result)
        case .binary, .select: return try aligned(node, result)
        case .expand: return result.rank - x.rank + own
        case .reshape:
            let outer = x.count(0..<own)
            var product = 1
            for axis in 0..<result.rank {
                if product == outer { return axis }
                product *= result[axis]
            }
            throw refuse(node, "samples do not stay apart in \(result.description)")
        case .transpose(let op): return op.permutation.firstIndex(of: own)!
        case .slice(let op):
            try mustNotBe(op.axis)
            return own
        case .concat(let op):
            try mustNotBe(op.axis)
            guard node.inputs.allSatisfy({ axis($0) == nil || axis($0) == own }) else {
                throw refuse(node, "samples lie along different axes")
            }
            return own
        case .split(let op):
            try mustNotBe(op.axis)
            return own
        case .gather(let op):
            try mustNotBe(op.axis)
            return own
        case .roll(let op):
            try mustNotBe(op.axis)
            return own
        case .resample(let op):
            try mustNotBe(op.axis)
            return own
        case .pad(let op):
            guard op.before[own] == 0, op.after[own] == 0 else { throw refuse(node, "it pads the axis of the samples") }
            return own
        case .unary, .quantize, .dequantize, .requantize: return own
        case .dynamicQuantize: throw refuse(node, "its scale is one for all samples")
        case .conv2DWeightGradient, .unaryGradient, .channelSum, .batchStatistics, .batchNormGradient,
            .layerNormGradient, .poolGradient, .attentionGradient:
            throw refuse(node, "it belongs to a training graph")
        }
    }

    /// Operands that broadcast, counted from the last axis.
    private func aligned(_ node: Node, _ result: Shape) throws(TrainingError) -> Int {
        var found: Int?
        for id in node.inputs {
            guard let own = axis(id) else { continue }
            let place = result.rank - source.shape(id).rank + own
            guard found == nil || found == place else { throw refuse(node, "samples lie along different axes") }
            found = place
        }
        return found!
    }
}
