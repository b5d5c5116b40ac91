import AlulaGraph

/// A data set that is read one example at a time; nothing needs the whole of it in memory.
public protocol Dataset: Sendable {
    /// Names of the classes, by index; empty where examples have no labels.
    var classes: [String] { get }
    /// Whether an example may belong to several classes, or to none.
    var isMultiLabel: Bool { get }
    var count: Int { get }
    /// What example `index` belongs to. Cheap: no file is read.
    func target(_ index: Int) -> Target
    /// Where example `index` is, for messages.
    func name(_ index: Int) -> String
    /// Reads example `index`.
    func example(_ index: Int) throws(DataError) -> Example
}

/// One example as its file holds it, before preprocessing.
public enum Example: Sendable {
    case image(Image)
    case recording(ECGRecording)
    /// The model's input itself, row-major.
    case tensor([Float])
    /// The model's u8 input itself.
    case bytes([UInt8])
}

/// What an example belongs to.
public enum Target: Sendable, Equatable {
    case unlabelled
    case `class`(Int)
    /// By class.
    case classes([Bool])

    /// One number a class: 1 where it belongs, else 0.
    public func vector(_ count: Int) -> [Float] {
        switch self {
        case .unlabelled: Array(repeating: 0, count: count)
        case .class(let index): (0..<count).map { $0 == index ? 1 : 0 }
        case .classes(let flags): flags.map { $0 ? 1 : 0 }
        }
    }
}

/// A part of a data set.
public enum DataSplit: String, Sendable, CaseIterable {
    case train, val, test, all
}

/// Why data cannot be used: the file or folder at fault and the cause.
public struct DataError: Error, Equatable {
    public var path: String
    public var cause: String

    public init(_ path: String, _ cause: String) {
        (self.path, self.cause) = (path, cause)
    }
}

extension DataError: CustomStringConvertible {
    public var description: String { "\(path): \(cause)" }
}

/// Some examples of a data set.
public struct Subset: Dataset {
    public let base: any Dataset
    public let indices: [Int]

    public init(_ base: any Dataset, _ indices: [Int]) {
        (self.base, self.indices) = (base, indices)
    }

    /// `count` examples drawn without replacement by `seed`, in the order of the data; all where there are no more.
    public init(_ base: any Dataset, choosing count: Int, seed: UInt64) {
        let order = ExampleOrder(count: base.count, seed: seed)
        self.init(base, count < base.count ? order.indices(epoch: 0, prefix: count).sorted() : Array(0..<base.count))
    }

    public var classes: [String] { base.classes }
    public var isMultiLabel: Bool { base.isMultiLabel }
    public var count: Int { indices.count }
    public func target(_ index: Int) -> Target { base.target(indices[index]) }
    public func name(_ index: Int) -> String { base.name(indices[index]) }
    public func example(_ index: Int) throws(DataError) -> Example { try base.example(indices[index]) }
}

/// The order in which examples are shown: another one every epoch, always the same for the same seed.
public struct ExampleOrder: Sendable {
    public let count: Int
    public let seed: UInt64

    public init(count: Int, seed: UInt64) {
        (self.count, self.seed) = (count, seed)
    }

    /// The first `prefix` indices of an epoch's permutation (Fisher and Yates).
    public func indices(epoch: Int, prefix: Int? = nil) -> [Int] {
        var random = SplitMix64(seed: ExampleOrder.mixed(seed, epoch))
        var indices = Array(0..<count)
        for place in 0..<min(count, prefix ?? count) {
            indices.swapAt(place, place + Int(random.next() % UInt64(count - place)))
        }
        return Array(indices.prefix(prefix ?? count))
    }

    /// A seed of its own for every epoch; the data's own seed in epoch 0.
    private static func mixed(_ seed: UInt64, _ epoch: Int) -> UInt64 {
        epoch == 0 ? seed : seed ^ UInt64(epoch) &* 0x9E37_79B9_7F4A_7C15
    }
}

/// Examples in groups, each read when its turn comes.
public struct BatchLoader: Sendable {
    /// Indices of one group, at most `batchSize`.
    public typealias Batch = [Int]

    public let dataset: any Dataset
    public let batchSize: Int
    /// Nil: in the order of the data.
    public let order: ExampleOrder?

    public init(_ dataset: any Dataset, batchSize: Int, shufflingBy seed: UInt64? = nil) {
        precondition(batchSize > 0, "a batch holds at least one example")
        (self.dataset, self.batchSize) = (dataset, batchSize)
        order = seed.map { ExampleOrder(count: dataset.count, seed: $0) }
    }

    /// The groups of an epoch; the last may be smaller, or is left out.
    public func batches(epoch: Int, dropsLast: Bool = false) -> [Batch] {
        let indices = order?.indices(epoch: epoch) ?? Array(0..<dataset.count)
        return stride(from: 0, to: indices.count, by: batchSize).compactMap { start in
            let end = min(start + batchSize, indices.count)
            return dropsLast && end - start < batchSize ? nil : Array(indices[start..<end])
        }
    }
}
