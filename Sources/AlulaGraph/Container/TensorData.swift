/// The bytes of one tensor: a range of a mapped file or of owned memory, shared and never copied.
///
/// As with `Bytes`, at least `Bytes.slack` bytes after the end can be read.
public struct TensorData: Sendable {
    package let storage: Bytes
    package let offset: Int
    public let count: Int

    /// `range` of `storage`, which must contain it.
    package init(_ storage: Bytes, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= storage.count, "range outside of the bytes")
        self.storage = storage
        offset = range.lowerBound
        count = range.count
    }

    public init(copying source: UnsafeRawBufferPointer) {
        self.init(Bytes(copying: source), 0..<source.count)
    }

    /// The elements in native byte order, which is the file's too (little-endian).
    public init<T: BitwiseCopyable>(elements: [T]) {
        self = elements.withUnsafeBytes { TensorData(copying: $0) }
    }

    /// Owned memory on a 64-byte boundary. It starts as zeros, and is complete when `body` returns.
    public init<E: Error>(
        count: Int, initializing body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        self.init(try Bytes.allocated(count: count, initializing: body), 0..<count)
    }

    /// Valid only while the data are alive: prefer `withUnsafeBytes`, or keep `self` for as long as the address.
    public var baseAddress: UnsafeRawPointer { storage.baseAddress + offset }

    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(start: baseAddress, count: count))
    }

    /// Gives back the physical memory of data that lie in a mapped file: for large tensors that have been read once and become something
    /// else. They can still be read, which reads the file again.
    package func releasePages() { storage.releasePages(offset..<offset + count) }

    // MARK: Typed reading

    /// The number of whole elements of type `T`.
    public func elementCount<T: BitwiseCopyable>(of type: T.Type) -> Int { count / MemoryLayout<T>.stride }

    /// Element `index`; the data need not be aligned.
    public func load<T: BitwiseCopyable>(_ index: Int, as type: T.Type = T.self) -> T {
        precondition(index >= 0 && index < elementCount(of: T.self), "element index out of range")
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.stride, as: T.self) }
    }

    /// All elements, copied; the data need not be aligned. Bytes after the last whole element are left out.
    public func array<T: BitwiseCopyable>(of type: T.Type = T.self) -> [T] {
        let length = elementCount(of: T.self)
        return withUnsafeBytes { source in
            [T](unsafeUninitializedCapacity: length) { target, initialized in
                UnsafeMutableRawBufferPointer(target).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[..<(length * MemoryLayout<T>.stride)]))
                initialized = length
            }
        }
    }

    /// The elements in place. The data must be aligned for `T`; see `aligned(to:)`.
    public func withElements<T: BitwiseCopyable, R, E: Error>(
        of type: T.Type, _ body: (UnsafeBufferPointer<T>) throws(E) -> R
    ) throws(E) -> R {
        precondition(isAligned(to: MemoryLayout<T>.alignment), "data are not aligned for this element type")
        let pointer = baseAddress.assumingMemoryBound(to: T.self)
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeBufferPointer(start: pointer, count: elementCount(of: T.self)))
    }

    // MARK: Alignment

    public func isAligned(to alignment: Int) -> Bool { UInt(bitPattern: baseAddress) % UInt(alignment) == 0 }

    /// The same data, copied only if they do not start on the boundary (files of other tools promise none).
    public func aligned(to alignment: Int = Bytes.alignment) -> TensorData {
        precondition(alignment > 0 && Bytes.alignment % alignment == 0, "owned memory is aligned to 64 bytes only")
        return isAligned(to: alignment) ? self : withUnsafeBytes { TensorData(copying: $0) }
    }
}
