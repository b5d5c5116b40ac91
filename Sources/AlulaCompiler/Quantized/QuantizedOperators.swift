import AlulaGraph

/// The int8 forms of operators between dequantizations and a quantization, and of layers whose result stays f32.
func fuseQuantizedOperators(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .quantize = node.op, let output = editor.graph.type(node.outputs[0]).quantization,
            let producer = editor.producer(node.inputs[0]), editor.hasSingleUse(node.inputs[0])
        else { continue }
        var fusion = QuantizedFusion(place: index, node: producer, activation: nil, output: output)
        // A clamp between an operator and its rounding.
        if case .unary(let unary) = editor.graph.nodes[producer].op,
            unary.function == .relu || unary.function == .relu6,
            case let x = editor.graph.nodes[producer].inputs[0], let inner = editor.producer(x), editor.hasSingleUse(x)
        {
            (fusion.node, fusion.activation) = (inner, unary.function)
        }
        try fusion.run(&editor)
    }
    for index in graph.nodes.indices where editor.graph.nodes[index].op.isWeighted {
        let node = editor.graph.nodes[index]
        guard editor.producer(node.outputs[0]) == index, node.op.weightedActivation == nil,
            let inputs = QuantizedFusion.layer(&editor, node, outputScale: 1)
        else { continue }
        editor.replace(index, node.op, inputs)
    }
    return editor.finished()
}

/// One operator whose result is rounded to u8.
private struct QuantizedFusion {
    /// The quantization, whose place the int8 operator takes.
    let place: Int
    var node: Int
    var activation: Activation
    let output: Quantization

    func run(_ editor: inout GraphEditor) throws(CompilerError) {
        let node = editor.graph.nodes[self.node]
        switch node.op {
        case .conv2D, .linear:
            guard node.op.weightedActivation == nil,
                let inputs = QuantizedFusion.layer(&editor, node, outputScale: output.scale)
            else { return }
            editor.replace(place, node.op.withActivation(activation), inputs)
        case .binary(let binary) where binary.activation == nil: try arithmetic(&editor, node, binary.kind)
        case .concat(let concat) where activation == nil:
            guard node.inputs.allSatisfy({ editor.quantizedSource($0) != nil || editor.graph.floats($0) != nil }) else {
                return
            }
            var parts: [ValueID] = []
            for id in node.inputs { parts.append(try part(&editor, id)) }
            editor.replace(place, .concat(concat), parts)
        case .pool(let pool) where pool.kind == .average && activation == nil:
            if let x = editor.quantizedSource(node.inputs[0]) { editor.replace(place, node.op, [x]) }
        case .mean where activation == nil:
            if let x = editor.quantizedSource(node.inputs[0]) { editor.replace(place, node.op, [x]) }
        case .layerNorm where activation == nil: layerNorm(&editor, node)
        default: return
        }
    }

    /// The operands of a layer's int8 form; nil where its input is no u8 value or its weights are no s8 numbers.
    static func layer(_ editor: inout GraphEditor, _ node: Node, outputScale: Float) -> [ValueID]? {
        guard let x = editor.quantizedSource(node.inputs[0]), let input = editor.graph.type(x).quantization,
            node.input(WeightedOperand.residual).isNone, case let weightID = node.inputs[WeightedOperand.weight],
            let weights = editor.graph.floats(weightID), case let shape = editor.graph.shape(weightID),
            let quantized = QuantizedWeights(
                exactly: WeightRows(values: weights, rows: shape[0]),
                bias: editor.graph.floats(node.input(WeightedOperand.bias)), input: input, outputScale: outputScale)
        else { return nil }
        let name = editor.graph[weightID].name
        let base = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
        return [
            x,
            editor.graph.addConstant(name, TensorType(.s8, shape), TensorData(elements: quantized.values)),
            editor.graph.addConstant(
                base + ".bias", TensorType(.i32, [shape[0]]), TensorData(elements: quantized.bias)),
            editor.graph.addFloats(base + ".multiplier", [shape[0]], quantized.multiplier),
        ]
    }

    /// A part of a concatenation in the whole's steps.
    private func part(_ editor: inout GraphEditor, _ id: ValueID) throws(CompilerError) -> ValueID {
        if let source = editor.quantizedSource(id) { return try editor.requantized(source, to: output, before: place) }
        let numbers = editor.graph.floats(id)!.map { value in
            UInt8(min(255, max(0, (value / output.scale).rounded(.toNearestOrEven) + Float(output.zeroPoint))))
        }
        return editor.graph.addConstant(
            editor.graph[id].name, TensorType(.u8, editor.graph.shape(id), output), TensorData(elements: numbers))
    }

    // MARK: Sums and differences

    private func arithmetic(_ editor: inout GraphEditor, _ node: Node, _ kind: Binary.Kind) throws(CompilerError) {
        let shape = editor.graph.shape(node.outputs[0])
        if kind == .mul || kind == .add, let (x, constant) = editor.graph.constantOperand(node),
            let source = editor.quantizedSource(x), editor.graph.shape(x) == shape, activation == nil,
            let values = channelValues(
                editor.graph.floats(constant)!, editor.graph.shape(constant), channels: shape.last)
        {
            return try byChannel(&editor, source, values, isProduct: kind == .mul)
        }
        let hasShape = { (id: ValueID, graph: Graph) in
            graph.shape(id).dimensions.drop { $0 == 1 } == shape.dimensions.drop { $0 == 1 }
                && (graph[id].constant != nil || graph.shape(id) == shape)
        }
        guard kind == .add || kind == .sub, node.inputs.allSatisfy({ hasShape($0, editor.graph) }),
            let a = bytes(&editor, node.inputs[0], shape), var b = bytes(&editor, node.inputs[1], shape)
        else { return }
        if kind == .sub {
            // The negative number has the mirrored byte: nothing is rounded.
            let own = editor.graph.type(b).quantization!
            let mirrored = Quantization(scale: own.scale, zeroPoint: 255 - own.zeroPoint)
            b = try editor.requantized(b, to: mirrored, before: place, (0...255).map { 255 - $0 })
        }
        editor.replace(place, .binary(Binary(.add, activation: activation)), [a, b])
    }

    /// The u8 form of a dequantized value, or of a constant whose numbers are steps of one size.
    private func bytes(_ editor: inout GraphEditor, _ id: ValueID, _ shape: Shape) -> ValueID? {
        if let source = editor.quantizedSource(id) { return source }
        guard let values = editor.graph.floats(id), let lattice = WeightLattice(values, limit: 255),
            let low = lattice.levels.min(), let high = lattice.levels.max(), high - min(low, 0) <= 255,
            max(high, 0) - low <= 255
        else { return nil }
        let zero = -min(low, 0)
        let quantization = Quantization(scale: Float(lattice.step), zeroPoint: Int32(zero))
        guard quantization.isValid else { return nil }
        return editor.graph.addConstant(
            editor.graph[id].name, TensorType(.u8, shape, quantization),
            TensorData(elements: lattice.levels.map { UInt8($0 + zero) }))
    }

    /// `x · c` or `x + c` by channel, as a depthwise convolution of one tap.
    private func byChannel(_ editor: inout GraphEditor, _ x: ValueID, _ values: [Float], isProduct: Bool)
        throws(CompilerError)
    {
        let shape = editor.graph.shape(x)
        let count = shape.last
        let weights = WeightRows(values: isProduct ? values : values.map { _ in 1 }, rows: count)
        guard let input = editor.graph.type(x).quantization else { return }
        let quantized = QuantizedWeights(
            weights, bias: isProduct ? nil : values, means: nil, groups: count, input: input, outputScale: output.scale)
        let name = editor.graph.displayName(editor.graph.nodes[place].outputs[0])
        let image = Shape([1, 1, shape.elementCount / count, count])
        let pixels = try editor.insert(.reshape(Reshape(image)), [x], before: place)
        let operands = [
            pixels,
            editor.graph.addConstant(
                name + ".weight", TensorType(.s8, [count, 1, 1, 1]), TensorData(elements: quantized.values)),
            editor.graph.addConstant(name + ".bias", TensorType(.i32, [count]), TensorData(elements: quantized.bias)),
            editor.graph.addFloats(name + ".multiplier", [count], quantized.multiplier),
        ]
        let result = try editor.insert(.conv2D(Conv2D(groups: count)), operands, before: place)
        editor.graph[result].type = TensorType(.u8, image, output)
        editor.replace(place, .reshape(Reshape(shape)), [result])
    }

    // MARK: Normalization

    private func layerNorm(_ editor: inout GraphEditor, _ node: Node) {
        guard let x = editor.quantizedSource(node.inputs[0]), let gamma = editor.graph.floats(node.inputs[1]),
            let beta = editor.graph.floats(node.inputs[2]), gamma.count <= 32768
        else { return }
        let inOutputUnits = { (value: Float) in Float(Double(value) / Double(output.scale)) }
        let operands = [
            x, editor.graph.derived(node.inputs[1], "quantized", gamma.map(inOutputUnits)),
            editor.graph.derived(node.inputs[2], "quantized", beta.map(inOutputUnits)),
        ]
        editor.replace(place, node.op, operands)
    }
}
