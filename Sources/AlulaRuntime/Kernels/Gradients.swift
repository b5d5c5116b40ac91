import AlulaGraph
import AlulaKernels

// The operators of training graphs.

extension StepBuilder {
    private func checkFloat(_ values: BoundValue...) throws(RuntimeError) {
        for value in values where value.type.dataType != .f32 { throw unsupportedTypes(value) }
    }

    mutating func bind(_ op: Conv2DWeightGradient, _ node: Node) throws(RuntimeError) {
        let (dy, x, result) = (try operand(node, 0), try operand(node, 1), try result(node))
        try checkFloat(dy, x, result)
        var arguments = alula_weight_gradient_f32_args()
        arguments.window = WeightedLayer(op.convolution, x.shape, result.shape, dy.shape).window
        (arguments.dy, arguments.x) = (UnsafePointer(dy.pointer()), UnsafePointer(x.pointer()))
        arguments.pad_row = try paddingRowF32()
        arguments.output = result.pointer()
        if op.convolution.isDepthwise(x.shape, result.shape), op.groups > 1 {
            try append(
                .depthwiseWeightGradientF32, arguments, items: (op.groups + 15) / 16,
                scratch: alula_depthwise_weight_gradient_f32_scratch(&arguments))
        } else {
            try append(
                .weightGradientF32, arguments, items: result.shape[0], grain: tileGrain,
                scratch: alula_weight_gradient_f32_scratch(&arguments))
        }
    }

    mutating func bind(_ op: UnaryGradient, _ node: Node) throws(RuntimeError) {
        let (dy, x, result) = (try operand(node, 0), try operand(node, 1), try result(node))
        try checkFloat(dy, x, result)
        let value = { (index: Int) in index < op.unary.parameters.count ? op.unary.parameters[index] : 0 }
        let arguments = alula_unary_gradient_f32_args(
            dy: UnsafePointer(dy.pointer()), x: UnsafePointer(x.pointer()), output: result.pointer(),
            function: kernelFunction(op.unary.function), parameters: (value(0), value(1), value(2), value(3)))
        try append(.unaryGradientF32, arguments, items: x.shape.elementCount, grain: elementGrain)
    }

    // MARK: By channel

    /// Chunks of rows, and memory for two numbers of each chunk and channel and five of each channel.
    private mutating func channelWork(_ x: Shape) throws(RuntimeError) -> (
        chunks: Int, rows: Int32, partial: UnsafeMutablePointer<Float>, total: UnsafeMutablePointer<Float>
    ) {
        let partial = try workspace(Workspace.channelBytes(x)).assumingMemoryBound(to: Float.self)
        let chunks = Workspace.chunks(x)
        return (chunks, size(x.elementCount / x.last), partial, partial + 2 * chunks * x.last)
    }

    private mutating func appendTotal(
        _ partial: UnsafePointer<Float>, chunks: Int, count: Int, to output: UnsafeMutablePointer<Float>
    ) throws(RuntimeError) {
        let arguments = alula_channel_total_f32_args(
            partial: partial, output: output, chunks: size(chunks), n: size(count))
        try append(.channelTotalF32, arguments, items: count, grain: 16)
    }

    mutating func bind(_ op: ChannelSum, _ node: Node) throws(RuntimeError) {
        let (a, b, result) = (try operand(node, 0), try optionalOperand(node, 1), try result(node))
        try checkFloat(a, b ?? a, result)
        let (chunks, rows, partial, _) = try channelWork(a.shape)
        let arguments = alula_channel_sum_f32_args(
            a: UnsafePointer(a.pointer()), b: b.map { UnsafePointer($0.pointer()) }, partial: partial, rows: rows,
            c: size(a.shape.last))
        try append(.channelSumF32, arguments, items: chunks)
        try appendTotal(partial, chunks: chunks, count: a.shape.last, to: result.pointer())
    }

    mutating func bind(_ op: BatchStatistics, _ node: Node) throws(RuntimeError) {
        let (x, mean, variance) = (try operand(node, 0), try result(node, 0), try result(node, 1))
        try checkFloat(x, mean, variance)
        let (chunks, rows, partial, _) = try channelWork(x.shape)
        let channels = size(x.shape.last)
        let moments = alula_channel_moments_f32_args(
            x: UnsafePointer(x.pointer()), partial: partial, rows: rows, c: channels)
        try append(.channelMomentsF32, moments, items: chunks)
        let arguments = alula_channel_variance_f32_args(
            partial: partial, mean: mean.pointer(), variance: variance.pointer(), rows: rows, c: channels)
        try append(.channelVarianceF32, arguments, items: x.shape.last, grain: 16)
    }

    mutating func bind(_ op: BatchNormGradient, _ node: Node) throws(RuntimeError) {
        let (dy, x, result) = (try operand(node, 0), try operand(node, 1), try result(node))
        let (gamma, mean, variance) = (try operand(node, 2), try operand(node, 4), try operand(node, 5))
        let (dgamma, dbeta) = (try self.result(node, 1), try self.result(node, 2))
        try checkFloat(dy, x, result, gamma, mean, variance)
        let channels = x.shape.last
        let vectors = try batchNormScale(op.norm, node, from: 2)
        let (chunks, rows, partial, total) = try channelWork(x.shape)
        let function = try layerFunction(op.norm.activation)
        // Without an activation g is dy itself.
        let g: UnsafeMutablePointer<Float> = op.norm.activation == nil ? dy.pointer() : result.pointer()
        let sums = alula_batch_norm_sums_f32_args(
            dy: UnsafePointer(dy.pointer()), x: UnsafePointer(x.pointer()), scale: vectors.scale, shift: vectors.shift,
            mean: UnsafePointer(mean.pointer()), g: g, partial: partial, rows: rows, c: size(channels),
            activation: function)
        try append(.batchNormSumsF32, sums, items: chunks)
        try appendTotal(partial, chunks: chunks, count: 2 * channels, to: total)
        let factors = total + 2 * channels
        let arguments = alula_batch_norm_factors_f32_args(
            total: total, gamma: UnsafePointer(gamma.pointer()), variance: UnsafePointer(variance.pointer()),
            dgamma: dgamma.pointer(), dbeta: dbeta.pointer(), factors: factors, epsilon: op.norm.epsilon, rows: rows,
            c: size(channels), is_constant: op.usesBatchStatistics ? 0 : 1)
        try append(.batchNormFactorsF32, arguments, items: channels, grain: 16)
        let last = alula_batch_norm_gradient_f32_args(
            g: UnsafePointer(g), x: UnsafePointer(x.pointer()), mean: UnsafePointer(mean.pointer()), factors: factors,
            output: result.pointer(), c: size(channels))
        try append(.batchNormGradientF32, last, items: Int(rows))
    }

    mutating func bind(_ op: LayerNormGradient, _ node: Node) throws(RuntimeError) {
        let (dy, x, gamma) = (try operand(node, 0), try operand(node, 1), try operand(node, 2))
        let (result, dgamma, dbeta) = (try result(node), try result(node, 1), try result(node, 2))
        try checkFloat(dy, x, gamma, result)
        let channels = x.shape.last
        let (chunks, rows, partial, total) = try channelWork(x.shape)
        let arguments = alula_layernorm_gradient_f32_args(
            dy: UnsafePointer(dy.pointer()), x: UnsafePointer(x.pointer()), gamma: UnsafePointer(gamma.pointer()),
            output: result.pointer(), partial: partial, rows: rows, c: size(channels), epsilon: op.epsilon)
        try append(.layerNormGradientF32, arguments, items: chunks)
        try appendTotal(partial, chunks: chunks, count: 2 * channels, to: total)
        let floats = MemoryLayout<Float>.stride
        for (index, target) in [dgamma, dbeta].enumerated() {
            try append(
                StridedCopy(
                    input: UnsafeRawPointer(total + index * channels), inputStrides: [1], output: target.address,
                    outputStrides: [1], shape: [channels], elementBytes: floats), parallel: index > 0)
        }
    }

    // MARK: Windows

    mutating func bind(_ op: PoolGradient, _ node: Node) throws(RuntimeError) {
        let (dy, x, result) = (try operand(node, 0), try optionalOperand(node, 1), try result(node))
        try checkFloat(dy, x ?? dy, result)
        let pool = alula_pool_f32_args(
            window: poolWindow(op.pool, result.shape, dy.shape), input: nil, output: nil,
            maximum: op.pool.kind == .maximum ? 1 : 0, count_padding: op.pool.countsPadding ? 1 : 0,
            pad_bottom: size(op.pool.padding.bottom), pad_right: size(op.pool.padding.right))
        let arguments = alula_pool_gradient_f32_args(
            pool: pool, dy: UnsafePointer(dy.pointer()), x: x.map { UnsafePointer($0.pointer()) },
            output: result.pointer())
        try append(.poolGradientF32, arguments, items: result.shape[0])
    }

    mutating func bind(_ op: AttentionGradient, _ node: Node) throws(RuntimeError) {
        let attention = op.attention
        let (dy, q) = (try operand(node, 0), try operand(node, 1))
        let (k, v) = (try optionalOperand(node, 2) ?? q, try optionalOperand(node, 3) ?? q)
        let bias = try optionalOperand(node, 1 + Attention.bias)
        let isSeparate = attention.packing == .separate
        let dq = try result(node)
        let (dk, dv) = (isSeparate ? try result(node, 1) : dq, isSeparate ? try result(node, 2) : dq)
        let scores = try result(node, node.outputs.count - 1)
        try checkFloat(dy, q, k, v, bias ?? dy, dq, scores)
        let places = AttentionPlaces(attention)
        var arguments = alula_attention_gradient_f32_args()
        arguments.shape = attentionShape(attention, places, q, k, bias)
        arguments.q = UnsafePointer(q.pointer(to: Float.self))
        arguments.k = UnsafePointer(k.pointer(to: Float.self) + places.k)
        arguments.v = UnsafePointer(v.pointer(to: Float.self) + places.v)
        arguments.dy = UnsafePointer(dy.pointer())
        arguments.dq = dq.pointer()
        arguments.dk = dk.pointer(to: Float.self) + places.k
        arguments.dv = dv.pointer(to: Float.self) + places.v
        arguments.scores = scores.pointer()
        try append(
            .attentionGradientF32, arguments, items: Int(arguments.shape.batch) * attention.heads,
            scratch: alula_attention_gradient_f32_scratch(&arguments))
    }
}
