import AlulaGraph

/// One annotation of a recording, such as a beat (`annot(5)` in the WFDB Applications Guide).
public struct WFDBAnnotation: Sendable, Equatable {
    /// Where it is, in samples from the start.
    public var sample: Int
    /// WFDB's number of its kind.
    public var code: Int
    public var subtype = 0
    public var channel = 0
    public var number = 0
    /// Text such as the name of a rhythm, without zero bytes at its end.
    public var auxiliary: String?

    /// The character that stands for the kind, `N` for a normal beat; nil for kinds without one.
    public var symbol: Character? { WFDBAnnotation.symbols[code] }

    /// By code, as WFDB's `ecgcodes.h` and `ecgmap.h` have them.
    private static let symbols: [Int: Character] = [
        0: " ", 1: "N", 2: "L", 3: "R", 4: "a", 5: "V", 6: "F", 7: "J", 8: "A", 9: "S", 10: "E", 11: "j", 12: "/",
        13: "Q", 14: "~", 16: "|", 18: "s", 19: "T", 20: "*", 21: "D", 22: "\"", 23: "=", 24: "p", 25: "B", 26: "^",
        27: "t", 28: "+", 29: "u", 30: "?", 31: "!", 32: "[", 33: "]", 34: "e", 35: "n", 36: "@", 37: "x", 38: "f",
        39: "(", 40: ")", 41: "r",
    ]
}

extension WFDBAnnotation {
    /// Reads an annotation file such as `100.atr`, in WFDB's own format.
    public static func read(
        contentsOf path: String, limits: WFDBLimits = .standard
    ) throws(WFDBError) -> [WFDBAnnotation] {
        let cut = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let name = String(path[cut...])
        let bytes = try WFDBFolder(prefix: String(path[..<cut]), limits: limits).bytes(name)
        return try bytes.withUnsafeBytes { (bytes) throws(WFDBError) in try parse(bytes, file: name) }
    }

    /// Words of a code (6 bits) and a number (10 bits); the number is the time since the annotation before.
    package static func parse(_ bytes: UnsafeRawBufferPointer, file: String) throws(WFDBError) -> [WFDBAnnotation] {
        var annotations: [WFDBAnnotation] = []
        var (time, channel, number) = (0, 0, 0)
        var offset = 0
        func word(_ offset: Int) -> Int { Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 }
        func failure(_ reason: String) -> WFDBError { WFDBError(file, .annotations(offset: offset, reason: reason)) }

        while offset + 2 <= bytes.count {
            let (code, value) = (word(offset) >> 10, word(offset) & 0x3FF)
            offset += 2
            switch code {
            case 0 where value == 0: return withoutDefinitions(annotations)
            case 59:  // a time difference of 32 bits, high half first
                guard offset + 4 <= bytes.count else { throw failure("the file ends within a time difference") }
                let difference = Int32(truncatingIfNeeded: word(offset) << 16 | word(offset + 2))
                offset += 4
                time += Int(difference)
            case 60...63:
                guard !annotations.isEmpty else { throw failure("a modifier without an annotation before it") }
                let last = annotations.count - 1
                let signed = Int(Int8(truncatingIfNeeded: value))
                switch code {
                case 60: (number, annotations[last].number) = (signed, signed)
                case 61: annotations[last].subtype = signed
                case 62: (channel, annotations[last].channel) = (value & 0xFF, value & 0xFF)
                default:
                    guard value <= bytes.count - offset else { throw failure("the file ends within a text") }
                    var text = bytes[offset..<offset + value]
                    while text.last == 0 { text.removeLast() }
                    annotations[last].auxiliary = String(decoding: text, as: UTF8.self)
                    offset += value + value % 2
                }
            default:
                // Differences have 32 bits, so that no file of a size that can be read overflows the sum.
                time += value
                annotations.append(WFDBAnnotation(sample: time, code: code, channel: channel, number: number))
            }
        }
        guard offset >= bytes.count else { throw failure("half a word is left over") }
        return withoutDefinitions(annotations)
    }

    /// Notes at time 0 describe the file (its time resolution, its own codes, the program that wrote it), not the recording.
    private static func withoutDefinitions(_ annotations: [WFDBAnnotation]) -> [WFDBAnnotation] {
        annotations.filter { $0.code != 0 && !($0.sample == 0 && $0.code == 22 && $0.auxiliary != nil) }
    }
}
