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
        case .binary(let binary) where binary.activation == nil: arithmetic(&editor, node, binary)
        case .concat(let concat) where activation == nil:
            guard node.inputs.allSatisfy({ editor.quantizedSource($0) != nil || editor.graph.floats($0) != nil }) else {
                return
            }
            var parts: [ValueID] = []
            for id in node.inputs { parts.append(try part(&editor, id)) }
            editor.replace(place, .concat(concat), parts)
        case .pool(let pool) where pool.kind == .average && activation == nil:
            if let x = editor.quantizedSource(node.inputs[0]) { editor.replace(place, node.op, [x]) }
        case .reduce(let reduce) where activation == nil && reduce.isSummation && reduce.hasNeighbouringAxes:
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

    // MARK: Sums, differences and products

    private func arithmetic(_ editor: inout GraphEditor, _ node: Node, _ binary: Binary) {
        guard binary.hasInt8Form, node.inputs.contains(where: { editor.quantizedSource($0) != nil }),
            let a = bytes(&editor, node.inputs[0]), let b = bytes(&editor, node.inputs[1])
        else { return }
        editor.replace(place, .binary(Binary(binary.kind, activation: activation)), [a, b])
    }

    /// The u8 form of a dequantized value, or of a constant whose numbers are steps of one size.
    private func bytes(_ editor: inout GraphEditor, _ id: ValueID) -> ValueID? {
        if let source = editor.quantizedSource(id) { return source }
        guard let values = editor.graph.floats(id), let lattice = WeightLattice(values, limit: 255),
            let low = lattice.levels.min(), let high = lattice.levels.max(), max(high, 0) - min(low, 0) <= 255
        else { return nil }
        let zero = -min(low, 0)
        let quantization = Quantization(scale: Float(lattice.step), zeroPoint: Int32(zero))
        guard quantization.isValid else { return nil }
        return editor.graph.addConstant(
            editor.graph[id].name, TensorType(.u8, editor.graph.shape(id), quantization),
            TensorData(elements: lattice.levels.map { UInt8($0 + zero) }))
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
