/// Functions of one number. The raw value is the operator's name in graph text and, for functions without parameters, the word after `act=`.
public enum UnaryFunction: String, Sendable, CaseIterable {
    case relu, relu6, sigmoid, tanh, exp, log, sqrt, rsqrt, reciprocal, negate, abs, erf
    case sin, cos, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh
    case floor, ceil, sign
    /// To the nearest integer, ties to even.
    case round
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
    /// log(1 + exp(x)).
    case softplus
    /// x / (1 + |x|).
    case softsign
    /// x · tanh(softplus(x)) (Misra, arXiv 1908.08681).
    case mish
    /// x · sigmoid(alpha · x); 1.702 gives CLIP's "quick" GELU.
    case swish
    /// x where positive, alpha · x elsewhere.
    case leakyRelu = "leaky_relu"
    /// scale · x where positive, scale · alpha · (exp(input_scale · x) − 1) elsewhere; SELU and CELU are two of these.
    case elu
    /// x above alpha, 0 elsewhere.
    case thresholdedRelu = "thresholded_relu"
    /// x brought towards 0 by bias where |x| > lambda, 0 elsewhere.
    case shrink
    /// clamp(scale · x + offset, low, high).
    case clip

    /// Names and defaults of the function's parameters, in order.
    public var parameters: [(name: String, default: Float)] {
        switch self {
        case .swish: [("alpha", 1)]
        case .leakyRelu: [("alpha", 0.01)]
        case .elu: [("alpha", 1), ("scale", 1), ("input_scale", 1)]
        case .thresholdedRelu: [("alpha", 1)]
        case .shrink: [("lambda", 0.5), ("bias", 0)]
        case .clip: [("low", 0), ("high", 1), ("scale", 1), ("offset", 0)]
        default: []
        }
    }
}

/// One function applied to every element. int8: a table of 256 entries.
public struct Unary: Sendable, Equatable {
    public let function: UnaryFunction
    /// One value for each of the function's parameters.
    public let parameters: [Float]

    /// Parameters that are left out have their defaults; there may not be more than the function has.
    public init(_ function: UnaryFunction, _ parameters: Float...) { self.init(function, parameters) }

    private init(_ function: UnaryFunction, _ parameters: [Float]) {
        let known = function.parameters
        precondition(parameters.count <= known.count, "more parameters than the function has")
        self.function = function
        self.parameters = parameters + known.dropFirst(parameters.count).map { $0.default }
    }
}

extension Unary: OperatorRule {
    package var name: String { function.rawValue }
    package var operands: [Operand] { [.required("x"), .optional("table")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }

    package func write(_ attributes: inout AttributeWriter) {
        for (value, parameter) in zip(parameters, function.parameters) {
            attributes.add(parameter.name, value, default: parameter.default)
        }
    }

    package init(_ function: UnaryFunction, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        var values: [Float] = []
        for parameter in function.parameters {
            values.append(try attributes.float(parameter.name, default: parameter.default))
        }
        self.init(function, values)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        guard parameters.allSatisfy({ $0.isFinite }) else { throw ShapeProblem("a parameter is not finite") }
        try checkVector(operands[1], count: 256, name: "table")
        return [operands[0]!.shape]
    }
}

/// Two tensors combined element by element; axes of size 1 and missing leading axes broadcast, as in NumPy.
public struct Binary: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case add, sub, mul, div, max, min, pow
        /// 1 where the comparison holds, 0 elsewhere.
        case equal, less
        case lessEqual = "less_equal"
        /// The remainder with the divisor's sign.
        case mod
        /// The remainder with the dividend's sign, as C has it.
        case fmod
        /// a where positive, a · b elsewhere.
        case prelu
    }

    public var kind: Kind
    /// Applied to the result; int8 knows relu and relu6, as clamps.
    public var activation: Activation = nil

    public init(_ kind: Kind, activation: Activation = nil) { (self.kind, self.activation) = (kind, activation) }
}

extension Binary: OperatorRule {
    package var name: String { kind.rawValue }
    package var operands: [Operand] { [.required("a"), .required("b")] }
    package var numericRule: NumericRule { hasInt8Form ? .arithmetic(f32Result: false) : .float }
    package var hasInt8Form: Bool { kind == .add || kind == .sub || kind == .mul }

    package func write(_ attributes: inout AttributeWriter) { writeActivation(activation, nil, &attributes) }

    package init(_ kind: Kind, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        self.kind = kind
        (activation, _) = try readActivation(&attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        [try broadcast(operands[0]!.shape, operands[1]!.shape)]
    }
}

/// `a` where the condition is not 0, `b` elsewhere; all three broadcast.
public struct Select: Sendable, Equatable { public init() {} }

extension Select: OperatorRule {
    package var name: String { "select" }
    package var operands: [Operand] { [.required("condition"), .required("a"), .required("b")] }
    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        [try broadcast(try broadcast(operands[0]!.shape, operands[1]!.shape), operands[2]!.shape)]
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
