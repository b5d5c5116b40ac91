import AlulaGraph

extension Importer {
    static let reductionOperators = [
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
        "ReduceLogSum", "ReduceLogSumExp", "ArgMax", "ArgMin", "TopK", "CumSum",
    ]

    mutating func reduction(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "TopK": return try topK(node)
        case "ArgMax", "ArgMin": return [.view(try argument(node))]
        case "CumSum":
            let x = try view(node.input(0))
            guard let axis = try node.integers(1, "its axis")?.first else { throw LoweringProblem.invalid("no axis") }
            return [
                .view(
                    try cumulativeSum(
                        x, axis: node.axis(axis, rank: x.rank), exclusive: node.flag("exclusive"),
                        backwards: node.flag("reverse")))
            ]
        default: return [.view(try reduceAxes(node))]
        }
    }

    private mutating func reduceAxes(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let named = try node.integers(attribute: "axes", orInput: 1) ?? []
        let isNothing = try named.isEmpty && node.flag("noop_with_empty_axes")
        let axes = try isNothing ? [] : named.isEmpty ? Array(0..<x.rank) : node.axes(named, rank: x.rank)
        let keeps = try node.flag("keepdims", default: true)
        let reduced = { (importer: inout Importer, kind: Reduce.Kind, x: View) throws in
            try importer.reduce(kind, x, axes: axes, keepsAxes: keeps)
        }
        switch node.op {
        case "ReduceMean": return try reduced(&self, .mean, x)
        case "ReduceSum": return try reduced(&self, .sum, x)
        case "ReduceMax": return try reduced(&self, .maximum, x)
        case "ReduceMin": return try reduced(&self, .minimum, x)
        case "ReduceProd": return try reduced(&self, .product, x)
        case "ReduceL1": return try reduced(&self, .sum, unary(.abs, x))
        case "ReduceSumSquare": return try reduced(&self, .sum, squared(x))
        case "ReduceL2": return try unary(.sqrt, reduced(&self, .sum, squared(x)))
        case "ReduceLogSum": return try unary(.log, reduced(&self, .sum, x))
        default:
            // ReduceLogSumExp: the largest element is taken out first, so that nothing overflows.
            let largest = try reduce(.maximum, x, axes: axes, keepsAxes: true)
            let scaled = try view(binary(.sub, .view(x), .view(largest)))
            let sum = try reduced(&self, .sum, unary(.exp, scaled))
            let back = try reshaped(largest, to: sum.shape)
            return try view(binary(.add, .view(unary(.log, sum)), .view(back)))
        }
    }

    private mutating func squared(_ x: View) throws -> View { try view(binary(.mul, .view(x), .view(x))) }

    mutating func reduce(_ kind: Reduce.Kind, _ x: View, axes: [Int], keepsAxes: Bool) throws -> View {
        guard !axes.isEmpty else { return x }
        let op = Reduce(kind, axes: axes.map { x.storedAxis($0) }.sorted(), keepsAxes: true)
        var shape = x.shape
        for axis in axes { shape[axis] = 1 }
        let kept = View(try emit(.reduce(op), [x.id]), shape, order: x.order, type: x.type)
        guard !keepsAxes else { return kept }
        return try reshaped(kept, to: x.shape.indices.filter { !axes.contains($0) }.map { x.shape[$0] })
    }

    mutating func mean(_ x: View, axes: [Int], keepsAxes: Bool) throws -> View {
        try reduce(.mean, x, axes: axes, keepsAxes: keepsAxes)
    }

    // MARK: Order

    private mutating func topK(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        let axis = try node.axis(node.int("axis", default: -1), rank: x.rank)
        let count = try node.opset < 10 ? node.int("k", default: 1) : node.integers(1, "k")?.first ?? 1
        guard (1...x.shape[axis]).contains(count) else {
            throw LoweringProblem.unsupported(needed: "\(count) elements")
        }
        let op = TopK(count: count, axis: x.storedAxis(axis), isLargest: try node.flag("largest", default: true))
        return try ranked(x, axis, op).map { .view($0) }
    }

    private mutating func argument(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
        let op = TopK(
            count: 1, axis: x.storedAxis(axis), isLargest: node.op == "ArgMax",
            prefersLast: try node.flag("select_last_index"))
        let indices = try ranked(x, axis, op)[1]
        guard try !node.flag("keepdims", default: true) else { return indices }
        var shape = x.shape
        shape.remove(at: axis)
        return try reshaped(indices, to: shape)
    }

    /// Elements and their indices, which ONNX has as i64 and the graph as i32.
    private mutating func ranked(_ x: View, _ axis: Int, _ op: TopK) throws -> [View] {
        let ids = try graph.addAll(.topK(op), [x.id])
        var shape = x.shape
        shape[axis] = op.count
        return zip(ids, [x.type, .i64]).map { View($0, shape, order: x.order, type: $1) }
    }

    // MARK: Running sums

    /// By a matrix of zeros and ones.
    mutating func cumulativeSum(_ x: View, axis: Int, exclusive: Bool, backwards: Bool) throws -> View {
        let size = x.shape[axis]
        guard size * size <= model.limits.constantElements else {
            throw LoweringProblem.unsupported(needed: "running sums of \(size) elements")
        }
        // [to, from], as a linear layer's weights.
        let weights = (0..<size * size).map { place -> Float in
            let (to, from) = (place / size, place % size)
            return from == to ? (exclusive ? 0 : 1) : (from < to) != backwards ? 1 : 0
        }
        var order = x.order.filter { $0 != axis }
        order.append(axis)
        let id = try emit(.linear(Linear()), [stored(x, as: order), addFloats(weights, [size, size])])
        return View(id, x.shape, order: order, type: x.type)
    }
}
