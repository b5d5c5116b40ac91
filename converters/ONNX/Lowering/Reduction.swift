import AlulaGraph

extension Importer {
    static let reductionOperators = ["ReduceMean", "ReduceSum"]

    mutating func reduction(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        let named = try node.integers(attribute: "axes", orInput: 1) ?? []
        if named.isEmpty, try node.flag("noop_with_empty_axes") { return [.view(x)] }
        let axes = named.isEmpty ? Array(0..<x.rank) : try node.axes(named, rank: x.rank).sorted()
        let keeps = try node.flag("keepdims", default: true)
        let average = try mean(x, axes: axes, keepsAxes: keeps)
        guard node.op == "ReduceSum" else { return [.view(average)] }
        return [try binary(.mul, .view(average), number(Double(axes.reduce(1) { $0 * x.shape[$1] })))]
    }

    /// Over any axes, in as many steps as they form groups of neighbours in the graph's order.
    mutating func mean(_ x: View, axes: [Int], keepsAxes: Bool) throws -> View {
        guard !axes.isEmpty else { return x }
        var id = x.id
        let places = axes.map { x.storedAxis($0) }.sorted()
        var start = 0
        while start < places.count {
            var end = start + 1
            while end < places.count, places[end] == places[end - 1] + 1 { end += 1 }
            id = try emit(.reduce(Reduce(.mean, axes: Array(places[start..<end]), keepsAxes: true)), [id])
            start = end
        }
        var shape = x.shape
        for axis in axes { shape[axis] = 1 }
        let kept = View(id, shape, order: x.order)
        guard !keepsAxes else { return kept }
        return try reshaped(kept, to: x.shape.indices.filter { !axes.contains($0) }.map { x.shape[$0] })
    }
}
