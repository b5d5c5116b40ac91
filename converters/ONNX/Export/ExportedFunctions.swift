import AlulaGraph

// Functions of one number: operators of set 17, or what they are made of.
extension GraphExporter {
    mutating func apply(_ unary: Unary, _ x: String) -> String {
        let parameter = unary.parameters
        return switch unary.function {
        case .relu: emit("Relu", [x])
        case .relu6: emit("Clip", [x, number(0), number(6)])
        case .sigmoid: emit("Sigmoid", [x])
        case .tanh: emit("Tanh", [x])
        case .exp: emit("Exp", [x])
        case .log: emit("Log", [x])
        case .sqrt: emit("Sqrt", [x])
        case .rsqrt: emit("Reciprocal", [emit("Sqrt", [x])])
        case .reciprocal: emit("Reciprocal", [x])
        case .negate: emit("Neg", [x])
        case .abs: emit("Abs", [x])
        case .erf: emit("Erf", [x])
        case .sin: emit("Sin", [x])
        case .cos: emit("Cos", [x])
        case .tan: emit("Tan", [x])
        case .asin: emit("Asin", [x])
        case .acos: emit("Acos", [x])
        case .atan: emit("Atan", [x])
        case .sinh: emit("Sinh", [x])
        case .cosh: emit("Cosh", [x])
        case .asinh: emit("Asinh", [x])
        case .acosh: emit("Acosh", [x])
        case .atanh: emit("Atanh", [x])
        case .floor: emit("Floor", [x])
        case .ceil: emit("Ceil", [x])
        case .sign: emit("Sign", [x])
        case .round: emit("Round", [x])
        case .silu: emit("Mul", [x, emit("Sigmoid", [x])])
        case .swish: emit("Mul", [x, emit("Sigmoid", [times(x, parameter[0])])])
        case .hardSwish: emit("HardSwish", [x])
        case .hardSigmoid: emit("HardSigmoid", [x], ["alpha": .float(1 / 6), "beta": .float(0.5)])
        case .gelu: gelu(x, emit("Erf", [times(x, 0.70710678)]))
        case .geluTanh:
            gelu(x, emit("Tanh", [times(emit("Add", [x, times(cube(x), 0.044715)]), 0.79788456)]))
        case .softplus: emit("Softplus", [x])
        case .softsign: emit("Softsign", [x])
        case .mish: emit("Mul", [x, emit("Tanh", [emit("Softplus", [x])])])
        case .leakyRelu: emit("LeakyRelu", [x], ["alpha": .float(parameter[0])])
        case .thresholdedRelu: emit("ThresholdedRelu", [x], ["alpha": .float(parameter[0])])
        case .shrink: emit("Shrink", [x], ["lambd": .float(parameter[0]), "bias": .float(parameter[1])])
        case .elu: elu(x, alpha: parameter[0], scale: parameter[1], inner: parameter[2])
        case .clip:
            emit(
                "Clip",
                [plus(times(x, parameter[2]), parameter[3]), number(parameter[0]), number(parameter[1])])
        }
    }

    private mutating func times(_ x: String, _ factor: Float) -> String {
        factor == 1 ? x : emit("Mul", [x, number(factor)])
    }

    private mutating func plus(_ x: String, _ term: Float) -> String { term == 0 ? x : emit("Add", [x, number(term)]) }

    private mutating func cube(_ x: String) -> String { emit("Mul", [emit("Mul", [x, x]), x]) }

    /// `x · (1 + e) / 2`.
    private mutating func gelu(_ x: String, _ e: String) -> String {
        times(emit("Mul", [x, plus(e, 1)]), 0.5)
    }

    /// The part below 0 is that of ONNX's Elu at `inner · x`.
    private mutating func elu(_ x: String, alpha: Float, scale: Float, inner: Float) -> String {
        if inner == 1 { return times(emit("Elu", [x], ["alpha": .float(alpha)]), scale) }
        let below = emit("Elu", [emit("Min", [times(x, inner), number(0)])], ["alpha": .float(alpha)])
        return times(emit("Add", [emit("Relu", [x]), below]), scale)
    }
}
