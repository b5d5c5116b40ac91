import AlulaGraph

// Operators that combine elements at the same place. They work in whatever order of axes their inputs lie.
extension Importer {
    static let elementwiseOperators =
        Array(unaryFunctions.keys) + Array(binaryKinds.keys) + [
            "Gelu", "Clip", "Cast", "CastLike", "Identity", "Dropout", "Sum", "Mean", "Max", "Min", "HardSigmoid",
            "com.microsoft:Gelu", "com.microsoft:FastGelu", "com.microsoft:QuickGelu", "com.microsoft:BiasGelu",
        ]

    private static let unaryFunctions: [String: UnaryFunction] = [
        "Relu": .relu, "Sigmoid": .sigmoid, "Tanh": .tanh, "Exp": .exp, "Log": .log, "Sqrt": .sqrt,
        "Reciprocal": .reciprocal, "Neg": .negate, "Abs": .abs, "Erf": .erf, "HardSwish": .hardSwish,
    ]

    private static let binaryKinds: [String: Binary.Kind] = [
        "Add": .add, "Sub": .sub, "Mul": .mul, "Div": .div, "Pow": .pow,
    ]

    mutating func elementwise(_ node: NodeContext) throws -> [ImportedValue] {
        if let function = Importer.unaryFunctions[node.op] { return [.view(try unary(function, view(node.input(0))))] }
        if node.op == "Pow", let power = try simplePower(node) { return [power] }
        if let kind = Importer.binaryKinds[node.op] { return [try binary(kind, node.input(0), node.input(1))] }
        switch node.op {
        case "Identity": return [try node.input(0)]
        case "Dropout": return try dropout(node)
        case "Cast", "CastLike": return [try cast(node)]
        case "Sum", "Mean", "Max", "Min": return [try variadic(node)]
        case "Clip": return [try clip(node)]
        case "HardSigmoid":
            let (alpha, beta) = (try node.float("alpha", default: 0.2), try node.float("beta", default: 0.5))
            let scaled = try binary(.mul, node.input(0), number(Double(alpha)))
            return [try clamp(binary(.add, scaled, number(Double(beta))), 0, 1)]
        case "Gelu":
            let isTanh = try node.string("approximate", default: "none") == "tanh"
            return [.view(try unary(isTanh ? .geluTanh : .gelu, view(node.input(0))))]
        case "BiasGelu": return [.view(try unary(.gelu, view(binary(.add, node.input(0), node.input(1)))))]
        case "FastGelu":
            var x = try node.input(0)
            if let bias = node.optional(1) { x = try binary(.add, x, bias) }
            return [.view(try unary(.geluTanh, view(x)))]
        case "QuickGelu":
            let alpha = try number(Double(node.float("alpha", default: 1.702)))
            let x = try node.input(0)
            return [try binary(.mul, x, .view(unary(.sigmoid, view(binary(.mul, x, alpha)))))]
        default: throw LoweringProblem.unsupported(needed: "operator \(node.op)")
        }
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
        var x = try view(node.input(0))
        switch (x.type, target) {
        case (_, .bool) where x.type != .bool:
            throw LoweringProblem.unsupported(needed: "a conversion of numbers to bool at run time")
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
