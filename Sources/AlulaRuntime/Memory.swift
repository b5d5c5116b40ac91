import AlulaSystem

/// Memory on a 64-byte boundary that starts as zeros; 64 bytes more can be read after its end, as kernels may do.
package final class Memory {
    package static let alignment = 64
    /// Readable bytes after the end.
    static let slack = 64

    package let start: UnsafeMutableRawPointer
    package let count: Int

    package init(count: Int) throws(RuntimeError) {
        guard count >= 0, count <= Int.max / 2, let memory = alula_allocate(count + Memory.slack) else {
            throw .outOfMemory(bytes: count)
        }
        start = memory
        self.count = count
        start.initializeMemory(as: UInt8.self, repeating: 0, count: count + Memory.slack)
    }

    deinit { alula_free(start) }

    var buffer: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: start, count: count) }
}

/// `value` rounded up to a multiple of `multiple`.
package func roundUp(_ value: Int, _ multiple: Int) -> Int { (value + multiple - 1) / multiple * multiple }
