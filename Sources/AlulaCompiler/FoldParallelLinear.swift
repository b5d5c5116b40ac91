import AlulaGraph

/// Sums of two linear layers over the same tokens (the two heads of a distilled EfficientFormer) into one layer.
@Sendable func foldParallelLinear(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .binary(let binary) = node.op, binary.kind == .add, binary.activation == nil,
            let left = editor.producer(node.inputs[0]), let right = editor.producer(node.inputs[1]), left != right,
            editor.hasSingleUse(node.inputs[0]), editor.hasSingleUse(node.inputs[1]),
            let inputs = sum(editor.graph.nodes[left], editor.graph.nodes[right], in: &editor.graph)
        else { continue }
        let op = editor.graph.nodes[left].op
        editor.fuse(left, into: index, op, inputs)
        editor.fuse(right, into: index, op, inputs)
    }
    return editor.finished()
}

private func sum(_ a: Node, _ b: Node, in graph: inout Graph) -> [ValueID]? {
    guard case .linear(let left) = a.op, case .linear(let right) = b.op, left == Linear(), right == Linear(),
        a.inputs[0] == b.inputs[0],
        a.input(WeightedOperand.residual).isNone, b.input(WeightedOperand.residual).isNone,
        let weightA = graph.floats(a.inputs[1]), let weightB = graph.floats(b.inputs[1]),
        graph.shape(a.inputs[1]) == graph.shape(b.inputs[1])
    else { return nil }
    let shape = graph.shape(a.inputs[1])
    let zeros = [Float](repeating: 0, count: shape[0])
    let biasA = graph.floats(a.input(WeightedOperand.bias)) ?? zeros
    let biasB = graph.floats(b.input(WeightedOperand.bias)) ?? zeros
    let add = { (x: [Float], y: [Float]) in zip(x, y).map { Float(Double($0) + Double($1)) } }
    let name = graph[a.inputs[1]].name
    return [
        a.inputs[0], graph.addFloats(name, shape, add(weightA, weightB)),
        graph.addFloats(biasName(forWeight: name), [shape[0]], add(biasA, biasB)),
    ]
}
