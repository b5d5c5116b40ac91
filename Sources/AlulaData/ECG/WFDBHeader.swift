/// A WFDB header: what a record's `.hea` file says about its signals.
///
/// The format is that of `header(5)` in the WFDB Applications Guide (PhysioNet).
public struct WFDBHeader: Sendable, Equatable {
    /// One signal as its header line describes it.
    public struct Signal: Sendable, Equatable {
        /// The file that holds the samples, relative to the header; `~` where there are none.
        public var file: String
        /// Nil where the signal has no samples in this record (format 0).
        public var format: WFDBFormat?
        public var samplesPerFrame = 1
        /// Frames by which the signal was stored too early.
        public var skew = 0
        /// Bytes before the first sample.
        public var byteOffset = 0
        /// Digital units per physical unit; 200 where the header does not say.
        public var gain = WFDBHeader.defaultGain
        /// The digital value of physical zero.
        public var baseline = 0
        public var units = "mV"
        /// Bits of the converter.
        public var resolution: Int?
        /// The value of the converter at the middle of its range.
        public var zero = 0
        /// The first sample's value; format 8 starts from it.
        public var initialValue: Int?
        /// The sum of all samples modulo 65536, signed or unsigned.
        public var checksum: Int?
        public var blockSize = 0
        /// The lead.
        public var description = ""
    }

    /// A part of a multi-segment record.
    public struct Segment: Sendable, Equatable {
        /// The record that holds it; nil for a gap.
        public var record: String?
        public var frames: Int
    }

    static let defaultGain = 200.0
    static let defaultRate = 250.0

    public var record: String
    /// Frames a second.
    public var frameRate = WFDBHeader.defaultRate
    /// Nil where the header does not say.
    public var frames: Int?
    /// Time of day and date as they are written.
    public var baseTime: String?
    public var baseDate: String?
    public var signals: [Signal] = []
    /// Empty for an ordinary record.
    public var segments: [Segment] = []
    /// The `#` lines after the signals, without the sign and the spaces around them.
    public var comments: [String] = []

    /// The value of a comment of the form `#Key: value`, as the PhysioNet Challenges write age, sex and diagnoses.
    public func comment(_ key: String) -> String? {
        for comment in comments {
            guard let colon = comment.firstIndex(of: ":") else { continue }
            if trimmed(comment[..<colon]).lowercased() == key.lowercased() {
                return trimmed(comment[comment.index(after: colon)...])
            }
        }
        return nil
    }
}

// MARK: - Parsing

extension WFDBHeader {
    /// Reads the text of a header; `file` names it in errors.
    public init(parsing bytes: [UInt8], file: String, limits: WFDBLimits = .standard) throws(WFDBError) {
        var lines: [(number: Int, text: Substring)] = []
        var comments: [String] = []
        // Published headers are ASCII, their comments sometimes Latin-1: what is not UTF-8 becomes U+FFFD.
        let text = String(decoding: bytes, as: UTF8.self)
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let content = line.drop { $0 == " " || $0 == "\t" }
            if content.isEmpty { continue }
            if content.first == "#" {
                if lines.count > 1 { comments.append(trimmed(content.dropFirst())) }
            } else {
                lines.append((index + 1, content))
            }
        }
        guard let first = lines.first else { throw WFDBError(file, .header(line: 1, reason: "no record line")) }
        var fields = HeaderFields(first.text, line: first.number, file: file)
        let name = try fields.required("a record name")
        let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        record = String(parts[0])
        let segmentCount =
            parts.count > 1 ? try fields.integer(parts[1], "a number of segments", 1...limits.entries) : 0
        let signalCount = try fields.integer(
            Substring(fields.required("a number of signals")), "a number of signals", 0...limits.entries)
        try readRate(&fields)
        if let count = fields.next() {
            let count = try fields.integer(count, "a number of samples", 0...Int.max)
            frames = count == 0 && segmentCount == 0 ? nil : count
        }
        baseTime = fields.next().map(String.init)
        baseDate = fields.next().map(String.init)

        let wanted = segmentCount > 0 ? segmentCount : signalCount
        guard lines.count > wanted else {
            let kind = segmentCount > 0 ? "segments" : "signals"
            throw WFDBError(
                file, .header(line: first.number, reason: "\(wanted) \(kind) announced, \(lines.count - 1) described"))
        }
        for (number, text) in lines[1..<1 + wanted] {
            var fields = HeaderFields(text, line: number, file: file)
            if segmentCount > 0 {
                segments.append(try Segment(&fields))
            } else {
                signals.append(try Signal(&fields))
            }
        }
        self.comments = comments
    }

    /// `frames a second[/counter frequency[(base counter)]]`; the counter means nothing to samples.
    private mutating func readRate(_ fields: inout HeaderFields) throws(WFDBError) {
        guard let field = fields.next() else { return }
        let text = field.prefix { $0 != "/" && $0 != "(" }
        guard let rate = Double(text), rate.isFinite, rate >= 0 else {
            throw fields.wrong(field, "a sampling frequency")
        }
        if rate > 0 { frameRate = rate }
    }
}

extension WFDBHeader.Segment {
    fileprivate init(_ fields: inout HeaderFields) throws(WFDBError) {
        let name = String(try fields.required("a segment's record name"))
        frames = try fields.integer(fields.required("a segment's length"), "a segment's length", 0...Int.max)
        if name != "~" { try fields.checkPath(name) }
        record = name == "~" ? nil : name
    }
}

extension WFDBHeader.Signal {
    fileprivate init(_ fields: inout HeaderFields) throws(WFDBError) {
        file = String(try fields.required("a file name"))
        if file != "~" { try fields.checkPath(file) }
        try readFormat(fields.required("a format"), fields)
        guard let gain = fields.next() else { return }
        let hasBaseline = try readGain(gain, fields)
        resolution = try fields.nextInteger("a resolution")
        zero = try fields.nextInteger("a zero of the converter") ?? 0
        if !hasBaseline { baseline = zero }
        initialValue = try fields.nextInteger("an initial value")
        checksum = try fields.nextInteger("a checksum")
        blockSize = try fields.nextInteger("a block size") ?? 0
        description = fields.rest
    }

    /// `format[xspf][:skew][+offset]`
    private mutating func readFormat(_ field: Substring, _ fields: HeaderFields) throws(WFDBError) {
        let number = field.prefix { $0.isASCII && $0.isNumber }
        if number != "0" {
            guard let code = Int(number), let format = WFDBFormat(rawValue: code) else {
                throw WFDBError(fields.file, .unknownFormat(line: fields.line, format: String(field.prefix(40))))
            }
            self.format = format
        }
        var rest = field[number.endIndex...]
        while let mark = rest.first {
            let digits = rest.dropFirst().prefix { $0.isASCII && ($0.isNumber || $0 == "-") }
            switch mark {
            case "x": samplesPerFrame = try fields.integer(digits, "samples a frame", 1...1 << 20)
            case ":": skew = try fields.integer(digits, "a skew", 0...1 << 30)
            case "+": byteOffset = try fields.integer(digits, "a byte offset", 0...Int.max)
            default: throw WFDBError(fields.file, .unknownFormat(line: fields.line, format: String(field.prefix(40))))
            }
            rest = rest[digits.endIndex...]
        }
    }

    /// `gain[(baseline)][/units]`; says whether the baseline was there.
    private mutating func readGain(_ field: Substring, _ fields: HeaderFields) throws(WFDBError) -> Bool {
        let number = field.prefix { $0 != "(" && $0 != "/" }
        guard let gain = Double(number), gain.isFinite else { throw fields.wrong(field, "a gain") }
        self.gain = gain == 0 ? WFDBHeader.defaultGain : gain
        var rest = field[number.endIndex...]
        var hasBaseline = false
        if rest.first == "(" {
            guard let close = rest.firstIndex(of: ")") else { throw fields.wrong(field, "a gain with a baseline") }
            baseline = try fields.integer(
                rest[rest.index(after: rest.startIndex)..<close], "a baseline", -(1 << 31)...(1 << 31))
            rest = rest[rest.index(after: close)...]
            hasBaseline = true
        }
        if rest.first == "/" { units = String(rest.dropFirst()) }
        return hasBaseline
    }
}

/// The fields of one header line, read from the left.
private struct HeaderFields {
    private var text: Substring
    let line: Int
    let file: String

    init(_ text: Substring, line: Int, file: String) {
        (self.text, self.line, self.file) = (text, line, file)
    }

    mutating func next() -> Substring? {
        text = text.drop { $0 == " " || $0 == "\t" }
        let field = text.prefix { $0 != " " && $0 != "\t" }
        text = text[field.endIndex...]
        return field.isEmpty ? nil : field
    }

    /// What follows, which may hold spaces.
    var rest: String { trimmed(text) }

    mutating func required(_ meaning: String) throws(WFDBError) -> Substring {
        guard let field = next() else { throw WFDBError(file, .header(line: line, reason: "\(meaning) is missing")) }
        return field
    }

    mutating func nextInteger(_ meaning: String) throws(WFDBError) -> Int? {
        guard let field = next() else { return nil }
        return try integer(field, meaning, -(1 << 40)...(1 << 40))
    }

    func integer(_ field: Substring, _ meaning: String, _ range: ClosedRange<Int>) throws(WFDBError) -> Int {
        guard let value = Int(field), range.contains(value) else { throw wrong(field, meaning) }
        return value
    }

    func wrong(_ field: Substring, _ meaning: String) -> WFDBError {
        WFDBError(file, .header(line: line, reason: "'\(field.prefix(40))' is not \(meaning)"))
    }

    /// Names are relative to the header's folder, and stay in it.
    func checkPath(_ name: String) throws(WFDBError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isSafe =
            parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." } && !name.utf8.contains(0)
            && !name.contains("\\")
        guard isSafe else { throw WFDBError(file, .unsafePath(name)) }
    }
}

/// Without spaces at its ends.
func trimmed(_ text: some StringProtocol) -> String {
    var slice = Substring(text)
    while slice.first?.isWhitespace == true { slice.removeFirst() }
    while slice.last?.isWhitespace == true { slice.removeLast() }
    return String(slice)
}
