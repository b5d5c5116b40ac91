import AlulaGraph

/// What scales and shifts by channel (batch norms, products with and additions of constants, as LayerScale and biases) into the operator
/// before it that does so anyway: a convolution, linear layer, layer norm or batch norm, also through reshapes that keep the channels. Where
/// there is none before, into the unpadded 1x1 convolutions or linear layers behind, also through a mean over pixels. All are exact but for
/// rounding; weights are computed in f64.
@Sendable func foldAffine(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        guard let (x, affine) = affine(of: editor.graph.nodes[index], editor.graph) else { continue }
        foldBackward(&editor, index, x, affine)
    }
    let users = editor.graph.users()
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard editor.producer(node.outputs[0]) == index, let (x, affine) = affine(of: node, editor.graph),
            !editor.graph.outputs.contains(node.outputs[0])
        else { continue }
        let own = users[Int(node.outputs[0].index)]
        if let mean = own.first, own.count == 1, keepsChannels(mean, editor.graph) {
            // The mean of scaled and shifted pixels is their mean scaled and shifted.
            let result = editor.graph.nodes[mean].outputs[0]
            let isFolded = foldForward(&editor, result, reading: result, users[Int(result.index)], affine)
            if isFolded { editor.replace(mean, editor.graph.nodes[mean].op, [x]) }
        } else {
            foldForward(&editor, node.outputs[0], reading: x, own, affine)
        }
    }
    return editor.finished()
}

/// `x · scale + shift`, by channel.
struct Affine {
    var scale: [Double]
    var shift: [Double]
}

/// What a node that scales and shifts by channel does, and to what; nil for every other node.
private func affine(of node: Node, _ graph: Graph) -> (x: ValueID, affine: Affine)? {
    switch node.op {
    case .batchNorm(let norm):
        guard norm.activation == nil, let gamma = graph.floats(node.inputs[1]), let beta = graph.floats(node.inputs[2]),
            let mean = graph.floats(node.inputs[3]), let variance = graph.floats(node.inputs[4])
        else { return nil }
        let scale = zip(gamma, variance).map { Double($0) / (Double($1) + Double(norm.epsilon)).squareRoot() }
        let shift = gamma.indices.map { Double(beta[$0]) - Double(mean[$0]) * scale[$0] }
        return (node.inputs[0], Affine(scale: scale, shift: shift))
    case .binary(let binary) where binary == Binary(.mul) || binary == Binary(.add):
        guard let (x, constant) = graph.constantOperand(node), graph.shape(x) == graph.shape(node.outputs[0]),
            let values = channelValues(
                graph.floats(constant)!, graph.shape(constant), channels: graph.shape(x).last)
        else { return nil }
        let numbers = values.map { Double($0) }
        return binary.kind == .mul
            ? (x, Affine(scale: numbers, shift: numbers.map { _ in 0 }))
            : (x, Affine(scale: numbers.map { _ in 1 }, shift: numbers))
    default: return nil
    }
}

/// A constant that acts by channel: one value, or one a channel on the last axis.
func channelValues(_ values: [Float], _ shape: Shape, channels: Int) -> [Float]? {
    if values.count == 1 { return [Float](repeating: values[0], count: channels) }
    return values.count == channels && shape.last == channels ? values : nil
}

private func foldBackward(_ editor: inout GraphEditor, _ index: Int, _ x: ValueID, _ affine: Affine) {
    var source = x
    let channels = editor.graph.shape(x).last
    while editor.hasSingleUse(source), let reshape = editor.producer(source),
        case .reshape = editor.graph.nodes[reshape].op, case let operand = editor.graph.nodes[reshape].inputs[0],
        editor.graph.shape(operand).last == channels
    {
        source = operand
    }
    let result = editor.graph.nodes[index].outputs[0]
    guard editor.hasSingleUse(source), let producer = editor.producer(source),
        source == x || !editor.graph.outputs.contains(result),
        let inputs = scaled(editor.graph.nodes[producer], by: affine, in: &editor.graph)
    else { return }
    let op = editor.graph.nodes[producer].op
    if source == x {
        editor.fuse(producer, into: index, op, inputs)
    } else {
        editor.replace(producer, op, inputs)
        editor.replaceUses(of: result, with: x)
    }
}

/// The operands of an operator whose result is scaled and shifted by channel; nil where that cannot be folded.
private func scaled(_ node: Node, by affine: Affine, in graph: inout Graph) -> [ValueID]? {
    switch node.op {
    case .conv2D, .linear: return scaledWeights(node, by: affine, in: &graph)
    case .layerNorm, .batchNorm:
        guard let gamma = graph.floats(node.inputs[1]), let beta = graph.floats(node.inputs[2]),
            affine.scale.count == gamma.count
        else { return nil }
        var inputs = node.inputs
        inputs[1] = graph.addFloats(
            graph[inputs[1]].name, [gamma.count], gamma.indices.map { Float(Double(gamma[$0]) * affine.scale[$0]) })
        inputs[2] = graph.addFloats(
            graph[inputs[2]].name, [beta.count],
            beta.indices.map { Float(Double(beta[$0]) * affine.scale[$0] + affine.shift[$0]) })
        return inputs
    default: return nil
    }
}

private func scaledWeights(_ node: Node, by affine: Affine, in graph: inout Graph) -> [ValueID]? {
    guard node.op.weightedActivation == nil, node.input(WeightedOperand.residual).isNone,
        let weights = graph.floats(node.inputs[WeightedOperand.weight])
    else { return nil }
    let shape = graph.shape(node.inputs[WeightedOperand.weight])
    guard affine.scale.count == shape[0] else { return nil }
    var rows = WeightRows(values: weights, rows: shape[0])
    rows.scale(affine.scale)
    let biasID = node.input(WeightedOperand.bias)
    let bias = graph.floats(biasID) ?? [Float](repeating: 0, count: shape[0])
    let weightName = graph[node.inputs[WeightedOperand.weight]].name
    let folded = bias.indices.map { Float(Double(bias[$0]) * affine.scale[$0] + affine.shift[$0]) }
    let isShifted = affine.scale.allSatisfy { $0 == 1 }
    let weight = isShifted ? node.inputs[1] : graph.addFloats(weightName, shape, rows.values)
    let biasName = biasID.isNone ? biasName(forWeight: weightName) : graph[biasID].name
    return [node.inputs[0], weight, graph.addFloats(biasName, [shape[0]], folded)]
}

func biasName(forWeight name: String) -> String {
    name.hasSuffix(".weight") ? String(name.dropLast(6)) + "bias" : name + ".bias"
}

/// Whether a node is a mean whose result has its operand's channels, and nobody but other nodes reads it.
private func keepsChannels(_ index: Int, _ graph: Graph) -> Bool {
    let node = graph.nodes[index]
    guard case .reduce(let mean) = node.op, mean.kind == .mean, !graph.outputs.contains(node.outputs[0]) else {
        return false
    }
    return !mean.axes.contains(graph.shape(node.inputs[0]).rank - 1)
}

/// conv(bn(x)) = conv'(x) when no padding would mix unnormalized zeros in, and all users can take it.
///
/// - Parameters:
///   - normalized: the value that the users read.
///   - source: what they read instead.
@discardableResult
private func foldForward(
    _ editor: inout GraphEditor, _ normalized: ValueID, reading source: ValueID, _ users: [Int], _ affine: Affine
) -> Bool {
    guard !users.isEmpty else { return false }
    for user in users {
        let node = editor.graph.nodes[user]
        guard node.inputs[0] == normalized, !node.inputs.dropFirst().contains(normalized),
            editor.graph.floats(node.input(WeightedOperand.weight)) != nil
        else { return false }
        switch node.op {
        case .linear: break
        case .conv2D(let conv):
            let weight = editor.graph.shape(node.inputs[WeightedOperand.weight])
            guard conv.padding.isZero, conv.groups == 1, weight[1] == 1, weight[2] == 1 else { return false }
        default: return false
        }
    }
    for user in users {
        let node = editor.graph.nodes[user]
        var inputs = weightsTaking(affine, node, in: &editor.graph)
        inputs[0] = source
        editor.replace(user, node.op, inputs)
    }
    return true
}

/// The operands of a convolution in one group or a linear layer, with the weights and the bias that give for x what the node's own give for
/// x · scale + shift; padding apart.
func weightsTaking(_ affine: Affine, _ node: Node, in graph: inout Graph) -> [ValueID] {
    let weightID = node.inputs[WeightedOperand.weight]
    let shape = graph.shape(weightID)
    var weights = graph.floats(weightID)!
    let (depth, channels) = (weights.count / shape[0], shape.last)
    let biasID = node.input(WeightedOperand.bias)
    var bias = graph.floats(biasID) ?? [Float](repeating: 0, count: shape[0])
    for row in 0..<shape[0] {
        var sum = Double(bias[row])
        for place in row * depth..<(row + 1) * depth {
            sum += Double(weights[place]) * affine.shift[place % channels]
            weights[place] = Float(Double(weights[place]) * affine.scale[place % channels])
        }
        bias[row] = Float(sum)
    }
    let name = graph[weightID].name
    var inputs = node.inputs
    while inputs.count <= WeightedOperand.bias { inputs.append(.none) }
    inputs[WeightedOperand.weight] = graph.addFloats(name, shape, weights)
    inputs[WeightedOperand.bias] = graph.addFloats(
        biasID.isNone ? biasName(forWeight: name) : graph[biasID].name, [shape[0]], bias)
    return inputs
}
