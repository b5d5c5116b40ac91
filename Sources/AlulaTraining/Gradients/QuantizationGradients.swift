import AlulaGraph

// Rounding to u8 and back, as quantization-aware training inserts it: straight through where nothing is clipped.

extension GradientEmitter {
    /// The gradient of what the bytes stand for is that of the bytes.
    mutating func differentiateDequantize(_ node: Node, _ dy: ValueID) throws(TrainingError) {
        let producer = producers[Int(node.inputs[0].index)]
        guard producer >= 0, case .quantize = graph.nodes[producer].op else {
            throw refuse(node, "training takes the float graph, not the int8 one")
        }
        try accumulate(dy, to: node.inputs[0])
    }

    mutating func differentiateQuantize(_ node: Node, _ dy: ValueID) throws(TrainingError) {
        guard let own = graph.type(node.outputs[0]).quantization else {
            throw refuse(node, "its result has no scale")
        }
        let low = Float(-own.zeroPoint) * own.scale
        let high = Float(255 - own.zeroPoint) * own.scale
        // Half a step beyond the ends still rounds to them.
        let clip = Unary(.clip, low - own.scale / 2, high + own.scale / 2, 1, 0)
        try accumulate(emit(.unaryGradient(UnaryGradient(clip)), dy, node.inputs[0]), to: node.inputs[0])
    }
}
