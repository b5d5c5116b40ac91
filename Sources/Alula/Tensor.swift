/// A dense array of numbers in row-major order: what goes into a model and what comes out of it.
///
///     let picture = Tensor(shape: [1, 224, 224, 3], values: pixels)
public struct Tensor: Sendable, Equatable {
    /// The sizes of the axes, outermost first.
    public var shape: [Int]
    /// The numbers; as many as the product of `shape`.
    public var values: [Float]

    public init(shape: [Int], values: [Float]) {
        self.shape = shape
        self.values = values
    }
}

/// What a model takes or gives: a name and the sizes of the axes.
public struct TensorDescription: Sendable, Equatable {
    public let name: String
    public let shape: [Int]
    /// Whether the model computes with this tensor in 8 bits. Numbers go in and come out as `Float` in either case.
    public let isQuantized: Bool

    /// The number of elements.
    public var count: Int { shape.reduce(1, *) }
}
