import AlulaGraph

/// Computes nodes whose inputs are known while importing: the arithmetic of shapes and indices, masks, and small constants. Numbers are
/// computed as Double or Int and rounded to their type.
struct Evaluator {
    let context: NodeContext
    /// The most elements that a result may have.
    let limit: Int

    /// Data above this many elements are left to the graph, where the compiler folds them.
    private static let maximumFloats = 1 << 16

    /// Operators that are evaluated here and have no counterpart in the graph.
    static let constantOperators = [
        "Constant", "ConstantOfShape", "Range", "EyeLike", "NonZero", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
    ]

    /// The results, or nil if the graph has to compute them.
    func evaluate(_ inputs: [HostTensor?]) throws -> [HostTensor]? {
        if let result = try moved(inputs) { return [result] }
        let isLarge = inputs.contains { $0 != nil && $0!.type.isFloat && $0!.count > Evaluator.maximumFloats }
        guard !isLarge, !inputs.contains(where: { ($0?.count ?? 0) > limit }) else { return nil }
        if let result = try requantized(inputs) { return [result] }
        return try generated(inputs) ?? arithmetic(inputs) ?? rearranged(inputs)
    }

    func check(_ shape: [Int]) throws {
        guard shape.allSatisfy({ $0 >= 0 }), let count = shape.contains(0) ? 0 : Importer.product(shape), count <= limit
        else {
            throw LoweringProblem.unsupported(
                needed: "a constant of shape \(Shape(shape).description), more than \(limit) elements")
        }
    }

    /// Operators that give the same elements under another shape or name; even of large weights nothing is copied.
    private func moved(_ inputs: [HostTensor?]) throws -> HostTensor? {
        switch context.node.qualifiedOp {
        case "Identity": return inputs.first ?? nil
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
            guard let x = inputs.first ?? nil else { throw LoweringProblem.invalid("input 0 is missing") }
            return x.reshaped(try Importer.newShape(context, x.shape))
        case "Cast":
            guard let x = inputs.first ?? nil else { throw LoweringProblem.invalid("input 0 is missing") }
            return DataType(onnx: try context.int("to", default: 0)) == x.type ? x : nil
        default: return nil
        }
    }

    /// Weights of quantized models.
    private func requantized(_ inputs: [HostTensor?]) throws -> HostTensor? {
        guard context.op == "QuantizeLinear" || context.op == "DequantizeLinear", inputs.count >= 2, let x = inputs[0],
            let scales = inputs[1], try context.int("block_size", default: 0) == 0
        else { return nil }
        let zeros = inputs.count > 2 ? inputs[2] : nil
        let axis = scales.count == 1 ? nil : try context.axis(context.int("axis", default: 1), rank: x.shape.count)
        return context.op == "QuantizeLinear"
            ? try x.quantized(scales, zeros, axis: axis) : try x.dequantized(scales, zeros, axis: axis)
    }

    // MARK: From attributes and shapes

    private func generated(_ inputs: [HostTensor?]) throws -> [HostTensor]? {
        switch context.node.qualifiedOp {
        case "Constant": return [try constant()]
        case "ConstantOfShape":
            guard let shape = inputs.first??.integers else { throw LoweringProblem.invalid("the shape is missing") }
            try check(shape)
            var value = HostTensor(.f32, [1], reals: [0])
            if case .tensor(let given) = context.node.attributes["value"] { value = given }
            guard value.count == 1 else { throw LoweringProblem.invalid("its value is not one number") }
            let count = shape.reduce(1, *)
            return [
                value.type.isFloat
                    ? HostTensor(value.type, shape, reals: [Double](repeating: value.reals[0], count: count))
                    : HostTensor(value.type, shape, integers: [Int](repeating: value.integers[0], count: count))
            ]
        case "Range": return [try range(inputs)]
        case "EyeLike":
            let shape = try context.shape(0)
            guard shape.count == 2 else { throw LoweringProblem.invalid("\(shape.count) axes, where 2 are needed") }
            try check(shape)
            let offset = try context.int("k", default: 0)
            let type = try DataType(onnx: context.int("dtype", default: 0)) ?? inputs[0]?.type ?? .f32
            let values = (0..<shape[0] * shape[1]).map { $0 % shape[1] - $0 / shape[1] == offset ? 1 : 0 }
            return [
                type.isFloat
                    ? HostTensor(type, shape, reals: values.map { Double($0) })
                    : HostTensor(type, shape, integers: values)
            ]
        case "Shape", "Size":
            let node = context
            let shape = try node.shape(0)
            if node.op == "Size" { return [HostTensor(.i64, [], integers: [shape.reduce(1, *)])] }
            let bound = { (value: Int) in min(max(value < 0 ? value + shape.count : value, 0), shape.count) }
            let start = bound(try node.int("start", default: 0))
            let end = bound(try node.int("end", default: shape.count))
            return [HostTensor(indices: Array(shape[start..<max(start, end)]))]
        default: return nil
        }
    }

    private func constant() throws -> HostTensor {
        let attributes = context.node.attributes
        if case .tensor(let value) = attributes["value"] { return value }
        if case .float(let value) = attributes["value_float"] { return HostTensor(scalar: Double(value)) }
        if case .int(let value) = attributes["value_int"] { return HostTensor(.i64, [], integers: [value]) }
        if case .floats(let values) = attributes["value_floats"] {
            return HostTensor(.f32, [values.count], reals: values.map { Double($0) })
        }
        if case .ints(let values) = attributes["value_ints"] { return HostTensor(indices: values) }
        throw LoweringProblem.unsupported(
            needed: "a constant of \(attributes.keys.sorted().joined(separator: ", ").quotedForMessage)")
    }

    private func range(_ inputs: [HostTensor?]) throws -> HostTensor {
        guard inputs.count == 3, let start = inputs[0], let end = inputs[1], let step = inputs[2],
            start.count == 1, end.count == 1, step.count == 1
        else { throw LoweringProblem.invalid("takes three numbers") }
        let (first, delta) = (start.reals[0], step.reals[0])
        guard delta != 0 else { throw LoweringProblem.invalid("steps of 0") }
        let count = max(0, Int(clamping: ((end.reals[0] - first) / delta).rounded(.up)))
        try check([count])
        if start.type.isFloat {
            return HostTensor(start.type, [count], reals: (0..<count).map { first + Double($0) * delta })
        }
        let (begin, by) = (start.integers[0], step.integers[0])
        return HostTensor(start.type, [count], integers: (0..<count).map { begin &+ $0 &* by })
    }
}
