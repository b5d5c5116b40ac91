import AlulaGraph

// Comparisons, logic and choice. A bool is 0 or 1 in f32.
extension Importer {
    static let comparisonOperators = [
        "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Not", "Where", "IsNaN",
        "IsInf",
        "OneHot", "Trilu", "Hardmax",
    ]

    mutating func comparison(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try node.input(0)
        switch node.op {
        case "Equal": return [try equal(x, node.input(1))]
        case "Less": return [try binary(.less, x, node.input(1), type: .bool)]
        case "LessOrEqual": return [try binary(.lessEqual, x, node.input(1), type: .bool)]
        case "Greater": return [try binary(.less, node.input(1), x, type: .bool)]
        case "GreaterOrEqual": return [try binary(.lessEqual, node.input(1), x, type: .bool)]
        case "And": return [try binary(.mul, x, node.input(1), type: .bool)]
        case "Or": return [try binary(.max, x, node.input(1), type: .bool)]
        case "Xor": return [try negated(equal(x, node.input(1)))]
        case "Not": return [try negated(x)]
        case "Where": return [try select(x, node.input(1), node.input(2))]
        case "IsNaN": return [try negated(equal(x, x))]
        case "IsInf": return [try isInfinite(node, x)]
        case "OneHot": return [try oneHot(node, x)]
        case "Hardmax": return [try hardmax(node, x)]
        default: return [try triangle(node, x)]
        }
    }

    mutating func equal(_ a: ImportedValue, _ b: ImportedValue) throws -> ImportedValue {
        try binary(.equal, a, b, type: .bool)
    }

    mutating func negated(_ x: ImportedValue) throws -> ImportedValue { try binary(.sub, number(1), x, type: .bool) }

    mutating func select(_ condition: ImportedValue, _ a: ImportedValue, _ b: ImportedValue) throws -> ImportedValue {
        let aligned = try align([condition, a, b])
        return try result(emit(.select(Select()), aligned.ids), aligned, type: a.type ?? .f32)
    }

    private mutating func isInfinite(_ node: NodeContext, _ x: ImportedValue) throws -> ImportedValue {
        let (negative, positive) = (
            try node.flag("detect_negative", default: true), try node.flag("detect_positive", default: true)
        )
        switch (negative, positive) {
        case (true, true): return try equal(.view(unary(.abs, view(x))), number(.infinity))
        case (true, false): return try equal(x, number(-.infinity))
        case (false, true): return try equal(x, number(.infinity))
        case (false, false): return try binary(.less, x, x, type: .bool)
        }
    }

    /// Whether each element of a new axis has the index that the input says.
    private mutating func oneHot(_ node: NodeContext, _ indices: ImportedValue) throws -> ImportedValue {
        guard let depth = try node.scalar(1, "its depth"), let values = try node.host(2, "its values"),
            values.count == 2,
            depth >= 1, depth <= Double(model.limits.constantElements)
        else { throw LoweringProblem.invalid("depth or values are out of range") }
        let (count, x) = (Int(depth), try view(indices))
        let axis = try node.axis(node.int("axis", default: -1), rank: x.rank + 1)
        var shape = x.shape
        shape.insert(1, at: axis)
        var column = [Int](repeating: 1, count: shape.count)
        column[axis] = count
        let places = HostTensor(.f32, column, reals: (0..<count).map { Double($0) })
        let wide = ImportedValue.view(try reshaped(x, to: shape))
        // Negative indices count from the end.
        let wrapped = try select(
            binary(.less, wide, number(0)), binary(.add, wide, number(depth)), wide)
        let numbers = values.reals
        return try select(equal(wrapped, .host(places)), number(numbers[1]), number(numbers[0]))
    }

    /// 1 at the first largest element along an axis, 0 elsewhere.
    private mutating func hardmax(_ node: NodeContext, _ value: ImportedValue) throws -> ImportedValue {
        var x = try view(value)
        let original = x.shape
        var axis = try node.axis(node.int("axis", default: node.opset < 13 ? 1 : -1), rank: x.rank)
        if node.opset < 13 {
            x = try reshaped(x, to: [x.shape[..<axis].reduce(1, *), x.shape[axis...].reduce(1, *)])
            axis = 1
        }
        let largest = try reduce(.maximum, x, axes: [axis], keepsAxes: true)
        let isLargest = try view(equal(.view(x), .view(largest)))
        let order = try cumulativeSum(isLargest, axis: axis, exclusive: false, backwards: false)
        let first = try binary(.mul, .view(isLargest), equal(.view(order), number(1)), type: x.type)
        return .view(try reshaped(view(first), to: original))
    }

    private mutating func triangle(_ node: NodeContext, _ x: ImportedValue) throws -> ImportedValue {
        let shape = try node.shape(0)
        let offset = try node.integers(1, "its diagonal")?.first ?? 0
        guard shape.count >= 2, abs(offset) <= 1 << 24 else { throw LoweringProblem.invalid("no diagonal \(offset)") }
        let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
        let isUpper = try node.flag("upper", default: true)
        let mask = (0..<rows * columns).map { place -> Double in
            let distance = place % columns - place / columns
            return (isUpper ? distance >= offset : distance <= offset) ? 1 : 0
        }
        return try select(.host(HostTensor(.f32, [rows, columns], reals: mask)), x, number(0))
    }
}
