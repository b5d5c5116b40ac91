import AlulaGraph
import AlulaKernels

extension StepBuilder {
    mutating func bind(_ op: Pool, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        let window = poolWindow(op, x.shape, result.shape)
        let (maximum, counts): (Int32, Int32) = (op.kind == .maximum ? 1 : 0, op.countsPadding ? 1 : 0)
        let items = result.shape[0] * result.shape[1]
        if all(.f32, x, result) {
            let arguments = alula_pool_f32_args(
                window: window, input: UnsafePointer(x.pointer()), output: result.pointer(), maximum: maximum,
                count_padding: counts,
                pad_bottom: size(op.padding.bottom), pad_right: size(op.padding.right))
            try append(.poolF32, arguments, items: items)
            return
        }
        guard all(.u8, x, result) else { throw unsupportedTypes(x, result) }
        let (its, own) = (try quantization(x), try quantization(result))
        guard op.kind == .average || its == own else { throw unsupported("a maximum keeps its operand's quantization") }
        let arguments = alula_pool_u8_args(
            window: window, input: UnsafePointer(x.pointer()), output: result.pointer(), maximum: maximum,
            count_padding: counts,
            pad_bottom: size(op.padding.bottom), pad_right: size(op.padding.right), zero_in: its.zeroPoint,
            zero: own.zeroPoint,
            multiplier: its.scale / own.scale)
        try check(multiplier: arguments.multiplier)
        try append(.poolU8, arguments, items: items)
    }

    func poolWindow(_ op: Pool, _ x: Shape, _ result: Shape) -> alula_window {
        alula_window(
            batch: size(x[0]), in_h: size(x[1]), in_w: size(x[2]), out_h: size(result[1]), out_w: size(result[2]),
            in_c: size(x[3]), out_c: size(x[3]), groups: 1, kernel_h: size(op.kernel.height),
            kernel_w: size(op.kernel.width), stride_h: size(op.stride.height), stride_w: size(op.stride.width),
            pad_top: size(op.padding.top), pad_left: size(op.padding.left), dilation_h: size(op.dilation.height),
            dilation_w: size(op.dilation.width))
    }

    mutating func bind(_ op: PoolMixer, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        let shape = x.shape
        let items = shape[0] * shape[1]
        if all(.f32, x, result) {
            guard let scale = try optionalOperand(node, PoolMixer.scale) else { throw unsupported("f32 needs scale") }
            guard all(.f32, scale) else { throw unsupportedTypes(x, scale) }
            let arguments = alula_pool_mixer_f32_args(
                input: UnsafePointer(x.pointer()), scale: UnsafePointer(scale.pointer()), output: result.pointer(),
                batch: size(shape[0]), h: size(shape[1]), w: size(shape[2]), c: size(shape[3]), size: size(op.size))
            try append(.poolMixerF32, arguments, items: items)
            return
        }
        guard all(.u8, x, result) else { throw unsupportedTypes(x, result) }
        guard let center = try optionalOperand(node, PoolMixer.center),
            let average = try optionalOperand(node, PoolMixer.average)
        else {
            throw unsupported("int8 needs center and average")
        }
        guard all(.f32, center, average) else { throw unsupportedTypes(center, average) }
        let arguments = alula_pool_mixer_u8_args(
            input: UnsafePointer(x.pointer()), center: UnsafePointer(center.pointer()),
            average: UnsafePointer(average.pointer()),
            output: result.pointer(), batch: size(shape[0]), h: size(shape[1]), w: size(shape[2]), c: size(shape[3]),
            size: size(op.size), zero_in: try quantization(x).zeroPoint, zero: try quantization(result).zeroPoint)
        try append(.poolMixerU8, arguments, items: items)
    }
}
