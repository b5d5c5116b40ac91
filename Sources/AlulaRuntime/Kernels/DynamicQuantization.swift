import AlulaGraph
import AlulaKernels

// Scales that each run finds for itself. Layers behind them sum integers as all int8 layers do; what their kernels take from the zero point and
// the scale (bias, multiplier, padding) is computed by a small step in front of them.
extension StepBuilder {
    mutating func bindDynamicQuantize(_ node: Node) throws(RuntimeError) {
        let (x, numbers) = (try operand(node, 0), try result(node, 0))
        let (scale, zero) = (try result(node, 1), try result(node, 2))
        guard all(.f32, x, scale, zero), all(.u8, numbers) else { throw unsupportedTypes(x, numbers) }
        let count = x.shape.elementCount
        let block = Int(ALULA_RANGE_BLOCK)
        let blocks = (count + block - 1) / block
        let ranges = try allocate(2 * blocks * MemoryLayout<Float>.size).assumingMemoryBound(to: Float.self)
        let range = alula_range_f32_args(input: UnsafePointer(x.pointer()), ranges: ranges, count: count)
        try append(.rangeF32, range, items: blocks)
        let arguments = alula_dynamic_quantize_args(
            input: UnsafePointer(x.pointer()), ranges: UnsafePointer(ranges), output: numbers.pointer(),
            scale: scale.pointer(), zero: zero.pointer(), blocks: size(blocks))
        try append(.dynamicQuantize, arguments, items: count, grain: elementGrain)
    }

    /// The arguments of a layer whose operand has the zero point, and perhaps the scale, of each run.
    mutating func dynamicArguments(
        _ layer: WeightedLayer, _ node: Node, _ x: BoundValue, _ result: BoundValue
    ) throws(RuntimeError) -> (alula_conv_u8s8_args, Layout) {
        let zero = try operand(node, WeightedOperand.inputZero)
        let scale = try optionalOperand(node, WeightedOperand.inputScale)
        guard all(.f32, result, zero), scale.map({ $0.type.dataType == .f32 }) ?? true, layer.activation == nil else {
            throw unsupported("x_zero is for f32 results without activation")
        }
        guard try quantization(x) == .identity else { throw unsupported("x_zero is for numbers of scale 1, zero 0") }
        let geometry = layer.geometry
        guard geometry.taps * geometry.inputs <= Int8Limits.depth else {
            throw unsupported("sums more than \(Int8Limits.depth) products, which i32 may not hold")
        }
        let (weight, layout) = try weights(node, geometry, .s8)
        guard let multiplier = try channelVector(node, WeightedOperand.multiplier, .f32, geometry, layout) else {
            throw unsupported("int8 weights need a multiplier")
        }
        try checkMultiplier(node)
        // Kernels read whole blocks of 16 channels of each group.
        let stride = layout == .taps ? 1 : roundUp(geometry.outputs, 16)
        let isDense = layout == .taps || geometry.groups == 1 || geometry.outputs % 16 == 0
        let count = isDense ? geometry.groups * geometry.outputs : geometry.groups * stride
        let bytes = roundUp(count, 16) * MemoryLayout<Float>.size
        let sums = try allocate(bytes).assumingMemoryBound(to: Int32.self)
        let groupStride = isDense ? geometry.outputs : stride
        addWeights(weight.assumingMemoryBound(to: Int8.self), layout, geometry, to: sums, groupStride: groupStride)
        let bias = try allocate(bytes).assumingMemoryBound(to: Int32.self)
        let multipliers = try allocate(bytes).assumingMemoryBound(to: Float.self)
        let padding = try allocate(paddingRowBytes).assumingMemoryBound(to: UInt8.self)
        let preparation = alula_dynamic_layer_args(
            zero: UnsafePointer(zero.pointer()), scale: scale.map { UnsafePointer($0.pointer()) },
            multiplier: UnsafePointer(multiplier.assumingMemoryBound(to: Float.self)), sums: UnsafePointer(sums),
            bias_result: bias, multiplier_result: multipliers, pad_row: padding, count: size(count),
            pad_bytes: size(paddingRowBytes))
        try append(.dynamicLayer, preparation, items: 1)
        var arguments = alula_conv_u8s8_args()
        arguments.window = layer.window
        arguments.input = UnsafePointer(x.pointer())
        arguments.weight = UnsafePointer(weight.assumingMemoryBound(to: Int8.self))
        (arguments.bias, arguments.multiplier) = (UnsafePointer(bias), UnsafePointer(multipliers))
        arguments.pad_row = UnsafePointer(padding)
        arguments.output_f32 = result.pointer()
        return (arguments, layout)
    }

    /// The sum of each output channel's weights.
    private func addWeights(
        _ weight: UnsafePointer<Int8>, _ layout: Layout, _ geometry: WeightGeometry,
        to sums: UnsafeMutablePointer<Int32>, groupStride: Int
    ) {
        for group in 0..<geometry.groups {
            for output in 0..<geometry.outputs {
                var sum: Int32 = 0
                for tap in 0..<geometry.taps {
                    for input in 0..<geometry.inputs {
                        sum += Int32(
                            weight[geometry.index(layout, group: group, output: output, tap: tap, input: input)])
                    }
                }
                sums[group * groupStride + output] = sum
            }
        }
    }
}
