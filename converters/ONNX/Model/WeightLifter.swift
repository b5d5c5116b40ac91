import AlulaGraph

/// Takes the data of initializers out of a serialized model before it is parsed, and leaves their places in the file instead. What
/// remains is small, so that the parser never copies weights, and is limited by the size of a graph and not of a file.
///
/// Wire format: https://protobuf.dev/programming-guides/encoding. Fields: onnx.proto beside the generated parser.
struct WeightLifter {
    private let source: UnsafeRawBufferPointer
    private(set) var result: [UInt8] = []
    private var hasGraph = false

    /// Data below this stay where they are.
    private static let minimumBytes = 256
    private static let graphField: UInt64 = 7
    private static let initializerField: UInt64 = 5
    private static let floatDataField: UInt64 = 4
    private static let rawDataField: UInt64 = 9
    private static let offsetField: UInt64 = 1000
    private static let countField: UInt64 = 1001

    static func lift(_ source: UnsafeRawBufferPointer) throws(ONNXError) -> [UInt8] {
        var lifter = WeightLifter(source: source)
        try lifter.model()
        return lifter.result
    }

    private init(source: UnsafeRawBufferPointer) { self.source = source }

    private mutating func model() throws(ONNXError) {
        var position = 0
        while position < source.count {
            let field = try field(&position, end: source.count)
            guard field.number == Self.graphField, field.isBytes else {
                copy(field.whole)
                continue
            }
            guard !hasGraph else { throw .malformed(problem: "holds more than one graph") }
            hasGraph = true
            try nested(field) { (lifter, inner) throws(ONNXError) in
                if inner.number == Self.initializerField, inner.isBytes {
                    try lifter.nested(inner) { (lifter, data) throws(ONNXError) in lifter.tensorField(data) }
                } else {
                    lifter.copy(inner.whole)
                }
            }
        }
        guard hasGraph else { throw .malformed(problem: "holds no graph") }
    }

    private mutating func tensorField(_ field: Field) {
        guard field.number == Self.rawDataField || field.number == Self.floatDataField, field.isBytes,
            field.content.count >= Self.minimumBytes
        else { return copy(field.whole) }
        append(Self.offsetField << 3)
        append(UInt64(field.content.lowerBound))
        append(Self.countField << 3)
        append(UInt64(field.content.count))
    }

    /// Writes a message again whose fields `body` writes.
    private mutating func nested(
        _ field: Field, _ body: (inout WeightLifter, Field) throws(ONNXError) -> Void
    ) throws(ONNXError) {
        var inner = WeightLifter(source: source)
        var position = field.content.lowerBound
        while position < field.content.upperBound {
            try body(&inner, try self.field(&position, end: field.content.upperBound))
        }
        append(field.number << 3 | 2)
        append(UInt64(inner.result.count))
        result += inner.result
    }

    // MARK: Wire format

    private struct Field {
        var number: UInt64
        /// Key, length and content.
        var whole: Range<Int>
        /// The bytes of a length-delimited field.
        var content: Range<Int>
        var isBytes: Bool
    }

    private func field(_ position: inout Int, end: Int) throws(ONNXError) -> Field {
        let start = position
        let key = try varint(&position, end: end)
        var content = position..<position
        switch key & 7 {
        case 0: _ = try varint(&position, end: end)
        case 1: position += 8
        case 2:
            let length = try varint(&position, end: end)
            guard length <= UInt64(end - position) else { throw truncated(start) }
            content = position..<position + Int(length)
            position = content.upperBound
        case 5: position += 4
        default: throw .malformed(problem: "byte \(start) starts no field of a known kind")
        }
        guard position <= end, key >> 3 != 0 else { throw truncated(start) }
        return Field(number: key >> 3, whole: start..<position, content: content, isBytes: key & 7 == 2)
    }

    private func varint(_ position: inout Int, end: Int) throws(ONNXError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < end else { throw truncated(position) }
            let byte = UInt64(source[position])
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed(problem: "byte \(position) ends no number")
    }

    private func truncated(_ position: Int) -> ONNXError {
        .malformed(problem: "the field at byte \(position) reaches beyond its message")
    }

    private mutating func append(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            result.append(UInt8(rest & 0x7F | 0x80))
            rest >>= 7
        }
        result.append(UInt8(rest))
    }

    private mutating func copy(_ range: Range<Int>) { result += source[range] }
}
