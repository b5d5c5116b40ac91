import AlulaSystem

/// A failure that the operating system reported, by its errno code.
public struct SystemError: Error, Equatable, Sendable {
    public var code: Int32

    /// What a caller may want to tell apart.
    public enum Kind: Sendable, Equatable {
        /// The file, or a directory on the way to it, does not exist.
        case notFound
        case permission
        /// The disk or the quota is full, or the file would be too large for it.
        case noSpace
        /// A directory, pipe or device.
        case notAFile
        /// The platform has no files.
        case unsupported
        case other
    }

    package init(code: Int32) { self.code = code }

    public var kind: Kind {
        switch alula_error_kind_of(code) {
        case ALULA_ERROR_NOT_FOUND: .notFound
        case ALULA_ERROR_PERMISSION: .permission
        case ALULA_ERROR_NO_SPACE: .noSpace
        case ALULA_ERROR_NOT_A_FILE: .notAFile
        case ALULA_ERROR_UNSUPPORTED: .unsupported
        default: .other
        }
    }

    /// The system's own words, such as "No such file or directory".
    public var message: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 160) { buffer in
            alula_error_text(code, buffer.baseAddress!, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }

    /// Throws unless `code` is zero.
    static func check(_ code: Int32) throws(SystemError) {
        if code != 0 { throw SystemError(code: code) }
    }

    /// The system would stop at a zero byte and take another file than the one named.
    static func checkPath(_ path: String) throws(SystemError) {
        if path.utf8.contains(0) { throw SystemError(code: Int32(ALULA_PATH_HAS_ZERO)) }
    }
}
