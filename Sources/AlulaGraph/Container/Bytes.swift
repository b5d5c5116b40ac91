import AlulaSystem

/// Bytes that never change after creation: a mapped file, or memory that the object owns.
///
/// At least `Bytes.slack` bytes after the end can be read (their value means nothing), so that kernels may load whole
/// vectors at the end of the last tensor.
public final class Bytes: @unchecked Sendable {
    private enum Storage {
        case mapped(alula_mapping)
        case owned(UnsafeMutableRawPointer)
        case unowned
    }

    /// Readable bytes that follow the last one.
    public static let slack = 64
    /// The boundary on which a mapping and owned memory start.
    public static let alignment = 64

    package let baseAddress: UnsafeRawPointer
    public let count: Int
    private let storage: Storage

    /// Maps a file read-only. The file may be renamed, replaced or deleted meanwhile; truncating it in place is fatal.
    public init(mapping path: String) throws(SystemError) {
        try SystemError.checkPath(path)
        var mapping = alula_mapping()
        try SystemError.check(alula_map_file(path, &mapping))
        baseAddress = mapping.address
        count = mapping.size
        storage = .mapped(mapping)
    }

    /// Memory that starts as zeros.
    private init(zeros count: Int) {
        precondition(count >= 0 && count <= Int.max - Bytes.slack, "negative or excessive byte count")
        guard let memory = alula_allocate(count + Bytes.slack) else { fatalError("out of memory") }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: count + Bytes.slack)
        baseAddress = UnsafeRawPointer(memory)
        self.count = count
        storage = .owned(memory)
    }

    /// Owned memory that starts as zeros and is complete when `body` returns.
    package static func allocated<E: Error>(
        count: Int, initializing body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) -> Bytes {
        let bytes = Bytes(zeros: count)
        let memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        try body(UnsafeMutableRawBufferPointer(start: memory, count: count))
        return bytes
    }

    package convenience init(copying source: UnsafeRawBufferPointer) {
        self.init(zeros: source.count)
        let memory = UnsafeMutableRawPointer(mutating: baseAddress)
        UnsafeMutableRawBufferPointer(start: memory, count: count).copyMemory(from: source)
    }

    /// Bytes that someone else keeps for as long as the program runs, such as a model linked into flash memory.
    ///
    /// `Bytes.slack` bytes after the end must be readable too.
    package init(unowned source: UnsafeRawBufferPointer) {
        baseAddress = source.baseAddress ?? UnsafeRawPointer(bitPattern: Bytes.alignment)!
        count = source.count
        storage = .unowned
    }

    deinit {
        switch storage {
        case .mapped(let mapping): alula_unmap_file(mapping)
        case .owned(let memory): alula_free(memory)
        case .unowned: break
        }
    }

    /// Gives back the physical memory of a part of a mapped file; owned memory stays as it is.
    package func releasePages(_ range: Range<Int>) {
        guard case .mapped = storage else { return }
        alula_release_pages(baseAddress + range.lowerBound, range.count)
    }

    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: baseAddress, count: count))
    }
}
