/// Average or maximum over windows of an NHWC image.
public struct Pool: Sendable, Equatable {
    public enum Kind: Sendable { case average, maximum }

    public var kind: Kind
    public var kernel: Pair
    public var stride: Pair
    public var padding: Padding
    public var dilation: Pair
    /// Averages divide by the taps inside the padded image, not only by those inside the image.
    public var countsPadding: Bool
    /// A last window that reaches beyond the padded image is kept, if it begins before the padding behind the image.
    public var roundsUp: Bool

    public init(
        _ kind: Kind, kernel: Pair, stride: Pair, padding: Padding = Padding(0), dilation: Pair = Pair(1),
        countsPadding: Bool = false, roundsUp: Bool = false
    ) {
        (self.kind, self.kernel, self.stride, self.padding, self.dilation) = (kind, kernel, stride, padding, dilation)
        (self.countsPadding, self.roundsUp) = (countsPadding, roundsUp)
    }
}

extension Pool: OperatorRule {
    package var name: String { kind == .average ? "avg_pool" : "max_pool" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { kind == .average ? .arithmetic(f32Result: false) : .movement }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("kernel", kernel, default: 0)
        attributes.add("stride", stride, default: 1)
        padding.write(&attributes)
        attributes.add("dilation", dilation, default: 1)
        attributes.add("count_pad", flag: countsPadding)
        attributes.add("ceil", flag: roundsUp)
    }

    package init(_ kind: Kind, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        self.kind = kind
        kernel = try attributes.pair("kernel", default: 0)
        stride = try attributes.pair("stride", default: 1)
        padding = try Padding(&attributes)
        dilation = try attributes.pair("dilation", default: 1)
        countsPadding = try attributes.flag("count_pad")
        roundsUp = try attributes.flag("ceil")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard x.rank == 4 else { throw ShapeProblem("takes x[N,H,W,C], not \(x.description)") }
        let height = try size(x[1], kernel.height, stride.height, dilation.height, padding.top, padding.bottom)
        let width = try size(x[2], kernel.width, stride.width, dilation.width, padding.left, padding.right)
        return [Shape([x[0], height, width, x[3]])]
    }

    private func size(_ input: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ before: Int, _ after: Int)
        throws(ShapeProblem) -> Int
    {
        let size = try outputSize(input, kernel, stride, dilation, before, after)
        let span = dilation * (kernel - 1) + 1
        guard before < span, after < span else {
            throw ShapeProblem("padding reaches the kernel's size, so a window would hold nothing")
        }
        let leavesRest = (input + before + after - span) % stride != 0
        return roundsUp && leavesRest && size * stride < input + before ? size + 1 : size
    }
}

/// EfficientFormer's mixer with its residual: `x + scale[c] · (average(x) - x)`, the average over the size × size taps inside the image
/// (Li et al., arXiv 2206.01191). int8: `center[c] = (1 - scale[c]) · s_in / s_out` and `average[c] = scale[c] · s_in / s_out` instead of scale.
public struct PoolMixer: Sendable, Equatable {
    public var size: Int
    public init(size: Int) { self.size = size }
}

extension PoolMixer: OperatorRule {
    package static let scale = 1, center = 2, average = 3

    package var name: String { "pool_mixer" }
    package var operands: [Operand] { [.required("x"), .optional("scale"), .optional("center"), .optional("average")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("size", size) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        size = try attributes.requiredInteger("size")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard x.rank == 4 else { throw ShapeProblem("takes x[N,H,W,C], not \(x.description)") }
        guard size >= 1, size <= 31, size % 2 == 1 else {
            throw ShapeProblem("size \(size) is not an odd number up to 31")
        }
        for index in 1..<self.operands.count {
            try checkVector(operands[index], count: x[3], name: self.operands[index].name)
        }
        guard (operands[Self.scale] != nil) != (operands[Self.center] != nil),
            (operands[Self.center] != nil) == (operands[Self.average] != nil)
        else { throw ShapeProblem("takes either scale, or center and average") }
        return [x]
    }
}
