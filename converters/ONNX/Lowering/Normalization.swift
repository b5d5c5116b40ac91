import AlulaGraph

extension Importer {
    static let normalizationOperators = [
        "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
        "SimplifiedLayerNormalization", "LpNormalization", "MeanVarianceNormalization",
        "com.microsoft:SkipLayerNormalization",
    ]

    mutating func normalization(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "BatchNormalization": return [.view(try batchNorm(node))]
        case "LayerNormalization": return try layerNormalization(node)
        case "InstanceNormalization":
            let x = try view(node.input(0))
            let epsilon = try node.float("epsilon", default: 1e-5)
            guard x.rank >= 2 else { throw LoweringProblem.invalid("an input of \(x.rank) axes") }
            return [try channelNorm(x, groups: x.shape[1], epsilon, scale: node.input(1), bias: node.input(2))]
        case "GroupNormalization": return [try groupNorm(node)]
        case "RMSNormalization", "SimplifiedLayerNormalization": return [try rootMeanSquare(node)]
        case "LpNormalization": return [try lengthNorm(node)]
        case "MeanVarianceNormalization":
            let x = try node.input(0)
            let named = try node.ints("axes") ?? [0, 2, 3]
            let axes = try node.axes(named, rank: node.shape(0).count)
            let centred = try binary(.sub, x, .view(mean(view(x), axes: axes, keepsAxes: true)))
            return [try binary(.div, centred, rootMean(centred, axes: axes, epsilon: 1e-9))]
        default: return try skipLayerNorm(node)
        }
    }

    /// `sqrt(mean(x²) + epsilon)` over some axes, which stay with size 1.
    private mutating func rootMean(_ x: ImportedValue, axes: [Int], epsilon: Float) throws -> ImportedValue {
        let average = try mean(view(binary(.mul, x, x)), axes: axes, keepsAxes: true)
        let shifted = try binary(.add, .view(average), number(Double(epsilon)))
        return .view(try unary(.sqrt, view(shifted)))
    }

    /// Over axis 1, which the graph has last.
    private mutating func batchNorm(_ node: NodeContext) throws -> View {
        guard try !node.flag("training_mode"), node.outputCount == 1 else {
            throw LoweringProblem.unsupported(needed: "training mode")
        }
        let x = try view(node.input(0))
        guard x.rank >= 1 else { throw LoweringProblem.invalid("an input of \(x.rank) axes") }
        let order = channelsLast(x.rank)
        var operands = [try stored(x, as: order)]
        for (index, what) in [(1, "its scale"), (2, "its bias"), (3, "its mean"), (4, "its variance")] {
            let parameter = try view(node.input(index))
            guard isConstant(parameter) else { throw LoweringProblem.wantsConstant(input: index, what: what) }
            operands.append(parameter.id)
        }
        let op = BatchNorm(epsilon: try node.float("epsilon", default: 1e-5))
        return View(try emit(.batchNorm(op), operands), x.shape, order: order, type: x.type)
    }

    // MARK: Over the last axes

    private mutating func layerNormalization(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        let axis = try node.axis(node.int("axis", default: -1), rank: x.rank)
        let epsilon = try node.float("epsilon", default: 1e-5)
        let result = try layerNorm(x, axis: axis, epsilon, scale: node.input(1), bias: node.optional(2))
        guard node.outputCount > 1 else { return [.view(result)] }
        // The mean and the inverse deviation, for those who ask.
        let axes = Array(axis..<x.rank)
        let average = ImportedValue.view(try mean(x, axes: axes, keepsAxes: true))
        let deviation = try rootMean(binary(.sub, .view(x), average), axes: axes, epsilon: epsilon)
        return [.view(result), average, .view(try unary(.reciprocal, view(deviation)))]
    }

    /// Over all axes from `axis` on, which become one axis of the graph where they are several.
    private mutating func layerNorm(
        _ x: View, axis: Int, _ epsilon: Float, scale: ImportedValue, bias: ImportedValue?
    ) throws -> View {
        let inner = Array(x.shape[axis...])
        let count = inner.reduce(1, *)
        let leading = x.order.filter { $0 < axis }
        let tail = Array(axis..<x.rank)
        // The axes in front may lie in any order.
        let order = Array(x.order.suffix(tail.count)) == tail ? x.order : leading + tail
        let rows = order.dropLast(tail.count).map { x.shape[$0] }
        let id = try reshape(try stored(x, as: order), rows + [count])
        let gamma = try vector(scale, inner)
        let beta = try bias.map { try vector($0, inner) } ?? addFloats([Float](repeating: 0, count: count), [count])
        let result = try emit(.layerNorm(LayerNorm(epsilon: epsilon)), [id, gamma, beta])
        return View(try reshape(result, rows + inner), x.shape, order: order, type: x.type)
    }

    /// A parameter that may broadcast over the normalized axes, as a vector with one number for each of their elements.
    private mutating func vector(_ value: ImportedValue, _ shape: [Int]) throws -> ValueID {
        let count = shape.reduce(1, *)
        guard let own = value.shape, try broadcastShape([own, shape]) == shape else {
            throw LoweringProblem.invalid("a parameter does not broadcast to \(Shape(shape).description)")
        }
        if own.reduce(1, *) == count { return try reshape(plain(value), [count]) }
        return try reshape(emit(.expand(Expand(Shape(shape))), [plain(value)]), [count])
    }

    private mutating func rootMeanSquare(_ node: NodeContext) throws -> ImportedValue {
        let x = try node.input(0)
        let rank = try node.shape(0).count
        let axis = try node.axis(node.int("axis", default: -1), rank: rank)
        let epsilon = try node.float("epsilon", default: 1e-5)
        let normal = try binary(.div, x, rootMean(x, axes: Array(axis..<rank), epsilon: epsilon))
        return try binary(.mul, normal, node.input(1))
    }

    /// Divided by the sum of magnitudes (p = 1) or by the length (p = 2).
    private mutating func lengthNorm(_ node: NodeContext) throws -> ImportedValue {
        let x = try view(node.input(0))
        let axis = try node.axis(node.int("axis", default: -1), rank: x.rank)
        let length: View
        switch try node.int("p", default: 2) {
        case 1: length = try reduce(.sum, unary(.abs, x), axes: [axis], keepsAxes: true)
        case 2:
            let squares = try view(binary(.mul, .view(x), .view(x)))
            length = try unary(.sqrt, reduce(.sum, squares, axes: [axis], keepsAxes: true))
        case let power: throw LoweringProblem.invalid("p is 1 or 2, not \(power)")
        }
        return try binary(.div, .view(x), .view(length))
    }

    // MARK: Over groups of channels

    private mutating func groupNorm(_ node: NodeContext) throws -> ImportedValue {
        let x = try view(node.input(0))
        let groups = try node.int("num_groups", default: 1)
        guard x.rank >= 2, groups >= 1, x.shape[1] % groups == 0 else {
            throw LoweringProblem.invalid("\(groups) groups do not divide its channels")
        }
        let epsilon = try node.float("epsilon", default: 1e-5)
        var (scale, bias) = (try node.input(1), try node.input(2))
        if node.opset < 21 {
            // One number a group, until opset 21 made it one a channel.
            (scale, bias) = (try perChannel(scale, groups, x.shape[1]), try perChannel(bias, groups, x.shape[1]))
        }
        return try channelNorm(x, groups: groups, epsilon, scale: scale, bias: bias)
    }

    private mutating func perChannel(_ value: ImportedValue, _ groups: Int, _ channels: Int) throws -> ImportedValue {
        guard groups != channels, value.shape == [groups] else { return value }
        let column = try reshaped(view(value), to: [groups, 1])
        return .view(try reshaped(expanded(column, to: [groups, channels / groups]), to: [channels]))
    }

    /// Normalizes the channels of each group over the spatial axes, then scales each channel.
    private mutating func channelNorm(
        _ x: View, groups: Int, _ epsilon: Float, scale: ImportedValue, bias: ImportedValue
    ) throws -> ImportedValue {
        let (batch, channels) = (x.shape[0], x.shape[1])
        let grouped = try reshaped(x, to: [batch, groups, x.shape.reduce(1, *) / (batch * groups)])
        let one = HostTensor(.f32, [grouped.shape[2]], reals: [Double](repeating: 1, count: grouped.shape[2]))
        let normal = try layerNorm(grouped, axis: 2, epsilon, scale: .host(one), bias: nil)
        let back = try reshaped(normal, to: x.shape)
        let perChannel = [channels] + [Int](repeating: 1, count: x.rank - 2)
        let scaled = try binary(.mul, .view(back), .view(reshaped(view(scale), to: perChannel)))
        return try binary(.add, scaled, .view(reshaped(view(bias), to: perChannel)))
    }

    /// com.microsoft: the sum of two inputs (and a bias), normalized; the fourth result is the sum.
    private mutating func skipLayerNorm(_ node: NodeContext) throws -> [ImportedValue] {
        var sum = try binary(.add, node.input(0), node.input(1))
        if let bias = node.optional(4) { sum = try binary(.add, sum, bias) }
        let x = try view(sum)
        let epsilon = try node.float("epsilon", default: 1e-12)
        let normal = try layerNorm(
            x, axis: x.rank - 1, epsilon, scale: node.input(2), bias: node.optional(3))
        guard node.outputCount > 1 else { return [.view(normal)] }
        guard node.node.outputs.dropFirst().prefix(2).allSatisfy(\.isEmpty) else {
            throw LoweringProblem.unsupported(needed: "its results mean and inv_std_var")
        }
        return [.view(normal), .unknown, .unknown, sum]
    }
}
