/// Why a WFDB record or annotation file could not be read or written.
public struct WFDBError: Error, Equatable {
    public enum Problem: Equatable, Sendable {
        /// The file could not be opened, read or written.
        case system(reason: String)
        case tooLarge(bytes: Int, limit: Int)
        /// A header line says something that cannot be; lines count from 1.
        case header(line: Int, reason: String)
        /// A name in a header that is absolute, or leads out of the record's folder.
        case unsafePath(String)
        /// A signal format that is not known.
        case unknownFormat(line: Int, format: String)
        /// The header asks for more samples than the limit.
        case tooManySamples(limit: Int)
        /// The signal file ends before its last sample.
        case truncated(needed: Int, found: Int)
        /// The sum of a signal's samples, modulo 65536, is not the header's.
        case checksum(signal: String, stated: Int, computed: Int)
        /// The FLAC stream is damaged, or not what the header says.
        case flac(reason: String)
        /// A segment does not fit its record.
        case segment(reason: String)
        case annotations(offset: Int, reason: String)
        /// The record has no signal that the caller asked for, or none at all.
        case unusable(reason: String)
    }

    /// The file at fault, without its folder.
    public var file: String
    public var problem: Problem

    init(_ file: String, _ problem: Problem) {
        (self.file, self.problem) = (file, problem)
    }
}

extension WFDBError: CustomStringConvertible {
    public var description: String { "\(file) \(cause)" }

    /// The problem without the file's name, as the rest of a sentence.
    private var cause: String {
        switch problem {
        case .system(let reason): "cannot be read or written: \(reason)"
        case .tooLarge(let bytes, let limit): "has \(bytes) bytes, more than the limit of \(limit)"
        case .header(let line, let reason): "line \(line): \(reason)"
        case .unsafePath(let name): "names '\(name)', which lies outside of the record's folder"
        case .unknownFormat(let line, let format): "line \(line): '\(format)' is no known signal format"
        case .tooManySamples(let limit): "asks for more samples than the limit of \(limit)"
        case .truncated(let needed, let found): "ends early: \(needed) bytes needed, \(found) there"
        case .checksum(let signal, let stated, let computed):
            "has other samples than its header says: checksum of signal \(signal) is \(computed), not \(stated)"
        case .flac(let reason): "is not a FLAC stream as the header describes it: \(reason)"
        case .segment(let reason): reason
        case .annotations(let offset, let reason): "byte \(offset): \(reason)"
        case .unusable(let reason): reason
        }
    }
}

/// What a record may cost before it is refused; checked before memory is allocated.
public struct WFDBLimits: Sendable, Equatable {
    public static let standard = WFDBLimits()

    /// Most bytes of one file.
    public var fileBytes: Int
    /// Most samples of a record, all signals together.
    public var samples: Int
    /// Most signals of a record, and most segments.
    public var entries: Int

    public init(fileBytes: Int = 1 << 31, samples: Int = 1 << 28, entries: Int = 1 << 16) {
        (self.fileBytes, self.samples, self.entries) = (fileBytes, samples, entries)
    }
}
