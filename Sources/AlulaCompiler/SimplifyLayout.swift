import AlulaGraph

/// Removes moves that cancel: chains of transposes and reshapes become the shortest chain that gives the same order, often none, and what
/// moves nothing is dropped. Importers of channels-first formats put a transpose on each side of every image operator; this pass leaves only
/// those at the borders.
@Sendable func simplifyLayout(_ original: Graph) throws(CompilerError) -> Graph {
    let graph = try normalizeInPlace(original)
    var editor = GraphEditor(graph)
    let users = graph.users()
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        // A chain is shortened as a whole, at its end.
        let readers = users[Int(node.outputs[0].index)]
        let isInner = readers.count == 1 && isMove(graph.nodes[readers[0]])
        if isMove(node), !isInner { try shortenMoves(&editor, index) }
        let current = editor.graph.nodes[index]
        if movesNothing(current, editor.graph) { editor.bypass(index, current.inputs[0]) }
    }
    return editor.finished()
}

/// A layer norm with one factor and one offset for all elements does not care about their order: it takes them as they lie, and what moved its
/// operand moves its result. (A group norm over all channels of an image, written for channels first.)
private func normalizeInPlace(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .layerNorm = node.op, isUniform(graph, node.inputs[1]), isUniform(graph, node.inputs[2]),
            case let shape = graph.shape(node.inputs[0]), case let view = editor.permutedView(node.inputs[0]),
            view.source != node.inputs[0], case let source = graph.shape(view.source),
            let back = moves(view, source, shape), let last = back.last,
            back.contains(where: { if case .transpose = $0 { true } else { false } })
        else { continue }
        // Rows stay rows.
        let rows = StridedView.joined(Array(view.axes.dropLast().joined()))
        guard rows.isEmpty || rows.count == 1 && rows[0].stride == shape.last else { continue }
        let operand = try editor.insert(.reshape(Reshape(shape)), [view.source], before: index)
        let normal = try editor.insert(node.op, [operand] + node.inputs.dropFirst(), before: index)
        var x = try editor.insert(.reshape(Reshape(source)), [normal], before: index)
        for move in back.dropLast() { x = try editor.insert(move, [x], before: index) }
        editor.replace(index, last, [x])
    }
    return editor.finished()
}

private func isUniform(_ graph: Graph, _ id: ValueID) -> Bool {
    guard let values = graph.floats(id) else { return false }
    return values.allSatisfy { $0 == values[0] }
}

private func isMove(_ node: Node) -> Bool {
    switch node.op {
    case .transpose, .reshape: true
    default: false
    }
}

/// Computes node `index` from the source of its chain of moves where that takes fewer of them. Transposes cost, reshapes hardly do.
private func shortenMoves(_ editor: inout GraphEditor, _ index: Int) throws(CompilerError) {
    let result = editor.graph.nodes[index].outputs[0]
    let view = editor.permutedView(result)
    guard view.source != result, let moves = moves(view, editor.graph.shape(view.source), editor.graph.shape(result))
    else { return }
    var cost = (transposes: 0, all: 0)
    var id = result
    var isExclusive = true
    while id != view.source, isExclusive, let producer = editor.producer(id) {
        if case .transpose = editor.graph.nodes[producer].op { cost.transposes += 1 }
        cost.all += 1
        id = editor.graph.nodes[producer].inputs[0]
        isExclusive = editor.hasSingleUse(id)
    }
    let transposes = moves.filter { if case .transpose = $0 { true } else { false } }.count
    guard (transposes, moves.count) < cost else { return }
    var x = view.source
    for move in moves.dropLast() { x = try editor.insert(move, [x], before: index) }
    // Without any move, a reshape to the same shape stands in until it is dropped or, at an output, kept.
    editor.replace(index, moves.last ?? .reshape(Reshape(editor.graph.shape(result))), [x])
}

/// At most a reshape, a transpose and a reshape that turn `from` into the view, which holds all its elements.
private func moves(_ view: StridedView, _ from: Shape, _ to: Shape) -> [Operator]? {
    let factors = view.factors
    let order = factors.indices.sorted { factors[$0].stride > factors[$1].stride }
    if order == Array(order.indices) { return from == to ? [] : [.reshape(Reshape(to))] }
    var permutation = [Int](repeating: 0, count: order.count)
    for (place, factor) in order.enumerated() { permutation[factor] = place }
    // The shape before the transpose: the source's own or the result's, axes of size 1 included, where they have these factors.
    let isLarge = { (size: Int) in size != 1 }
    let before = order.map { factors[$0].size }
    let fitsSource = from.dimensions.filter(isLarge) == before
    let fitsResult = to.dimensions.filter(isLarge) == factors.map(\.size)
    var (middle, result) = (Shape(before), Shape(factors.map(\.size)))
    if fitsSource && (!fitsResult || from.rank == to.rank) {
        // Axes of size 1 go where the result has them, or to the front.
        let large = from.dimensions.indices.filter { from[$0] != 1 }
        var small = from.dimensions.indices.filter { from[$0] == 1 }[...]
        var moved = permutation.map { large[$0] }[...]
        permutation =
            fitsResult
            ? to.dimensions.map { $0 == 1 ? small.removeFirst() : moved.removeFirst() } : Array(small) + Array(moved)
        (middle, result) = (from, Shape(permutation.map { from[$0] }))
    } else if fitsResult {
        var moved = permutation.map { $0 + to.rank - permutation.count }[...]
        var small = Array(0..<to.rank - permutation.count)[...]
        permutation = to.dimensions.map { $0 == 1 ? small.removeFirst() : moved.removeFirst() }
        var sizes = [Int](repeating: 1, count: to.rank)
        for (place, axis) in permutation.enumerated() { sizes[axis] = to[place] }
        (middle, result) = (Shape(sizes), to)
    }
    guard middle.isValid else { return nil }
    return (middle == from ? [] : [.reshape(Reshape(middle))]) + [.transpose(Transpose(permutation))]
        + (result == to ? [] : [.reshape(Reshape(to))])
}

private func movesNothing(_ node: Node, _ graph: Graph) -> Bool {
    switch node.op {
    case .reshape(let reshape): reshape.shape == graph.shape(node.inputs[0])
    case .expand(let expand): expand.shape == graph.shape(node.inputs[0])
    case .transpose(let transpose): transpose.permutation == Array(transpose.permutation.indices)
    case .slice(let slice): slice.begin == 0 && slice.step == 1 && slice.end == graph.shape(node.inputs[0])[slice.axis]
    case .roll(let roll): roll.shift % graph.shape(node.inputs[0])[roll.axis] == 0
    case .pad(let pad): (pad.before + pad.after).allSatisfy { $0 == 0 }
    case .split(let split): split.sizes.count == 1
    case .concat: node.inputs.count == 1
    default: false
    }
}
