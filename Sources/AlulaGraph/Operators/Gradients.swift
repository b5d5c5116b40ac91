// The operators that only training graphs have: parts of backward passes that deserve a kernel of their own. All compute in f32.

/// The gradient of `Conv2D` with respect to its weights: `weight[o,ky,kx,c] = Σ dy[pixel,o] · x[under tap (ky,kx),c]` over all output pixels.
/// A linear layer's is that of a 1x1 convolution over one long row of pixels.
public struct Conv2DWeightGradient: Sendable, Equatable {
    public var stride = Pair(1)
    public var padding = Padding(0)
    public var dilation = Pair(1)
    public var groups = 1
    /// Height and width of the weights.
    public var kernel: Pair

    public init(_ convolution: Conv2D, kernel: Pair) {
        (stride, padding, dilation) = (convolution.stride, convolution.padding, convolution.dilation)
        (groups, self.kernel) = (convolution.groups, kernel)
    }

    package var convolution: Conv2D { Conv2D(stride: stride, padding: padding, dilation: dilation, groups: groups) }
}

extension Conv2DWeightGradient: OperatorRule {
    package var name: String { "conv2d_weight_gradient" }
    package var operands: [Operand] { [.required("dy"), .required("x")] }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("kernel", kernel, default: 1)
        attributes.add("stride", stride, default: 1)
        padding.write(&attributes)
        attributes.add("dilation", dilation, default: 1)
        attributes.add("groups", groups, default: 1)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        kernel = try attributes.pair("kernel", default: 1)
        stride = try attributes.pair("stride", default: 1)
        padding = try Padding(&attributes)
        dilation = try attributes.pair("dilation", default: 1)
        groups = try attributes.integer("groups", default: 1)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let (dy, x) = (operands[0]!.shape, operands[1]!.shape)
        guard dy.rank == 4, x.rank == 4, groups >= 1, x[3] % groups == 0 else {
            throw ShapeProblem("takes dy[N,H,W,O] and x[N,H,W,C], not \(dy.description) and \(x.description)")
        }
        let limit = 1 << 20
        guard (1...limit).contains(kernel.height), (1...limit).contains(kernel.width) else {
            throw ShapeProblem("kernel out of range")
        }
        let weight = Shape([dy[3], kernel.height, kernel.width, x[3] / groups])
        guard weight.isValid else { throw ShapeProblem("weights\(weight.description) are too large") }
        let absent = [TensorType?](repeating: nil, count: convolution.operands.count - 2)
        let result = try convolution.resultShapes([operands[1], TensorType(.f32, weight)] + absent)[0]
        guard result == dy else { throw ShapeProblem("dy\(dy.description) is not the result\(result.description)") }
        return [weight]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        operands[0]!.shape.count(0..<3) * result.shape.elementCount
    }
}

/// The gradient of a unary operator: `dy · f'(x)`.
public struct UnaryGradient: Sendable, Equatable {
    public let unary: Unary
    public init(_ unary: Unary) { self.unary = unary }
}

extension UnaryGradient: OperatorRule {
    package var name: String { "unary_gradient" }
    package var operands: [Operand] { [.required("dy"), .required("x")] }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("function", word: unary.function.rawValue, default: "")
        unary.write(&attributes)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        guard let word = attributes.word("function"), let function = UnaryFunction(rawValue: word) else {
            throw ShapeProblem("function is missing or not known")
        }
        unary = try Unary(function, &attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        guard operands[0]!.shape == operands[1]!.shape else { throw ShapeProblem("dy and x differ in shape") }
        return try unary.resultShapes([operands[1], nil])
    }
}

/// The sum of all elements of each channel, the last axis: of `a`, or of the products `a · b`.
public struct ChannelSum: Sendable, Equatable { public init() {} }

extension ChannelSum: OperatorRule {
    package var name: String { "channel_sum" }
    package var operands: [Operand] { [.required("a"), .optional("b")] }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let a = operands[0]!.shape
        guard a.rank >= 1 else { throw ShapeProblem("takes at least one axis") }
        if let b = operands[1], b.shape != a { throw ShapeProblem("a and b differ in shape") }
        return [Shape([a.last])]
    }
}

/// Mean and variance (divided by the count, not the count less one) of each channel, the last axis.
public struct BatchStatistics: Sendable, Equatable { public init() {} }

extension BatchStatistics: OperatorRule {
    package var name: String { "batch_statistics" }
    package var operands: [Operand] { [.required("x")] }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard x.rank >= 1 else { throw ShapeProblem("takes at least one axis") }
        return [Shape([x.last]), Shape([x.last])]
    }
}

/// The gradients of `BatchNorm` (and the activation behind it) with respect to x, gamma and beta. With `batchStatistics`, mean and variance
/// are those of x, and gradients flow through them (Ioffe and Szegedy, arXiv 1502.03167, section 3).
public struct BatchNormGradient: Sendable, Equatable {
    public var norm: BatchNorm
    public var usesBatchStatistics: Bool

    public init(_ norm: BatchNorm, usesBatchStatistics: Bool) {
        (self.norm, self.usesBatchStatistics) = (norm, usesBatchStatistics)
    }
}

extension BatchNormGradient: OperatorRule {
    package var name: String { "batch_norm_gradient" }
    package var operands: [Operand] { [.required("dy")] + norm.operands }

    package func write(_ attributes: inout AttributeWriter) {
        norm.write(&attributes)
        attributes.add("batch", flag: usesBatchStatistics)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        norm = try BatchNorm(&attributes)
        usesBatchStatistics = try attributes.flag("batch")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = try norm.resultShapes(Array(operands.dropFirst()))[0]
        guard operands[0]!.shape == x else { throw ShapeProblem("dy and x differ in shape") }
        return [x, Shape([x.last]), Shape([x.last])]
    }
}

/// The gradients of `LayerNorm` with respect to x, gamma and beta.
public struct LayerNormGradient: Sendable, Equatable {
    public var epsilon: Float
    public init(epsilon: Float) { self.epsilon = epsilon }
}

extension LayerNormGradient: OperatorRule {
    package var name: String { "layer_norm_gradient" }
    package var operands: [Operand] { [.required("dy"), .required("x"), .required("gamma")] }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("eps", epsilon, default: 1e-5) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        epsilon = try LayerNorm(&attributes).epsilon
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = try LayerNorm(epsilon: epsilon).resultShapes([operands[1], operands[2], operands[2]])[0]
        guard operands[0]!.shape == x else { throw ShapeProblem("dy and x differ in shape") }
        return [x, Shape([x.last]), Shape([x.last])]
    }
}

/// The gradient of a pool. A maximum sends it to the first largest element of each window, and needs x to find it.
public struct PoolGradient: Sendable, Equatable {
    public var pool: Pool
    /// Height and width of the pool's operand.
    public var size: Pair

    public init(_ pool: Pool, size: Pair) { (self.pool, self.size) = (pool, size) }
}

extension PoolGradient: OperatorRule {
    package var name: String { pool.kind == .average ? "avg_pool_gradient" : "max_pool_gradient" }
    package var operands: [Operand] { [.required("dy"), pool.kind == .average ? .optional("x") : .required("x")] }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("size", size, default: 0)
        pool.write(&attributes)
    }

    package init(_ kind: Pool.Kind, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        size = try attributes.pair("size", default: 0)
        pool = try Pool(kind, &attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let dy = operands[0]!.shape
        guard dy.rank == 4 else { throw ShapeProblem("takes dy[N,H,W,C], not \(dy.description)") }
        let x = Shape([dy[0], size.height, size.width, dy[3]])
        guard x.isValid else { throw ShapeProblem("size is out of range") }
        if let operand = operands[1], operand.shape != x {
            throw ShapeProblem("x\(operand.shape.description) is not \(x.description)")
        }
        guard try pool.resultShapes([TensorType(.f32, x)])[0] == dy else {
            throw ShapeProblem("dy\(dy.description) is not the pool's result")
        }
        return [x]
    }
}

/// The gradients of `Attention`: with respect to q, k and v (or the one packed operand), and last with respect to the scores in front of the
/// softmax, `[B,heads,T,T']`, which sum up to the gradient of a bias.
public struct AttentionGradient: Sendable, Equatable {
    public var attention: Attention
    public init(_ attention: Attention) { self.attention = attention }
}

extension AttentionGradient: OperatorRule {
    package var name: String { "attention_gradient" }
    package var operands: [Operand] { [.required("dy")] + attention.operands }
    package func write(_ attributes: inout AttributeWriter) { attention.write(&attributes) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) { attention = try Attention(&attributes) }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let result = try attention.resultShapes(Array(operands.dropFirst()))[0]
        guard operands[0]!.shape == result else { throw ShapeProblem("dy is not the result\(result.description)") }
        let q = operands[1]!.shape
        let others = attention.packing == .separate ? [operands[2]!.shape, operands[3]!.shape] : []
        let keys = others.first ?? q
        let scores = Shape([
            q.count(0..<q.rank - 2), attention.heads, q[q.rank - 2], keys[keys.rank - 2],
        ])
        return [q] + others + [scores]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        // Scores again, and two products for each of the forward pass.
        let forward = attention.macs(Array(operands.dropFirst()), operands[0]!)
        return 2 * forward + forward * attention.keyDim / (attention.keyDim + attention.valueDim)
    }
}
