import AlulaGraph

/// Multiplications by a constant (LayerScale, the half of averaged heads) into the convolution or linear layer before them.
@Sendable func foldScale(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .binary(let binary) = node.op, binary.kind == .mul, binary.activation == nil else { continue }
        for (x, factor) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
            guard let producer = editor.producer(x), editor.hasSingleUse(x), let values = editor.graph.floats(factor),
                let factors = channelValues(values, editor.graph.shape(factor), channels: editor.graph.shape(x).last)
            else { continue }
            let affine = Affine(scale: factors.map { Double($0) }, shift: [Double](repeating: 0, count: factors.count))
            let producerNode = editor.graph.nodes[producer]
            guard let inputs = scaled(producerNode, by: affine, in: &editor.graph) else { continue }
            editor.fuse(producer, into: index, producerNode.op, inputs)
            break
        }
    }
    return editor.finished()
}

/// A constant that multiplies by channel: one value, or one a channel on the last axis.
func channelValues(_ values: [Float], _ shape: Shape, channels: Int) -> [Float]? {
    if values.count == 1 { return [Float](repeating: values[0], count: channels) }
    return values.count == channels && shape.last == channels ? values : nil
}

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
