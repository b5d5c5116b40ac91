/// One tensor as a safetensors header describes it.
public struct SafetensorsEntry: Equatable, Sendable {
    public let name: String
    public let dataType: DataType
    /// Sizes of the axes, outermost first; empty for a scalar. In files of other tools an axis may be 0.
    public let shape: [Int]
    /// Bytes from the start of the data section.
    public let range: Range<Int>

    /// Whether this entry only moves the next tensor to a 64-byte boundary.
    package var isFiller: Bool { SafetensorsEntry.isFillerName(name) }

    package static let fillerPrefix = "alula.pad."

    /// `alula.pad.` and one or more digits.
    package static func isFillerName(_ name: String) -> Bool {
        let digits = name.utf8.dropFirst(fillerPrefix.utf8.count)
        return name.utf8.starts(with: fillerPrefix.utf8) && !digits.isEmpty
            && digits.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    }

    /// Bytes of a dense tensor, or nil if they do not fit an `Int`. No axis may be negative.
    package static func byteCount(_ dataType: DataType, _ shape: [Int]) -> Int? {
        var product = dataType.size
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            if overflow { return nil }
            product = next
        }
        return product
    }
}

/// Parses and checks the JSON of a safetensors header. Nothing in it is believed before it is checked.
struct SafetensorsHeader {
    private(set) var entries: [SafetensorsEntry] = []
    private(set) var metadata: [(key: String, value: String)] = []

    private let limits: SafetensorsLimits
    private var json: JSONReader

    static let metadataKey = "__metadata__"

    /// `bytes` is the JSON alone; `dataBytes` is the size of the data section, which the tensors must cover exactly.
    init(
        parsing bytes: UnsafeRawBufferPointer, dataBytes: Int, limits: SafetensorsLimits
    ) throws(SafetensorsError) {
        self.limits = limits
        json = JSONReader(bytes, depthLimit: 4)
        guard bytes.first == UInt8(ascii: "{") else { throw .headerNotAnObject }
        try beginObject()
        while let key = try nextKey() {
            if key.utf8.elementsEqual(SafetensorsHeader.metadataKey.utf8) {
                try parseMetadata()
            } else {
                try parseTensor(key, dataBytes: dataBytes)
            }
        }
        do { try json.finish() } catch { throw .json(error) }
        try sortAndCheckCoverage(dataBytes)
    }

    private mutating func parseMetadata() throws(SafetensorsError) {
        try beginObject()
        while let key = try nextKey() {
            guard metadata.count < limits.metadataEntries else {
                throw .tooManyMetadataEntries(limit: limits.metadataEntries)
            }
            metadata.append((key, try string()))
        }
    }

    // MARK: One tensor

    private mutating func parseTensor(_ name: String, dataBytes: Int) throws(SafetensorsError) {
        guard entries.count < limits.tensors else { throw .tooManyTensors(limit: limits.tensors) }
        guard name.utf8.count <= limits.nameBytes else {
            throw .nameTooLong(name: name, bytes: name.utf8.count, limit: limits.nameBytes)
        }
        var dataType: DataType?
        var shape: [Int]?
        var range: Range<Int>?
        try beginObject()
        while let field = try nextKey() {
            switch field {
            case "dtype": dataType = try parseDataType(name)
            case "shape": shape = try parseShape(name)
            case "data_offsets": range = try parseRange(name, dataBytes)
            default: throw .unknownField(tensor: name, field: field)
            }
        }
        guard let dataType else { throw .missingField(tensor: name, field: "dtype") }
        guard let shape else { throw .missingField(tensor: name, field: "shape") }
        guard let range else { throw .missingField(tensor: name, field: "data_offsets") }
        guard let expected = SafetensorsEntry.byteCount(dataType, shape) else {
            throw .shapeOverflow(tensor: name, shape: shape)
        }
        guard expected == range.count else {
            throw .sizeMismatch(tensor: name, expected: expected, actual: range.count)
        }
        entries.append(SafetensorsEntry(name: name, dataType: dataType, shape: shape, range: range))
    }

    private mutating func parseDataType(_ tensor: String) throws(SafetensorsError) -> DataType {
        let name = try string()
        guard let dataType = DataType(safetensorsName: name) else {
            throw .unknownDataType(tensor: tensor, dataType: name)
        }
        return dataType
    }

    private mutating func parseShape(_ tensor: String) throws(SafetensorsError) -> [Int] {
        var shape: [Int] = []
        try beginArray()
        while try nextElement() {
            guard shape.count < limits.rank else { throw .rankTooLarge(tensor: tensor, limit: limits.rank) }
            shape.append(try size(tensor))
        }
        return shape
    }

    private mutating func parseRange(_ tensor: String, _ dataBytes: Int) throws(SafetensorsError) -> Range<Int> {
        try beginArray()
        guard try nextElement() else { throw .offsetCount(tensor: tensor) }
        let begin = try size(tensor)
        guard try nextElement() else { throw .offsetCount(tensor: tensor) }
        let end = try size(tensor)
        guard try !nextElement() else { throw .offsetCount(tensor: tensor) }
        guard begin <= end else { throw .invertedRange(tensor: tensor, begin: begin, end: end) }
        guard end <= dataBytes else { throw .rangeBeyondData(tensor: tensor, end: end, dataBytes: dataBytes) }
        return begin..<end
    }

    // MARK: All tensors

    /// Orders the entries as their data lie in the file, and checks that they cover the data section exactly once.
    private mutating func sortAndCheckCoverage(_ dataBytes: Int) throws(SafetensorsError) {
        let isSorted = zip(entries, entries.dropFirst()).allSatisfy { !SafetensorsHeader.precedes($1, $0) }
        if !isSorted {
            // The standard sort is stable but does not promise it: ties keep the header's order by index.
            let order = entries.indices.sorted {
                let (left, right) = (entries[$0], entries[$1])
                if SafetensorsHeader.precedes(left, right) { return true }
                return !SafetensorsHeader.precedes(right, left) && $0 < $1
            }
            entries = order.map { entries[$0] }
        }
        var end = 0
        for (index, entry) in entries.enumerated() {
            let begin = entry.range.lowerBound
            if begin < end {
                throw .overlap(tensor: entry.name, begin: begin, other: entries[index - 1].name, otherEnd: end)
            }
            if begin > end { throw .hole(tensor: entry.name, begin: begin, expected: end) }
            end = entry.range.upperBound
        }
        guard end == dataBytes else { throw .trailingData(end: end, dataBytes: dataBytes) }
    }

    private static func precedes(_ left: SafetensorsEntry, _ right: SafetensorsEntry) -> Bool {
        (left.range.lowerBound, left.range.upperBound) < (right.range.lowerBound, right.range.upperBound)
    }

    // MARK: Tokens, with JSON errors wrapped

    private mutating func beginObject() throws(SafetensorsError) {
        do { try json.beginObject() } catch { throw .json(error) }
    }

    private mutating func nextKey() throws(SafetensorsError) -> String? {
        do { return try json.nextKey() } catch { throw .json(error) }
    }

    private mutating func beginArray() throws(SafetensorsError) {
        do { try json.beginArray() } catch { throw .json(error) }
    }

    private mutating func nextElement() throws(SafetensorsError) -> Bool {
        do { return try json.nextElement() } catch { throw .json(error) }
    }

    private mutating func string() throws(SafetensorsError) -> String {
        do { return try json.string() } catch { throw .json(error) }
    }

    private mutating func size(_ tensor: String) throws(SafetensorsError) -> Int {
        let value: Int
        do { value = try json.integer() } catch { throw .json(error) }
        guard value >= 0 else { throw .negative(tensor: tensor, value: value) }
        return value
    }
}
