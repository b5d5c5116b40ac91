import AlulaGraph

/// Layers of numbers that are quantized with a scale of each run: `layer(dequantize(x) - zero)` with integers for weights sums the u8 and s8
/// numbers themselves, and a product behind it with the scale, and perhaps with the weights' scales, is the layer's multiplier.
func fuseDynamicLayers(_ graph: Graph) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices where graph.nodes[index].op.isWeighted {
        let node = editor.graph.nodes[index]
        guard let (x, zero) = shiftedNumbers(editor, node.inputs[0]), node.op.weightedActivation == nil,
            node.inputs.dropFirst(WeightedOperand.bias).allSatisfy(\.isNone),
            case let weight = node.inputs[WeightedOperand.weight], let values = editor.graph.floats(weight),
            values.allSatisfy({ (-128...127).contains($0) && $0 == $0.rounded() })
        else { continue }
        let shape = editor.graph.shape(weight)
        let name = editor.graph[weight].name
        let numbers = editor.graph.addConstant(
            name, TensorType(.s8, shape), TensorData(elements: values.map { Int8($0) }))
        let ones = editor.graph.addFloats(name + ".multiplier", [shape[0]], [Float](repeating: 1, count: shape[0]))
        editor.replace(index, node.op, [x, numbers, .none, ones, .none, .none, .none, zero])
    }
    for index in graph.nodes.indices { fuseScale(&editor, index) }
    return editor.finished()
}

/// Numbers that stand for themselves, and the zero point that is taken from them.
private func shiftedNumbers(_ editor: GraphEditor, _ id: ValueID) -> (x: ValueID, zero: ValueID)? {
    guard let index = editor.producer(id), editor.graph.nodes[index].op == .binary(Binary(.sub)),
        let x = editor.quantizedSource(editor.graph.nodes[index].inputs[0]),
        editor.graph.type(x).quantization == .identity, case let zero = editor.graph.nodes[index].inputs[1],
        editor.graph.shape(zero).elementCount == 1
    else { return nil }
    return (x, zero)
}

/// `layer · scale` or `layer · (scale · constant)`, where the scale is one number that is computed at run time.
private func fuseScale(_ editor: inout GraphEditor, _ index: Int) {
    let node = editor.graph.nodes[index]
    guard node.op == .binary(Binary(.mul)) else { return }
    for (sums, factor) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
        guard let producer = editor.producer(sums), editor.hasSingleUse(sums),
            case let layer = editor.graph.nodes[producer], layer.op.isWeighted,
            !layer.input(WeightedOperand.inputZero).isNone, layer.input(WeightedOperand.inputScale).isNone,
            editor.graph.shape(sums) == editor.graph.shape(node.outputs[0]),
            let (scale, channels) = scaleFactors(editor, factor, channels: editor.graph.shape(sums).last)
        else { continue }
        var inputs = layer.inputs
        inputs[WeightedOperand.inputScale] = scale
        if let channels {
            let name = editor.graph[inputs[WeightedOperand.multiplier]].name
            inputs[WeightedOperand.multiplier] = editor.graph.addFloats(name, [channels.count], channels)
        }
        return editor.fuse(producer, into: index, layer.op, inputs)
    }
}

/// The number that is computed at run time, and the constants by channel that it is multiplied by.
private func scaleFactors(
    _ editor: GraphEditor, _ id: ValueID, channels: Int
) -> (scale: ValueID, channels: [Float]?)? {
    let graph = editor.graph
    if let index = editor.producer(id), graph.nodes[index].op == .binary(Binary(.mul)),
        let (x, constant) = graph.constantOperand(graph.nodes[index]), graph.shape(x).elementCount == 1,
        let values = channelValues(graph.floats(constant)!, graph.shape(constant), channels: channels)
    {
        return (x, values)
    }
    return graph.shape(id).elementCount == 1 && graph[id].constant == nil ? (id, nil) : nil
}
