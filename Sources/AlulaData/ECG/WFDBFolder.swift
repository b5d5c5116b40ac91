import AlulaGraph

/// Where a record's files are, and how many samples it may still ask for.
struct WFDBFolder {
    private enum Source {
        case disk(prefix: String)
        case memory([String: [UInt8]])
    }

    private let source: Source
    let limits: WFDBLimits
    private(set) var samplesLeft: Int
    private var partsLeft: Int

    init(prefix: String, limits: WFDBLimits) {
        (source, self.limits) = (.disk(prefix: prefix), limits)
        (samplesLeft, partsLeft) = (limits.samples, 16 * limits.entries)
    }

    init(memory files: [String: [UInt8]], limits: WFDBLimits) {
        (source, self.limits) = (.memory(files), limits)
        (samplesLeft, partsLeft) = (limits.samples, 16 * limits.entries)
    }

    func bytes(_ name: String) throws(WFDBError) -> Bytes {
        let bytes: Bytes
        switch source {
        case .disk(let prefix):
            do throws(SystemError) { bytes = try Bytes(mapping: prefix + name) } catch {
                throw WFDBError(name, .system(reason: error.message))
            }
        case .memory(let files):
            guard let file = files[name] else { throw WFDBError(name, .system(reason: "no such file")) }
            bytes = file.withUnsafeBytes { Bytes(copying: $0) }
        }
        guard bytes.count <= limits.fileBytes else {
            throw WFDBError(name, .tooLarge(bytes: bytes.count, limit: limits.fileBytes))
        }
        return bytes
    }

    func header(_ name: String) throws(WFDBError) -> WFDBHeader {
        let text = try bytes(name).withUnsafeBytes { Array($0) }
        guard text.count <= WFDBFolder.headerBytes else {
            throw WFDBError(name, .tooLarge(bytes: text.count, limit: WFDBFolder.headerBytes))
        }
        return try WFDBHeader(parsing: text, file: name, limits: limits)
    }

    /// Headers of days of intensive care list some thousand segments.
    private static let headerBytes = 16 << 20

    /// Takes `frames * perFrame` samples from the record's budget; `name` is the file that asks.
    mutating func reserve(_ frames: Int, _ perFrame: Int, _ name: String) throws(WFDBError) -> Int {
        let (count, overflow) = frames.multipliedReportingOverflow(by: perFrame)
        guard !overflow, count <= samplesLeft else { throw WFDBError(name, .tooManySamples(limit: limits.samples)) }
        samplesLeft -= count
        return count
    }

    /// Takes a part of a signal from the budget, which signals times segments would otherwise exceed without a sample.
    mutating func reservePart(_ name: String) throws(WFDBError) {
        guard partsLeft > 0 else {
            throw WFDBError(name, .segment(reason: "has too many signals in too many segments"))
        }
        partsLeft -= 1
    }
}
