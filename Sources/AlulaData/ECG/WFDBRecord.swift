/// A recording in WFDB form: a header and the samples that its files hold.
///
/// Reads every signal format of PhysioNet's databases, FLAC included, records of several segments (gaps and variable layouts too), several
/// samples per frame, skewed signals, and the MATLAB files of the PhysioNet Challenges.
public struct WFDBRecord: Sendable {
    /// A stretch of one signal with one calibration.
    public struct Part: Sendable {
        /// How the samples were stored; nil for a gap.
        public var format: WFDBFormat?
        public var gain: Double
        public var baseline: Int
        /// Empty for a gap.
        public var samples: [Int32]
        /// Samples of the part, or of the gap.
        public var count: Int
    }

    /// One signal over the whole record.
    public struct Signal: Sendable {
        /// The lead, such as `V1`.
        public var name: String
        public var units: String
        public var samplesPerFrame: Int
        /// One for an ordinary record.
        public var parts: [Part]

        /// Samples over the whole record.
        public var count: Int { parts.reduce(0) { $0 + $1.count } }

        /// The samples as stored, a gap filled with the format's value for missing ones.
        public var digital: [Int32] {
            let missing = parts.lazy.compactMap { $0.format?.missing }.first ?? WFDBFormat.littleEndian16.missing!
            return parts.flatMap { $0.format == nil ? Array(repeating: missing, count: $0.count) : $0.samples }
        }

        /// `(sample - baseline) / gain`, NaN where nothing was measured.
        public var physical: [Double] {
            var values: [Double] = []
            values.reserveCapacity(count)
            for part in parts {
                guard let format = part.format else {
                    values += Array(repeating: .nan, count: part.count)
                    continue
                }
                let missing = format.missing
                let baseline = Double(part.baseline)
                for sample in part.samples {
                    values.append(sample == missing ? .nan : (Double(sample) - baseline) / part.gain)
                }
            }
            return values
        }

        /// `physical` with one value a frame, the mean of its samples.
        public var physicalFrames: [Double] {
            let values = physical
            guard samplesPerFrame > 1 else { return values }
            return stride(from: 0, to: values.count, by: samplesPerFrame).map { start in
                values[start..<start + samplesPerFrame].reduce(0, +) / Double(samplesPerFrame)
            }
        }
    }

    public var header: WFDBHeader
    /// Frames of the record.
    public var frames: Int
    public var signals: [Signal]

    /// Reads a record.
    ///
    /// - Parameters:
    ///   - path: The header's, with or without `.hea`. Signal files lie beside it.
    ///   - checksums: Whether samples that do not add up to the header's checksums are an error.
    public init(
        contentsOf path: String, checksums: Bool = true, limits: WFDBLimits = .standard
    ) throws(WFDBError) {
        let path = path.hasSuffix(".hea") ? path : path + ".hea"
        let cut = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        var folder = WFDBFolder(prefix: String(path[..<cut]), limits: limits)
        let reader = WFDBReader(verifies: checksums)
        let header = try folder.header(String(path[cut...]))
        self = try header.segments.isEmpty ? reader.record(header, &folder) : reader.joined(header, &folder)
    }

    /// Reads a record whose files are in memory, by name.
    package init(files: [String: [UInt8]], header: String, limits: WFDBLimits) throws(WFDBError) {
        var folder = WFDBFolder(memory: files, limits: limits)
        let parsed = try folder.header(header)
        let reader = WFDBReader(verifies: true)
        self = try parsed.segments.isEmpty ? reader.record(parsed, &folder) : reader.joined(parsed, &folder)
    }

    init(header: WFDBHeader, frames: Int, signals: [Signal]) {
        (self.header, self.frames, self.signals) = (header, frames, signals)
    }
}
