/// Functions of one number. The raw value is the operator's name in graph text and the word after `act=`.
public enum UnaryFunction: String, Sendable, CaseIterable {
    case relu, relu6, sigmoid, tanh, exp, log, sqrt, rsqrt, reciprocal, negate, abs, erf
    /// x · Φ(x) with the error function (Hendrycks & Gimpel, arXiv 1606.08415).
    case gelu
    /// GELU by its tanh approximation from the same paper.
    case geluTanh = "gelu_tanh"
    /// x · sigmoid(x).
    case silu
    /// x · relu6(x + 3) / 6 (Howard et al., arXiv 1905.02244).
    case hardSwish = "hard_swish"
    /// clamp(x / 6 + 1/2, 0, 1).
    case hardSigmoid = "hard_sigmoid"
}

/// One function applied to every element. int8: a table of 256 entries.
public struct Unary: Sendable, Equatable {
    public var function: UnaryFunction
    public init(_ function: UnaryFunction) { self.function = function }
}

extension Unary: OperatorRule {
    package var name: String { function.rawValue }
    package var operands: [Operand] { [.required("x"), .optional("table")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        try checkVector(operands[1], count: 256, name: "table")
        return [operands[0]!.shape]
    }
}

/// Two tensors combined element by element; axes of size 1 and missing leading axes broadcast, as in NumPy.
public struct Binary: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case add, sub, mul, div, max, min, pow
    }

    public var kind: Kind
    /// Applied to the result; int8 knows relu and relu6, as clamps.
    public var activation: Activation = nil

    public init(_ kind: Kind, activation: Activation = nil) { (self.kind, self.activation) = (kind, activation) }
}

extension Binary: OperatorRule {
    package var name: String { kind.rawValue }
    package var operands: [Operand] { [.required("a"), .required("b")] }
    package var numericRule: NumericRule { kind == .add ? .arithmetic(f32Result: false) : .float }

    package func write(_ attributes: inout AttributeWriter) { writeActivation(activation, nil, &attributes) }

    package init(_ kind: Kind, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        self.kind = kind
        (activation, _) = try readActivation(&attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        [try broadcast(operands[0]!.shape, operands[1]!.shape)]
    }
}

/// The common shape of two operands: trailing axes aligned, sizes equal or 1.
func broadcast(_ a: Shape, _ b: Shape) throws(ShapeProblem) -> Shape {
    let rank = max(a.rank, b.rank)
    var result: [Int] = []
    for axis in 0..<rank {
        let sizeA = axis < rank - a.rank ? 1 : a[axis - (rank - a.rank)]
        let sizeB = axis < rank - b.rank ? 1 : b[axis - (rank - b.rank)]
        guard sizeA == sizeB || sizeA == 1 || sizeB == 1 else {
            throw ShapeProblem("\(a.description) and \(b.description) do not broadcast")
        }
        result.append(max(sizeA, sizeB))
    }
    return Shape(result)
}
