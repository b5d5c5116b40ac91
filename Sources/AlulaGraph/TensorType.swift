/// The sizes of a tensor's axes, outermost first. Every size is at least 1; a scalar has rank 0.
public struct Shape: Sendable, Equatable, ExpressibleByArrayLiteral {
    public var dimensions: [Int]

    public init(_ dimensions: [Int]) { self.dimensions = dimensions }
    public init(arrayLiteral elements: Int...) { dimensions = elements }

    public var rank: Int { dimensions.count }
    public var last: Int { dimensions.last ?? 1 }
    public subscript(axis: Int) -> Int {
        get { dimensions[axis] }
        set { dimensions[axis] = newValue }
    }

    /// The product of all sizes. The sizes must have passed `isValid`, which bounds it.
    public var elementCount: Int { dimensions.reduce(1, *) }

    /// The product of the sizes of `range`'s axes.
    public func count(_ range: Range<Int>) -> Int { dimensions[range].reduce(1, *) }

    /// Whether every size is positive, the rank at most `maximumRank`, and the element count at most `maximumElements`.
    public var isValid: Bool {
        guard rank <= Shape.maximumRank else { return false }
        var product = 1
        for size in dimensions {
            guard size > 0 else { return false }
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            guard !overflow, next <= Shape.maximumElements else { return false }
            product = next
        }
        return true
    }

    /// Elements from one index of an axis to the next in a dense row-major tensor.
    public var strides: [Int] {
        var result = [Int](repeating: 1, count: rank)
        for axis in stride(from: rank - 2, through: 0, by: -1) {
            result[axis] = result[axis + 1] * dimensions[axis + 1]
        }
        return result
    }

    /// Kernels index with 32-bit integers, so one tensor stays below 2^31 elements.
    public static let maximumElements = Int(Int32.max)
    /// Strided kernels carry up to eight axes.
    public static let maximumRank = 8

    /// As in graph text: `[1,224,224,3]`.
    public var description: String {
        var text = "["
        for (axis, size) in dimensions.enumerated() {
            if axis > 0 { text += "," }
            text += String(size)
        }
        return text + "]"
    }
}

/// What a u8 number means: `real = scale * (number - zeroPoint)`, one pair for the whole tensor.
public struct Quantization: Sendable, Equatable {
    public var scale: Float
    public var zeroPoint: Int32

    public init(scale: Float, zeroPoint: Int32) {
        self.scale = scale
        self.zeroPoint = zeroPoint
    }

    /// Of numbers that stand for themselves.
    package static let identity = Quantization(scale: 1, zeroPoint: 0)

    public var isValid: Bool { scale.isFinite && scale >= .leastNormalMagnitude && zeroPoint >= 0 && zeroPoint <= 255 }
}

/// Element type, shape and, for u8 activations, quantization.
public struct TensorType: Sendable, Equatable {
    public var dataType: DataType
    public var shape: Shape
    public var quantization: Quantization?

    public init(_ dataType: DataType, _ shape: Shape, _ quantization: Quantization? = nil) {
        self.dataType = dataType
        self.shape = shape
        self.quantization = quantization
    }

    /// Bytes of the dense tensor.
    public var byteCount: Int { shape.elementCount * dataType.size }
}

/// How the bytes of a constant are ordered.
public enum Layout: UInt8, Sendable, Equatable, CaseIterable {
    /// Row-major, as the shape says.
    case plain
    /// s8 matrix or convolution weights `[groups][N/16][K/4][16][4]`: N and each tap's channels padded with zeros. `docs/format.md`.
    case n16k4
    /// f32 matrix or convolution weights `[groups][N/16][K][16]`.
    case n16k1
    /// Depthwise weights `[taps][C rounded up to 16]`.
    case taps

    public var name: String {
        switch self {
        case .plain: "plain"
        case .n16k4: "n16k4"
        case .n16k1: "n16k1"
        case .taps: "taps"
        }
    }

    public init?(name: String) {
        guard let layout = Layout.allCases.first(where: { $0.name == name }) else { return nil }
        self = layout
    }
}
