/// A safetensors file whose header has been read and checked; the tensors stay where they are.
///
/// The input is taken as hostile: no value is used before it is checked, and nothing is allocated from a size that the
/// file states. `docs/format.md` has the format and what Alula's own files add to it.
public struct SafetensorsFile: Sendable {
    /// All tensors in the order of their data, fillers included.
    public let entries: [SafetensorsEntry]
    /// `__metadata__` in the order of the file.
    public let metadata: [(key: String, value: String)]

    private let bytes: Bytes
    private let dataOffset: Int
    private let index: [UTF8Key: Int]

    /// Bytes of the header's length at the start of a file.
    static let lengthBytes = 8

    /// Maps the file. The mapping lives as long as this value or any tensor data from it.
    public init(mapping path: String, limits: SafetensorsLimits = .default) throws(SafetensorsError) {
        let bytes: Bytes
        do { bytes = try Bytes(mapping: path) } catch { throw .system(error) }
        try self.init(bytes: bytes, limits: limits)
    }

    public init(bytes: Bytes, limits: SafetensorsLimits = .default) throws(SafetensorsError) {
        let headerBytes = try SafetensorsFile.headerLength(bytes, limits)
        let dataOffset = SafetensorsFile.lengthBytes + headerBytes
        let json = UnsafeRawBufferPointer(start: bytes.baseAddress + SafetensorsFile.lengthBytes, count: headerBytes)
        let header = try SafetensorsHeader(parsing: json, dataBytes: bytes.count - dataOffset, limits: limits)
        entries = header.entries
        metadata = header.metadata
        self.bytes = bytes
        self.dataOffset = dataOffset
        var index: [UTF8Key: Int] = [:]
        index.reserveCapacity(entries.count)
        for (position, entry) in entries.enumerated() { index[UTF8Key(entry.name)] = position }
        self.index = index
    }

    private static func headerLength(_ bytes: Bytes, _ limits: SafetensorsLimits) throws(SafetensorsError) -> Int {
        guard bytes.count >= lengthBytes else { throw .tooSmall(fileBytes: bytes.count) }
        let length = UInt64(littleEndian: bytes.baseAddress.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(limits.headerBytes) else {
            throw .headerTooLarge(bytes: length, limit: limits.headerBytes)
        }
        let available = bytes.count - lengthBytes
        guard length <= UInt64(available) else { throw .headerBeyondFile(bytes: length, available: available) }
        return Int(length)
    }

    /// The tensors without the fillers that align them.
    public var tensors: [SafetensorsEntry] { entries.filter { !$0.isFiller } }

    /// The entry of that name, compared byte by byte.
    public func entry(named name: String) -> SafetensorsEntry? {
        index[UTF8Key(name)].map { entries[$0] }
    }

    /// The metadata of that key.
    public func metadata(_ key: String) -> String? {
        metadata.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// The bytes of one of this file's entries, in place.
    public func data(of entry: SafetensorsEntry) -> TensorData {
        TensorData(bytes, entry.range.lowerBound + dataOffset..<entry.range.upperBound + dataOffset)
    }

    public func data(of name: String) -> TensorData? { entry(named: name).map { data(of: $0) } }
}
