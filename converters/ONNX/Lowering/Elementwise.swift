import AlulaGraph

// Operators that combine elements at the same place. They work in whatever order of axes their inputs lie.
extension Importer {
    static let elementwiseOperators =
        Array(unaryFunctions.keys) + Array(binaryKinds.keys) + [
            "Gelu", "Clip", "Cast", "CastLike", "Identity", "Dropout", "Sum", "Mean", "Max", "Min", "HardSigmoid",
            "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Shrink", "Swish", "Mod",
            "com.microsoft:Gelu", "com.microsoft:FastGelu", "com.microsoft:QuickGelu", "com.microsoft:BiasGelu",
        ]

    private static let unaryFunctions: [String: UnaryFunction] = [
        "Relu": .relu, "Sigmoid": .sigmoid, "Tanh": .tanh, "Exp": .exp, "Log": .log, "Sqrt": .sqrt,
        "Reciprocal": .reciprocal, "Neg": .negate, "Abs": .abs, "Erf": .erf, "HardSwish": .hardSwish,
        "Sin": .sin, "Cos": .cos, "Tan": .tan, "Asin": .asin, "Acos": .acos, "Atan": .atan, "Sinh": .sinh,
        "Cosh": .cosh,
        "Asinh": .asinh, "Acosh": .acosh, "Atanh": .atanh, "Floor": .floor, "Ceil": .ceil, "Round": .round,
        "Sign": .sign,
        "Softplus": .softplus, "Softsign": .softsign, "Mish": .mish,
    ]

    private static let binaryKinds: [String: Binary.Kind] = [
        "Add": .add, "Sub": .sub, "Mul": .mul, "Div": .div, "Pow": .pow, "PRelu": .prelu,
    ]

    mutating func elementwise(_ node: NodeContext) throws -> [ImportedValue] {
        if let function = Importer.unaryFunctions[node.op] { return [.view(try unary(function, view(node.input(0))))] }
        if node.op == "Pow", let power = try simplePower(node) { return [power] }
        if let kind = Importer.binaryKinds[node.op] { return [try binary(kind, node.input(0), second(node))] }
        switch node.op {
        case "Identity": return [try node.input(0)]
        case "Dropout": return try dropout(node)
        case "Cast", "CastLike": return [try cast(node)]
        case "Sum", "Mean", "Max", "Min": return [try variadic(node)]
        case "Clip": return [try clip(node)]
        case "Mod": return [try binary(try node.flag("fmod") ? .fmod : .mod, node.input(0), node.input(1))]
        case "Gelu":
            let isTanh = try node.string("approximate", default: "none") == "tanh"
            return [.view(try unary(isTanh ? .geluTanh : .gelu, view(node.input(0))))]
        case "BiasGelu": return [.view(try unary(.gelu, view(binary(.add, node.input(0), node.input(1)))))]
        case "FastGelu":
            var x = try node.input(0)
            if let bias = node.optional(1) { x = try binary(.add, x, bias) }
            return [.view(try unary(.geluTanh, view(x)))]
        default: return [.view(try parameterized(node))]
        }
    }

    /// The second operand. Before opset 7 it could be laid along the axes from one on: `axis`, or 1 for PRelu.
    private mutating func second(_ node: NodeContext) throws -> ImportedValue {
        let value = try node.input(1)
        guard node.opset < 7, let shape = value.shape, shape.reduce(1, *) > 1,
            node.has("axis") || node.op == "PRelu"
        else { return value }
        let rank = try node.shape(0).count
        let axis = try node.axis(node.int("axis", default: 1), rank: max(rank, 1))
        guard axis + shape.count <= rank else { throw LoweringProblem.invalid("its operands do not broadcast") }
        let ones = [Int](repeating: 1, count: rank - axis - shape.count)
        return .view(try reshaped(view(value), to: shape + ones))
    }

    /// Functions with parameters of their own.
    private mutating func parameterized(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let parameter = { (name: String, value: Float) throws in try node.float(name, default: value) }
        let op: Unary
        switch node.op {
        case "LeakyRelu": op = Unary(.leakyRelu, try parameter("alpha", 0.01))
        case "Elu": op = Unary(.elu, try parameter("alpha", 1))
        case "Selu":
            op = Unary(.elu, try parameter("alpha", 1.673_263_2), try parameter("gamma", 1.050_701))
        case "Celu":
            let alpha = try parameter("alpha", 1)
            op = Unary(.elu, alpha, 1, 1 / alpha)
        case "ThresholdedRelu": op = Unary(.thresholdedRelu, try parameter("alpha", 1))
        case "Shrink": op = Unary(.shrink, try parameter("lambd", 0.5), try parameter("bias", 0))
        case "Swish": op = Unary(.swish, try parameter("alpha", 1))
        case "QuickGelu": op = Unary(.swish, try parameter("alpha", 1.702))
        case "HardSigmoid":
            let (alpha, beta) = (try parameter("alpha", 0.2), try parameter("beta", 0.5))
            let isUsual = abs(alpha - 1 / 6) < 1e-6 && beta == 0.5
            op = isUsual ? Unary(.hardSigmoid) : Unary(.clip, 0, 1, alpha, beta)
        default: throw LoweringProblem.unsupported(needed: "operator \(node.op)")
        }
        return View(try emit(.unary(op), [x.id]), x.shape, order: x.order, type: x.type)
    }

    // MARK: Building blocks

    func number(_ value: Double) -> ImportedValue { .host(HostTensor(scalar: value)) }

    mutating func unary(_ function: UnaryFunction, _ x: View) throws -> View {
        View(try emit(.unary(Unary(function)), [x.id]), x.shape, order: x.order, type: x.type)
    }

    mutating func binary(_ kind: Binary.Kind, _ a: ImportedValue, _ b: ImportedValue, type: DataType? = nil) throws
        -> ImportedValue
    {
        let aligned = try align([a, b])
        let id = try emit(.binary(Binary(kind)), aligned.ids)
        return try result(id, aligned, type: type ?? a.type ?? .f32)
    }

    /// The result of an operator on aligned operands, which may have left out leading axes of size 1.
    mutating func result(_ id: ValueID, _ aligned: Aligned, type: DataType) throws -> ImportedValue {
        let stored = aligned.order.map { aligned.shape[$0] }
        return .view(View(try reshape(id, stored), aligned.shape, order: aligned.order, type: type))
    }

    mutating func clamp(_ x: ImportedValue, _ low: Double, _ high: Double) throws -> ImportedValue {
        if low == 0, high == 6 { return .view(try unary(.relu6, view(x))) }
        if low == 0, high == .infinity { return .view(try unary(.relu, view(x))) }
        if low <= high, low.magnitude < 3e38, high.magnitude < 3e38 {
            let view = try view(x)
            let id = try emit(.unary(Unary(.clip, Float(low), Float(high))), [view.id])
            return .view(View(id, view.shape, order: view.order, type: view.type))
        }
        var result = x
        if low > -.infinity { result = try binary(.max, result, number(low)) }
        if high < .infinity { result = try binary(.min, result, number(high)) }
        return result
    }

    // MARK: Single operators

    private mutating func simplePower(_ node: NodeContext) throws -> ImportedValue? {
        guard case .host(let exponent)? = node.optional(1), exponent.count == 1, exponent.shape.count <= 1 else {
            return nil
        }
        let x = try node.input(0)
        switch exponent.reals[0] {
        case 1: return x
        case 2: return try binary(.mul, x, x)
        case 0.5: return .view(try unary(.sqrt, view(x)))
        case -1: return .view(try unary(.reciprocal, view(x)))
        default: return nil
        }
    }

    private mutating func variadic(_ node: NodeContext) throws -> ImportedValue {
        var result = try node.input(0)
        let kind: Binary.Kind = node.op == "Max" ? .max : node.op == "Min" ? .min : .add
        for index in 1..<max(node.inputs.count, 1) { result = try binary(kind, result, node.input(index)) }
        guard node.op == "Mean", node.inputs.count > 1 else { return result }
        return try binary(.div, result, number(Double(node.inputs.count)))
    }

    private mutating func clip(_ node: NodeContext) throws -> ImportedValue {
        let x = try node.input(0)
        let low: Double?
        let high: Double?
        if node.opset < 11 {
            low = Double(try node.float("min", default: -.infinity))
            high = Double(try node.float("max", default: .infinity))
        } else {
            low = try node.scalar(1, "min")
            high = try node.scalar(2, "max")
        }
        return try clamp(x, low ?? -.infinity, high ?? .infinity)
    }

    /// All float types are computed in f32. A bool is 0 or 1 already.
    private mutating func cast(_ node: NodeContext) throws -> ImportedValue {
        let target: DataType
        if node.op == "CastLike" {
            guard let type = try node.input(1).type else { throw LoweringProblem.invalid("its type is not known") }
            target = type
        } else {
            let number = try node.int("to", default: 0)
            guard let type = DataType(onnx: number) else {
                throw LoweringProblem.unsupported(needed: "elements of \(DataType.onnxName(number))")
            }
            target = type
        }
        if case .host(let known) = try node.input(0), known.count <= model.limits.constantElements {
            return .host(try Evaluator(context: node, limit: model.limits.constantElements).cast(known, target))
        }
        var x = try view(node.input(0))
        switch (x.type, target) {
        case (_, .bool) where x.type != .bool: return try negated(equal(.view(x), number(0)))
        case (.bool, _): break
        case (_, _) where target.isFloat || x.type.isInteger: break
        default: throw LoweringProblem.unsupported(needed: "\(target.name) numbers that are computed at run time")
        }
        x.type = target
        return .view(x)
    }

    /// At inference the identity; its mask keeps everything.
    private mutating func dropout(_ node: NodeContext) throws -> [ImportedValue] {
        if let training = try node.host(2, "training_mode"), training.integers.first ?? 0 != 0 {
            throw LoweringProblem.unsupported(needed: "training mode, which draws random numbers")
        }
        let x = try node.input(0)
        let shape = try node.shape(0)
        let count = shape.reduce(1, *)
        guard node.outputCount > 1, count <= model.limits.constantElements else { return [x] }
        return [x, .host(HostTensor(.bool, shape, integers: [Int](repeating: 1, count: count)))]
    }
}
