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
