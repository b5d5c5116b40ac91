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

    /// A scale and a shift for each channel, computed in f64 when the session is made, or in every run where they are not constant.
    mutating func bind(_ op: BatchNorm, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        guard all(.f32, x, result) else { throw unsupportedTypes(x, result) }
        let channels = x.shape.last
        if node.inputs.dropFirst().contains(where: { graph[$0].constant == nil }) {
            let vectors = try batchNormScale(op, node, from: 1)
            return try appendAffine(op, x, vectors.scale, vectors.shift, result)
        }
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
        try appendAffine(op, x, scale, shift, result)
    }

    private mutating func appendAffine(
        _ op: BatchNorm, _ x: BoundValue, _ scale: UnsafePointer<Float>, _ shift: UnsafePointer<Float>,
        _ result: BoundValue
    ) throws(RuntimeError) {
        let rows = x.shape.elementCount / x.shape.last
        let arguments = alula_affine_f32_args(
            input: UnsafePointer(x.pointer()), scale: scale, shift: shift, output: result.pointer(), rows: size(rows),
            c: size(x.shape.last), activation: try layerFunction(op.activation))
        try append(.affineF32, arguments, items: rows)
    }

    /// Appends the step that computes a batch norm's scale and shift. Gamma is operand `first`, beta, mean and variance follow.
    mutating func batchNormScale(
        _ op: BatchNorm, _ node: Node, from first: Int
    ) throws(RuntimeError) -> (scale: UnsafePointer<Float>, shift: UnsafePointer<Float>) {
        var vectors: [UnsafePointer<Float>] = []
        for index in first..<first + 4 {
            let vector = try operand(node, index)
            guard all(.f32, vector) else { throw unsupportedTypes(vector) }
            vectors.append(UnsafePointer(vector.pointer()))
        }
        let channels = graph.shape(node.inputs[first]).elementCount
        let scale = try allocate(channels * MemoryLayout<Float>.size).assumingMemoryBound(to: Float.self)
        let shift = try allocate(channels * MemoryLayout<Float>.size).assumingMemoryBound(to: Float.self)
        let arguments = alula_batch_norm_scale_f32_args(
            gamma: vectors[0], beta: vectors[1], mean: vectors[2], variance: vectors[3], scale: scale, shift: shift,
            epsilon: op.epsilon)
        try append(.batchNormScaleF32, arguments, items: channels, grain: 16)
        return (UnsafePointer(scale), UnsafePointer(shift))
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
