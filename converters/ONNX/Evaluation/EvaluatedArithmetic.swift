import AlulaGraph
import Foundation

// Arithmetic, comparison and logic on constants.
extension Evaluator {
    func arithmetic(_ inputs: [HostTensor?]) throws -> [HostTensor]? {
        let given = inputs.compactMap { $0 }
        guard context.node.domain.isEmpty, given.count == inputs.count, let first = given.first else {
            return try optionalArithmetic(inputs)
        }
        switch context.op {
        case "Sum", "Max", "Min", "Mean":
            var result = first
            let op = context.op == "Mean" ? "Sum" : context.op
            for other in given.dropFirst() { result = try binary(op, result, other) }
            guard context.op == "Mean" else { return [result] }
            return [HostTensor(result.type, result.shape, reals: result.reals.map { $0 / Double(given.count) })]
        case "Where":
            guard given.count == 3 else { throw LoweringProblem.invalid("takes three inputs") }
            return [try choose(given[0], given[1], given[2])]
        default: break
        }
        if given.count == 1, let result = try unary(first) { return [result] }
        if given.count == 2, Evaluator.isBinary(context.op) { return [try binary(context.op, given[0], given[1])] }
        return try optionalArithmetic(inputs)
    }

    // MARK: One operand

    private func unary(_ x: HostTensor) throws -> HostTensor? {
        if context.op == "Cast" { return try cast(x, DataType(onnx: context.int("to", default: 0))) }
        if context.op == "Not" { return HostTensor(.bool, x.shape, integers: x.integers.map { $0 == 0 ? 1 : 0 }) }
        if x.type.isInteger {
            switch context.op {
            case "Neg": return HostTensor(x.type, x.shape, integers: x.integers.map { 0 &- $0 })
            case "Abs": return HostTensor(x.type, x.shape, integers: x.integers.map { $0 < 0 ? 0 &- $0 : $0 })
            case "Sign": return HostTensor(x.type, x.shape, integers: x.integers.map { $0.signum() })
            default: return nil
            }
        }
        let function: (Double) -> Double
        switch context.op {
        case "Neg": function = { -$0 }
        case "Abs": function = { abs($0) }
        case "Sqrt": function = { $0.squareRoot() }
        case "Reciprocal": function = { 1 / $0 }
        case "Floor": function = { $0.rounded(.down) }
        case "Ceil": function = { $0.rounded(.up) }
        case "Round": function = { $0.rounded(.toNearestOrEven) }
        case "Exp": function = { exp($0) }
        case "Log": function = { log($0) }
        case "Sin": function = { sin($0) }
        case "Cos": function = { cos($0) }
        case "Tanh": function = { tanh($0) }
        case "Sigmoid": function = { 1 / (1 + exp(-$0)) }
        case "Softplus": function = { log(1 + exp($0)) }
        case "Relu": function = { max($0, 0) }
        case "Erf": function = { erf($0) }
        case "Sign": function = { $0 > 0 ? 1 : $0 < 0 ? -1 : $0 }
        case "IsNaN": return HostTensor(.bool, x.shape, integers: x.reals.map { $0.isNaN ? 1 : 0 })
        default: return nil
        }
        return HostTensor(x.type, x.shape, reals: x.reals.map(function))
    }

    func cast(_ x: HostTensor, _ type: DataType?) throws -> HostTensor {
        guard let type else {
            throw LoweringProblem.unsupported(
                needed: "elements of \(DataType.onnxName(try context.int("to", default: 0)))")
        }
        if type.isFloat { return HostTensor(type, x.shape, reals: x.reals) }
        if type == .bool { return HostTensor(.bool, x.shape, integers: x.reals.map { $0 != 0 ? 1 : 0 }) }
        return HostTensor(type, x.shape, integers: x.integers)
    }

    // MARK: Two operands

    private static func isBinary(_ op: String) -> Bool {
        switch op {
        case "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Max", "Min", "Equal", "Less", "LessOrEqual", "Greater",
            "GreaterOrEqual", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "PRelu":
            true
        default: false
        }
    }

    func binary(_ op: String, _ a: HostTensor, _ b: HostTensor) throws -> HostTensor {
        let shape = try broadcastShape([a.shape, b.shape])
        try check(shape)
        let (left, right) = (Places(a.shape, shape), Places(b.shape, shape))
        let count = shape.reduce(1, *)
        if let compare = comparison(op) {
            let result: [Int]
            if a.type.isFloat || b.type.isFloat {
                let (x, y) = (a.reals, b.reals)
                result = (0..<count).map {
                    let (p, q) = (x[left[$0]], y[right[$0]])
                    return compare(p < q, p == q, p > q) ? 1 : 0
                }
            } else {
                let (x, y) = (a.integers, b.integers)
                result = (0..<count).map {
                    let (p, q) = (x[left[$0]], y[right[$0]])
                    return compare(p < q, p == q, p > q) ? 1 : 0
                }
            }
            return HostTensor(.bool, shape, integers: result)
        }
        if a.type.isFloat {
            let (x, y) = (a.reals, b.reals)
            let function = try real(op)
            return HostTensor(a.type, shape, reals: (0..<count).map { function(x[left[$0]], y[right[$0]]) })
        }
        if op == "Pow", b.type.isFloat {
            let (x, y) = (a.integers, b.reals)
            return HostTensor(
                a.type, shape,
                integers: (0..<count).map { Int(clamping: pow(Double(x[left[$0]]), y[right[$0]])) })
        }
        let (x, y) = (a.integers, b.integers)
        let function = try integer(op)
        return HostTensor(a.type, shape, integers: try (0..<count).map { try function(x[left[$0]], y[right[$0]]) })
    }

    private func comparison(_ op: String) -> ((_ less: Bool, _ equal: Bool, _ greater: Bool) -> Bool)? {
        switch op {
        case "Equal": return { _, equal, _ in equal }
        case "Less": return { less, _, _ in less }
        case "LessOrEqual": return { less, equal, _ in less || equal }
        case "Greater": return { _, _, greater in greater }
        case "GreaterOrEqual": return { _, equal, greater in equal || greater }
        default: return nil
        }
    }

    private func real(_ op: String) throws -> (Double, Double) -> Double {
        switch op {
        case "Add", "Sum": return { $0 + $1 }
        case "Sub": return { $0 - $1 }
        case "Mul": return { $0 * $1 }
        case "Div": return { $0 / $1 }
        case "Pow": return { pow($0, $1) }
        // NaN wins, as in NumPy.
        case "Max": return { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }
        case "Min": return { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }
        case "PRelu": return { $0 < 0 ? $0 * $1 : $0 }
        case "Mod":
            return try context.flag("fmod")
                ? { fmod($0, $1) } : { $0 - $1 * ($0 / $1).rounded(.down) }
        default: throw LoweringProblem.unsupported(needed: "\(op) of real constants")
        }
    }

    private func integer(_ op: String) throws -> (Int, Int) throws -> Int {
        let nonzero = { (value: Int) throws -> Int in
            guard value != 0 else { throw LoweringProblem.invalid("an integer is divided by 0") }
            return value
        }
        switch op {
        case "Add", "Sum": return { $0 &+ $1 }
        case "Sub": return { $0 &- $1 }
        case "Mul": return { $0 &* $1 }
        case "Div": return { try $0.dividedReportingOverflow(by: nonzero($1)).partialValue }
        case "Mod":
            let isC = try context.flag("fmod")
            return {
                let rest = try $0.remainderReportingOverflow(dividingBy: nonzero($1)).partialValue
                return isC || rest == 0 || (rest < 0) == ($1 < 0) ? rest : rest + $1
            }
        case "Pow": return { Int(clamping: pow(Double($0), Double($1))) }
        case "Max": return { max($0, $1) }
        case "Min": return { min($0, $1) }
        case "And": return { $0 != 0 && $1 != 0 ? 1 : 0 }
        case "Or": return { $0 != 0 || $1 != 0 ? 1 : 0 }
        case "Xor": return { ($0 != 0) != ($1 != 0) ? 1 : 0 }
        case "BitwiseAnd": return { $0 & $1 }
        case "BitwiseOr": return { $0 | $1 }
        case "BitwiseXor": return { $0 ^ $1 }
        default: throw LoweringProblem.unsupported(needed: "\(op) of integer constants")
        }
    }

    func choose(_ condition: HostTensor, _ a: HostTensor, _ b: HostTensor) throws -> HostTensor {
        let shape = try broadcastShape([condition.shape, a.shape, b.shape])
        try check(shape)
        let (c, left, right) = (Places(condition.shape, shape), Places(a.shape, shape), Places(b.shape, shape))
        let flags = condition.integers
        if a.type.isFloat {
            let (x, y) = (a.reals, b.reals)
            return HostTensor(
                a.type, shape,
                reals: (0..<shape.reduce(1, *)).map { flags[c[$0]] != 0 ? x[left[$0]] : y[right[$0]] })
        }
        let (x, y) = (a.integers, b.integers)
        return HostTensor(
            a.type, shape,
            integers: (0..<shape.reduce(1, *)).map { flags[c[$0]] != 0 ? x[left[$0]] : y[right[$0]] })
    }

    /// Operators whose inputs may be left out.
    private func optionalArithmetic(_ inputs: [HostTensor?]) throws -> [HostTensor]? {
        switch context.op {
        case "Clip" where context.opset >= 11:
            guard let x = inputs.first ?? nil else { return nil }
            var result = x
            if inputs.count > 1, let low = inputs[1] { result = try binary("Max", result, low) }
            if inputs.count > 2, let high = inputs[2] { result = try binary("Min", result, high) }
            return [result]
        case "CastLike":
            guard let x = inputs.first ?? nil, let type = try context.input(1).type else { return nil }
            return [try cast(x, type)]
        default: return nil
        }
    }
}

/// Where the elements of a broadcast tensor lie in the tensor itself.
struct Places {
    private let shape: [Int]
    private let strides: [Int]
    private let isDense: Bool

    init(_ own: [Int], _ shape: [Int]) {
        self.shape = shape
        isDense = own == shape
        let dense = Shape(own).strides
        strides = shape.indices.map { axis in
            let place = axis - (shape.count - own.count)
            return place < 0 || own[place] == 1 ? 0 : dense[place]
        }
    }

    subscript(index: Int) -> Int {
        if isDense { return index }
        var (rest, result) = (index, 0)
        for axis in shape.indices.reversed() {
            result += rest % shape[axis] * strides[axis]
            rest /= shape[axis]
        }
        return result
    }
}
