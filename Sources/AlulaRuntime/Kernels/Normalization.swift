import AlulaGraph
import AlulaKernels

extension StepBuilder {
    mutating func bind(_ op: LayerNorm, _ node: Node) throws(RuntimeError) {
        let (x, gamma, beta) = (try operand(node, 0), try operand(node, 1), try operand(node, 2))
        let result = try result(node)
        guard all(.f32, gamma, beta) else { throw unsupportedTypes(gamma, beta) }
        let channels = x.shape.last
        let rows = x.shape.elementCount / channels
        if all(.f32, x, result) {
            let arguments = alula_layernorm_f32_args(
                input: UnsafePointer(x.pointer()), gamma: UnsafePointer(gamma.pointer()),
                beta: UnsafePointer(beta.pointer()),
                output: result.pointer(), rows: size(rows), c: size(channels), epsilon: op.epsilon)
            try append(.layerNormF32, arguments, items: rows)
            return
        }
        guard all(.u8, x, result) else { throw unsupportedTypes(x, result) }
        guard channels <= Int8Limits.depth else { throw unsupported("int8 takes up to \(Int8Limits.depth) channels") }
        let scale = Double(try quantization(x).scale)
        let arguments = alula_layernorm_u8_args(
            input: UnsafePointer(x.pointer()), gamma: UnsafePointer(gamma.pointer()),
            beta: UnsafePointer(beta.pointer()),
            output: result.pointer(), rows: size(rows), c: size(channels), zero: try quantization(result).zeroPoint,
            variance_scale: Float(scale * scale / (Double(channels) * Double(channels))),
            d_scale: Float(scale / Double(channels)),
            epsilon: op.epsilon)
        try append(.layerNormU8, arguments, items: rows)
    }

    /// A scale and a shift for each channel, computed in f64 when the session is made.
    mutating func bind(_ op: BatchNorm, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        guard all(.f32, x, result) else { throw unsupportedTypes(x, result) }
        let channels = x.shape.last
        var vectors: [TensorData] = []
        for index in 1...4 {
            let id = node.inputs[index]
            guard graph.type(id).dataType == .f32 else { throw unsupported("statistics are not f32") }
            vectors.append(try constantData(id, layout: .plain, byteCount: channels * MemoryLayout<Float>.size))
        }
        let scale = try allocate(channels * MemoryLayout<Float>.size).assumingMemoryBound(to: Float.self)
        let shift = try allocate(channels * MemoryLayout<Float>.size).assumingMemoryBound(to: Float.self)
        for channel in 0..<channels {
            let (gamma, beta) = (vectors[0].load(channel, as: Float.self), vectors[1].load(channel, as: Float.self))
            let (mean, variance) = (vectors[2].load(channel, as: Float.self), vectors[3].load(channel, as: Float.self))
            let factor = Double(gamma) / (Double(variance) + Double(op.epsilon)).squareRoot()
            scale[channel] = Float(factor)
            shift[channel] = Float(Double(beta) - Double(mean) * factor)
        }
        let rows = x.shape.elementCount / channels
        let arguments = alula_affine_f32_args(
            input: UnsafePointer(x.pointer()), scale: scale, shift: shift, output: result.pointer(), rows: size(rows),
            c: size(channels))
        try append(.affineF32, arguments, items: rows)
    }

    mutating func bind(_ op: Softmax, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        guard all(.f32, x, result) else { throw unsupportedTypes(x, result) }
        let outer = x.shape.count(0..<op.axis)
        let arguments = alula_softmax_f32_args(
            input: UnsafePointer(x.pointer()), output: result.pointer(), outer: size(outer), n: size(x.shape[op.axis]),
            inner: size(x.shape.count(op.axis + 1..<x.shape.rank)))
        try append(.softmaxF32, arguments, items: outer)
    }
}
