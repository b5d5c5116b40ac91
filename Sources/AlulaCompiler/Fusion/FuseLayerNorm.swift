import AlulaGraph

/// `(x - mean(x)) / √(mean((x - mean(x))²) + ε)` over the last axis into a layer norm of its own; `fold-affine` adds γ and β.
@Sendable func fuseLayerNorm(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .binary(let product) = node.op, product == Binary(.mul) else { continue }
        for (centered, factor) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
            guard let x = centeredSource(editor, centered), let match = inverseDeviation(editor, factor, of: x),
                editor.graph.shape(node.outputs[0]) == editor.graph.shape(x)
            else { continue }
            let channels = editor.graph.shape(x).last
            let name = editor.graph.displayName(node.outputs[0])
            let ones = [Float](repeating: 1, count: channels)
            let gamma = match.gamma ?? ones
            let operands = [
                x, editor.graph.addFloats(name + ".gamma", [channels], gamma),
                editor.graph.addFloats(name + ".beta", [channels], ones.map { _ in 0 }),
            ]
            editor.replace(index, .layerNorm(LayerNorm(epsilon: match.epsilon)), operands)
            break
        }
    }
    return editor.finished()
}

/// `x` where `id` is `x - mean(x)` over the last axis.
private func centeredSource(_ editor: GraphEditor, _ id: ValueID) -> ValueID? {
    guard let index = editor.producer(id), editor.graph.nodes[index].op == .binary(Binary(.sub)),
        case let operands = editor.graph.nodes[index].inputs, meanSource(editor, operands[1]) == operands[0]
    else { return nil }
    return operands[0]
}

/// What `id` is the mean of over the last axis, which it keeps.
private func meanSource(_ editor: GraphEditor, _ id: ValueID) -> ValueID? {
    guard let index = editor.producer(id), case .reduce(let mean) = editor.graph.nodes[index].op,
        mean.kind == .mean, mean.keepsAxes,
        case let x = editor.graph.nodes[index].inputs[0], mean.axes == [editor.graph.shape(x).rank - 1]
    else { return nil }
    return x
}

/// ε where `id` is `1 / √(mean((x - mean(x))²) + ε)`, possibly multiplied by γ already.
private func inverseDeviation(_ editor: GraphEditor, _ id: ValueID, of x: ValueID) -> (epsilon: Float, gamma: [Float]?)?
{
    guard let index = editor.producer(id) else { return nil }
    let node = editor.graph.nodes[index]
    if node.op == .binary(Binary(.mul)), let (inner, constant) = editor.graph.constantOperand(node),
        let gamma = channelValues(
            editor.graph.floats(constant)!, editor.graph.shape(constant), channels: editor.graph.shape(x).last),
        let (epsilon, none) = inverseDeviation(editor, inner, of: x), none == nil
    {
        return (epsilon, gamma)
    }
    guard node.op == .unary(Unary(.rsqrt)) else { return nil }
    var (variance, epsilon): (ValueID, Float) = (node.inputs[0], 0)
    if let sum = editor.producer(variance), editor.graph.nodes[sum].op == .binary(Binary(.add)),
        let (mean, constant) = editor.graph.constantOperand(editor.graph.nodes[sum]),
        let value = editor.graph.scalar(constant), value >= 0
    {
        (variance, epsilon) = (mean, value)
    }
    guard let square = meanSource(editor, variance), let product = editor.producer(square),
        editor.graph.nodes[product].op == .binary(Binary(.mul)),
        editor.graph.nodes[product].inputs.allSatisfy({ centeredSource(editor, $0) == x })
    else { return nil }
    return (epsilon, nil)
}
