/// Average or maximum over windows of an NHWC image.
public struct Pool: Sendable, Equatable {
    public enum Kind: Sendable { case average, maximum }

    public var kind: Kind
    public var kernel: Pair
    public var stride: Pair
    public var padding: Padding
    /// Averages divide by the whole kernel, not only by the taps inside the image.
    public var countsPadding: Bool

    public init(_ kind: Kind, kernel: Pair, stride: Pair, padding: Padding = Padding(0), countsPadding: Bool = false) {
        (self.kind, self.kernel, self.stride, self.padding) = (kind, kernel, stride, padding)
        self.countsPadding = countsPadding
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
        attributes.add("count_pad", flag: countsPadding)
    }

    package init(_ kind: Kind, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        self.kind = kind
        kernel = try attributes.pair("kernel", default: 0)
        stride = try attributes.pair("stride", default: 1)
        padding = try Padding(&attributes)
        countsPadding = try attributes.flag("count_pad")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard x.rank == 4 else { throw ShapeProblem("takes x[N,H,W,C], not \(x.description)") }
        guard max(padding.top, padding.bottom) < kernel.height, max(padding.left, padding.right) < kernel.width else {
            throw ShapeProblem("padding reaches the kernel's size, so a window would hold nothing")
        }
        let height = try outputSize(x[1], kernel.height, stride.height, 1, padding.top, padding.bottom)
        let width = try outputSize(x[2], kernel.width, stride.width, 1, padding.left, padding.right)
        return [Shape([x[0], height, width, x[3]])]
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

/// Mean over neighbouring axes.
public struct Mean: Sendable, Equatable {
    public var axes: [Int]
    public var keepsAxes: Bool
    public init(axes: [Int], keepsAxes: Bool = false) { (self.axes, self.keepsAxes) = (axes, keepsAxes) }
}

extension Mean: OperatorRule {
    package var name: String { "mean" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: true) }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("axes", axes)
        attributes.add("keep", flag: keepsAxes)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axes = try attributes.requiredIntegers("axes")
        keepsAxes = try attributes.flag("keep")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard let first = axes.first, axes == Array(first..<first + axes.count), first >= 0,
            first + axes.count <= x.rank
        else {
            throw ShapeProblem("axes are not neighbouring axes of \(x.description) in order")
        }
        var result: [Int] = []
        for axis in 0..<x.rank {
            if !axes.contains(axis) { result.append(x[axis]) } else if keepsAxes { result.append(1) }
        }
        return [Shape(result)]
    }
}
