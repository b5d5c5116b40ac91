import AlulaGraph

/// `x + scale · (avg_pool(x) - x)`, with or without scale, into one pool mixer: EfficientFormer's token mixer with its residual.
@Sendable func fusePoolMixer(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .binary(let add) = node.op, add.kind == .add, add.activation == nil else { continue }
        for (x, branch) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
            guard let match = mixerBranch(&editor, branch, x) else { continue }
            for producer in match.nodes { editor.fuse(producer, into: index, node.op, node.inputs) }
            let scale = editor.graph.addFloats(match.scaleName, [match.scale.count], match.scale)
            editor.replace(index, .poolMixer(PoolMixer(size: match.size)), [x, scale])
            break
        }
    }
    return editor.finished()
}

private struct MixerMatch {
    var nodes: [Int]
    var size: Int
    var scale: [Float]
    var scaleName: String
}

/// Matches `scale · (avg_pool(x) - x)` behind `branch`.
private func mixerBranch(_ editor: inout GraphEditor, _ branch: ValueID, _ x: ValueID) -> MixerMatch? {
    let channels = editor.graph.shape(x).last
    var match = MixerMatch(nodes: [], size: 0, scale: [Float](repeating: 1, count: channels), scaleName: "")
    var difference = branch
    if let multiply = editor.producer(branch), case .binary(let binary) = editor.graph.nodes[multiply].op,
        binary == Binary(.mul)
    {
        let node = editor.graph.nodes[multiply]
        guard editor.hasSingleUse(branch) else { return nil }
        let isLeftConstant = editor.graph.floats(node.inputs[0]) != nil
        let (factor, other) = isLeftConstant ? (node.inputs[0], node.inputs[1]) : (node.inputs[1], node.inputs[0])
        guard let values = editor.graph.floats(factor),
            let scale = channelValues(values, editor.graph.shape(factor), channels: channels)
        else { return nil }
        match.scale = scale
        match.scaleName = editor.graph[factor].name
        match.nodes.append(multiply)
        difference = other
    }
    guard let subtract = editor.producer(difference), editor.hasSingleUse(difference),
        case .binary(let binary) = editor.graph.nodes[subtract].op, binary == Binary(.sub),
        editor.graph.nodes[subtract].inputs[1] == x
    else { return nil }
    let average = editor.graph.nodes[subtract].inputs[0]
    guard let pool = editor.producer(average), editor.hasSingleUse(average),
        case .pool(let attributes) = editor.graph.nodes[pool].op,
        editor.graph.nodes[pool].inputs[0] == x, attributes.kind == .average, !attributes.countsPadding,
        attributes.stride == Pair(1), attributes.kernel.height == attributes.kernel.width,
        attributes.kernel.height % 2 == 1,
        attributes.padding == Padding(attributes.kernel.height / 2), attributes.kernel.height <= 31
    else { return nil }
    match.size = attributes.kernel.height
    match.nodes += [subtract, pool]
    if match.scaleName.isEmpty { match.scaleName = editor.graph.displayName(average) + ".mixer_scale" }
    return match
}

/// An addition whose one side is a convolution or linear layer that nobody else reads becomes that layer's residual.
@Sendable func fuseResidual(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .binary(let add) = node.op, add == Binary(.add),
            editor.graph.shape(node.inputs[0]) == editor.graph.shape(node.inputs[1]),
            node.inputs[0] != node.inputs[1]
        else { continue }
        // The later of two candidates: its result is fresh in cache, and the earlier one is then any other operand.
        let sides = [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])]
            .sorted { editor.producer($0.0) ?? -1 > editor.producer($1.0) ?? -1 }
        for (x, residual) in sides where editor.graph[residual].constant == nil {
            let moves = movedRows(x, editor)
            guard let producer = editor.producer(moves.last.map { editor.graph.nodes[$0].inputs[0] } ?? x) else {
                continue
            }
            let layer = editor.graph.nodes[producer]
            guard layer.op.isWeighted, layer.op.weightedActivation == nil, layer.input(WeightedOperand.residual).isNone,
                editor.hasSingleUse(layer.outputs[0]), editor.graph.type(layer.inputs[0]).dataType == .f32
            else { continue }
            var inputs = layer.inputs
            if !moves.isEmpty {
                guard case .linear = layer.op else { continue }
                inputs[0] = try moveRows(of: inputs[0], moves, before: index, &editor)
            }
            while inputs.count < WeightedOperand.residual { inputs.append(.none) }
            inputs.append(residual)
            editor.fuse(moves.first ?? producer, into: index, layer.op, inputs)
            break
        }
    }
    return editor.finished()
}

/// Reshapes and rolls that give `x` and leave its rows along the last axis whole, the last of them first: windows of tokens put together
/// again. A linear layer before them may as well come after them.
private func movedRows(_ x: ValueID, _ editor: GraphEditor) -> [Int] {
    var (moves, value): ([Int], ValueID) = ([], x)
    while let index = editor.producer(value), editor.hasSingleUse(value) {
        let node = editor.graph.nodes[index]
        let (from, to) = (editor.graph.shape(node.inputs[0]), editor.graph.shape(value))
        switch node.op {
        case .reshape where from.rank > 0 && to.rank > 0 && from.last == to.last: break
        case .roll(let roll) where roll.axis != to.rank - 1: break
        default: return moves
        }
        moves.append(index)
        value = node.inputs[0]
    }
    return moves
}

/// The same moves of other rows.
private func moveRows(
    of x: ValueID, _ moves: [Int], before index: Int, _ editor: inout GraphEditor
) throws(CompilerError) -> ValueID {
    var result = x
    for move in moves.reversed() {
        var op = editor.graph.nodes[move].op
        if case .reshape(let reshape) = op {
            let rows = reshape.shape.dimensions.dropLast()
            op = .reshape(Reshape(Shape(rows + [editor.graph.shape(result).last])))
        }
        result = try editor.insert(op, [result], before: index)
    }
    return result
}

/// An activation behind a convolution, linear layer or addition into it.
@Sendable func fuseActivation(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .unary(let unary) = node.op, unary.function.isActivation, unary.parameters.isEmpty,
            node.input(1).isNone, let producer = editor.producer(node.inputs[0]), editor.hasSingleUse(node.inputs[0])
        else { continue }
        let layer = editor.graph.nodes[producer]
        if layer.op.isWeighted, layer.op.weightedActivation == nil, layer.input(WeightedOperand.residual).isNone,
            editor.graph.type(layer.inputs[0]).dataType == .f32
        {
            editor.fuse(producer, into: index, layer.op.withActivation(unary.function), layer.inputs)
        } else if case .binary(var binary) = layer.op, binary.activation == nil {
            binary.activation = unary.function
            editor.fuse(producer, into: index, .binary(binary), layer.inputs)
        }
    }
    return editor.finished()
}

extension UnaryFunction {
    /// Functions that follow layers: f32 kernels apply those without parameters to their result, int8 kernels all of them by a table.
    var isActivation: Bool {
        switch self {
        case .relu, .relu6, .gelu, .geluTanh, .silu, .sigmoid, .tanh, .hardSwish, .hardSigmoid, .softplus, .softsign,
            .mish, .swish, .leakyRelu, .elu, .thresholdedRelu, .clip:
            true
        case .exp, .log, .sqrt, .rsqrt, .reciprocal, .negate, .abs, .erf, .sin, .cos, .tan, .asin, .acos, .atan, .sinh,
            .cosh, .asinh, .acosh, .atanh, .floor, .ceil, .sign, .round, .shrink:
            false
        }
    }
}
