import AlulaSystem

/// Where a writer puts its bytes, in order.
package protocol ByteSink: ~Copyable {
    mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError)
}

/// A file that appears under its name only when it is complete.
///
/// The bytes go to a new file in the same directory, which is flushed to the disk and renamed by `commit`. On any
/// failure, and when the value is dropped without a commit, that file is removed and the target is as it was.
package struct AtomicFile: ByteSink, ~Copyable {
    private var handle: OpaquePointer?

    package init(path: String) throws(SystemError) {
        try SystemError.checkPath(path)
        try SystemError.check(alula_atomic_open(path, &handle))
    }

    deinit {
        if let handle { alula_atomic_abort(handle) }
    }

    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        if bytes.isEmpty { return }
        try SystemError.check(alula_atomic_write(handle, bytes.baseAddress, bytes.count))
    }

    /// Writes a whole file at once. (Embedded Swift cannot hold a value with a deinit outside of its module.)
    @inline(never)
    package static func write(_ bytes: [UInt8], to path: String) throws(SystemError) {
        var file = try AtomicFile(path: path)
        let result = bytes.withUnsafeBytes { source in Result { () throws(SystemError) in try file.write(source) } }
        try result.get()
        try file.commit()
    }

    package consuming func commit() throws(SystemError) {
        let code = alula_atomic_commit(handle)
        handle = nil
        try SystemError.check(code)
    }
}

/// Collects the bytes in memory.
struct MemorySink: ByteSink {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        self.bytes.append(contentsOf: bytes)
    }
}
