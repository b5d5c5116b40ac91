/// Batched matrix product `a[…,M,K] · b[…,K,N]`, leading axes broadcast; `transposeB` takes b as `[…,N,K]`.
public struct MatMul: Sendable, Equatable {
    public var transposeB = false
    /// Multiplies the result.
    public var scale: Float = 1

    public init(transposeB: Bool = false, scale: Float = 1) { (self.transposeB, self.scale) = (transposeB, scale) }
}

extension MatMul: OperatorRule {
    package var name: String { "matmul" }
    package var operands: [Operand] { [.required("a"), .required("b")] }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("transpose_b", flag: transposeB)
        attributes.add("scale", scale, default: 1)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        transposeB = try attributes.flag("transpose_b")
        scale = try attributes.float("scale", default: 1)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let (a, b) = (operands[0]!.shape, operands[1]!.shape)
        guard a.rank >= 2, b.rank >= 2 else {
            throw ShapeProblem("takes matrices, not \(a.description) and \(b.description)")
        }
        let (inner, columns) = transposeB ? (b[b.rank - 1], b[b.rank - 2]) : (b[b.rank - 2], b[b.rank - 1])
        guard a.last == inner else { throw ShapeProblem("inner sizes differ: \(a.description) and \(b.description)") }
        let leading = try broadcast(Shape(Array(a.dimensions.dropLast(2))), Shape(Array(b.dimensions.dropLast(2))))
        return [Shape(leading.dimensions + [a[a.rank - 2], columns])]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        result.shape.elementCount * operands[0]!.shape.last
    }
}

/// Multi-head attention `softmax(q kᵀ · scale + bias) v`.
///
/// Operands: either `q[B…,T,heads·keyDim]`, `k`, `v[B…,T',heads·valueDim]`, or one tensor holding all three (`packing`).
/// `bias` is `[heads,T,T']`, `[1,T,T']` or `[W,heads,T,T']`, where batch item i uses bias `i mod W` (shifted windows).
/// Result: `[B…,T,heads·valueDim]`.
public struct Attention: Sendable, Equatable {
    public enum Packing: String, Sendable {
        /// Three operands.
        case separate
        /// One operand, `heads` times (q, k, v): EfficientFormer.
        case perHead = "per_head"
        /// One operand, all q, then all k, then all v: EdgeViT.
        case stacked
    }

    public var heads: Int
    public var keyDim: Int
    public var valueDim: Int
    public var scale: Float
    public var packing: Packing

    public init(heads: Int, keyDim: Int, valueDim: Int, scale: Float, packing: Packing) {
        (self.heads, self.keyDim, self.valueDim, self.scale, self.packing) = (heads, keyDim, valueDim, scale, packing)
    }
}

extension Attention: OperatorRule {
    package static let bias = 3

    package var name: String { "attention" }
    package var operands: [Operand] { [.required("q"), .optional("k"), .optional("v"), .optional("bias")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("heads", heads)
        attributes.add("key_dim", keyDim)
        attributes.add("value_dim", valueDim)
        attributes.add("scale", scale)
        attributes.add("packing", word: packing.rawValue, default: Packing.separate.rawValue)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        heads = try attributes.requiredInteger("heads")
        keyDim = try attributes.requiredInteger("key_dim")
        valueDim = try attributes.requiredInteger("value_dim")
        scale = try attributes.float("scale", default: 1)
        let word = attributes.word("packing") ?? Packing.separate.rawValue
        guard let packing = Packing(rawValue: word) else { throw ShapeProblem("packing=\(word) is not known") }
        self.packing = packing
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let limit = 1 << 20
        guard (1...limit).contains(heads), (1...limit).contains(keyDim), (1...limit).contains(valueDim) else {
            throw ShapeProblem("heads or dimensions out of range")
        }
        let q = operands[0]!.shape
        guard q.rank >= 2 else { throw ShapeProblem("takes tokens [B,T,C], not \(q.description)") }
        let tokens = q[q.rank - 2]
        var keyTokens = tokens
        if packing == .separate {
            guard let k = operands[1]?.shape, let v = operands[2]?.shape else {
                throw ShapeProblem("operands k and v are missing")
            }
            guard q.last == heads * keyDim, k.last == heads * keyDim, v.last == heads * valueDim, k.rank == q.rank,
                v.rank == q.rank,
                Shape(Array(k.dimensions.dropLast())) == Shape(Array(v.dimensions.dropLast())),
                k.count(0..<k.rank - 2) == q.count(0..<q.rank - 2)
            else {
                throw ShapeProblem("q\(q.description), k\(k.description), v\(v.description) do not fit \(heads) heads")
            }
            keyTokens = k[k.rank - 2]
        } else {
            guard operands[1] == nil, operands[2] == nil, q.last == heads * (2 * keyDim + valueDim) else {
                throw ShapeProblem(
                    "packed operand \(q.description) does not hold \(heads) heads of \(keyDim), \(keyDim), \(valueDim)")
            }
        }
        if let bias = operands[Attention.bias]?.shape {
            let batch = q.count(0..<q.rank - 2)
            guard bias.rank == 3 || bias.rank == 4, bias[bias.rank - 1] == keyTokens, bias[bias.rank - 2] == tokens,
                bias[bias.rank - 3] == heads || bias[bias.rank - 3] == 1, bias.rank == 3 || batch % bias[0] == 0
            else {
                throw ShapeProblem(
                    "bias\(bias.description) does not fit \(heads) heads, \(tokens) x \(keyTokens) tokens")
            }
        }
        var result = q
        result[q.rank - 1] = heads * valueDim
        return [result]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        let q = operands[0]!.shape
        let keyTokens = packing == .separate ? operands[1]!.shape[q.rank - 2] : q[q.rank - 2]
        return q.count(0..<q.rank - 1) * keyTokens * heads * (keyDim + valueDim)
    }
}
