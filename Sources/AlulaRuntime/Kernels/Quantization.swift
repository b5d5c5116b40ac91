import AlulaGraph
import AlulaKernels

extension StepBuilder {
    mutating func bind(_ op: Quantize, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        guard all(.f32, x), all(.u8, result) else { throw unsupportedTypes(x, result) }
        let own = try quantization(result)
        let arguments = alula_quantize_args(
            input: UnsafePointer(x.pointer()), output: result.pointer(), inverse_scale: 1 / own.scale,
            zero: own.zeroPoint)
        try append(.quantize, arguments, items: x.shape.elementCount, grain: elementGrain)
    }

    mutating func bind(_ op: Dequantize, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        guard all(.u8, x), all(.f32, result) else { throw unsupportedTypes(x, result) }
        let its = try quantization(x)
        let arguments = alula_dequantize_args(
            input: UnsafePointer(x.pointer()), output: result.pointer(), scale: its.scale, zero: its.zeroPoint)
        try append(.dequantize, arguments, items: x.shape.elementCount, grain: elementGrain)
    }
}
