/// f32 to u8 with the result's quantization: `clamp(rne(x · (1 / scale)) + zero)`.
public struct Quantize: Sendable, Equatable { public init() {} }

extension Quantize: OperatorRule {
    package var name: String { "quantize" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .quantize }
    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] { [operands[0]!.shape] }
}

/// u8 to f32: `scale · (x - zero)`.
public struct Dequantize: Sendable, Equatable { public init() {} }

extension Dequantize: OperatorRule {
    package var name: String { "dequantize" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .dequantize }
    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] { [operands[0]!.shape] }
}

/// f32 to u8 in 255 steps from the least to the greatest number of this very tensor, 0 included: ONNX's DynamicQuantizeLinear. Three results: the
/// u8 numbers, which stand for themselves (scale 1, zero point 0), and of one f32 element each the scale and the zero point that they count in:
/// `scale = (high - low) / 255`, or 1 where both are 0; `zero = rne(clamp(-low / scale, 0, 255))`; `number = clamp(rne(x / scale) + zero, 0, 255)`.
public struct DynamicQuantize: Sendable, Equatable { public init() {} }

extension DynamicQuantize: OperatorRule {
    package var name: String { "dynamic_quantize" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .dynamicQuantize }
    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        [operands[0]!.shape, [], []]
    }
}

/// u8 to u8 under another scale and zero point, by a table.
public struct Requantize: Sendable, Equatable { public init() {} }

extension Requantize: OperatorRule {
    package var name: String { "requantize" }
    package var operands: [Operand] { [.required("x"), .required("table")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }
    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        try checkVector(operands[1], count: 256, name: "table")
        return [operands[0]!.shape]
    }
}
