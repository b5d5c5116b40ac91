import AlulaGraph
import AlulaKernels

// Two int8 layers that work row by row, such as the MLP of a transformer block, run as one step in row tiles: the wide
// value between them needs no memory in the arena.

/// By node: whether it and the next node run as one step. Both are 1x1 convolutions or linear layers from u8 to u8, nothing
/// else reads what lies between them, and that is at least as wide as the result and makes two tiles or more.
func layerPairs(_ graph: Graph) -> [Bool] {
    var result = [Bool](repeating: false, count: graph.nodes.count)
    var readers = [Int](repeating: 0, count: graph.values.count)
    for node in graph.nodes {
        for id in node.inputs where !id.isNone { readers[Int(id.index)] += 1 }
    }
    for id in graph.outputs { readers[Int(id.index)] += 1 }
    for index in graph.nodes.indices.dropLast() {
        if index > 0, result[index - 1] { continue }
        let (first, second) = (graph.nodes[index], graph.nodes[index + 1])
        guard isRowwise(graph, first), isRowwise(graph, second) else { continue }
        let hidden = first.outputs[0]
        guard second.inputs[0] == hidden, readers[Int(hidden.index)] == 1, first.input(WeightedOperand.residual).isNone
        else { continue }
        let (width, rows) = (graph.shape(hidden).last, graph.shape(hidden).elementCount / graph.shape(hidden).last)
        result[index] = width >= graph.shape(second.outputs[0]).last && rows >= 2 * alula_mlp_u8_rows(width)
    }
    return result
}

/// Whether the node is an int8 layer whose output rows depend on the input rows at the same place only.
private func isRowwise(_ graph: Graph, _ node: Node) -> Bool {
    let types = (graph.type(node.inputs[0]).dataType, graph.type(node.outputs[0]).dataType)
    guard types == (.u8, .u8), graph[node.inputs[0]].constant == nil else { return false }
    switch node.op {
    case .linear: return true
    case .conv2D(let op):
        let weight = graph.shape(node.inputs[WeightedOperand.weight])
        return weight[1] == 1 && weight[2] == 1 && op.groups == 1 && op.stride == Pair(1) && op.padding.isZero
    default: return false
    }
}

extension StepBuilder {
    /// Appends the step of two nodes; `node` is the index of the second one.
    mutating func bindPair(_ first: Node, _ second: Node) throws(RuntimeError) {
        let between = first.outputs[0]
        // The kernel puts its own tile in the place of this address.
        let placeholder = UnsafeMutableRawPointer(bitPattern: Memory.alignment)!
        let hidden = BoundValue(id: between, type: graph.type(between), address: placeholder)
        var arguments = alula_mlp_u8_args()
        node -= 1  // for messages
        let x = try operand(first, WeightedOperand.x)
        arguments.first = try int8Arguments(rows(first, x.shape), first, x, hidden).0
        node += 1
        arguments.second = try int8Arguments(rows(second, hidden.shape), second, hidden, try result(second)).0
        let items = hidden.shape.elementCount / hidden.shape.last
        try append(
            .mlpU8, arguments, items: items, grain: tileGrain, scratch: alula_mlp_u8_scratch(&arguments), isPair: true)
    }

    /// A layer over rows of channels, whatever axes these rows had.
    private func rows(_ node: Node, _ x: Shape) -> WeightedLayer {
        let weight = graph.shape(node.inputs[WeightedOperand.weight])
        var op = Linear()
        switch node.op {
        case .linear(let linear): op = linear
        case .conv2D(let conv): (op.activation, op.preActivation) = (conv.activation, conv.preActivation)
        default: break
        }
        return WeightedLayer(op, x, [weight[0], weight.last])
    }
}
