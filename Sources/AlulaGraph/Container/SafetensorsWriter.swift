/// Why tensors are not written. `message` says it in one line, without the file's name.
public enum SafetensorsWriteError: Error, Equatable, Sendable {
    /// The file cannot be created or written; nothing of it remains.
    case system(SystemError)
    case duplicateName(String)
    /// `__metadata__`, or a filler's name while fillers are being added.
    case reservedName(String)
    case duplicateMetadata(key: String)
    /// The data have another number of bytes than type and shape say.
    case sizeMismatch(tensor: String, expected: Int, actual: Int)
    /// An axis is negative, or the shape's byte count does not fit an `Int`.
    case invalidShape(tensor: String, shape: [Int])
    /// The header would be over what readers accept.
    case headerTooLarge(bytes: Int, limit: Int)
    /// The data of all tensors together do not fit an `Int`.
    case dataTooLarge

    public var message: String {
        switch self {
        case .system(let error): error.message
        case .duplicateName(let name): "two tensors are named \(name.quotedForMessage)"
        case .reservedName(let name): "the tensor name \(name.quotedForMessage) is reserved"
        case .duplicateMetadata(let key): "metadata key \(key.quotedForMessage) occurs twice"
        case .sizeMismatch(let tensor, let expected, let actual):
            "tensor \(tensor.quotedForMessage) needs \(expected) bytes but has \(actual)"
        case .invalidShape(let tensor, let shape):
            "tensor \(tensor.quotedForMessage) of shape \(Shape(shape).description) is invalid"
        case .headerTooLarge(let bytes, let limit): "the header has \(bytes) bytes, the limit is \(limit)"
        case .dataTooLarge: "the tensors are too large for one file"
        }
    }
}

/// Writes a safetensors file: the same tensors and metadata always give the same bytes.
///
/// With padding, as in `.alula` files, every tensor starts on a 64-byte boundary of the file, and fillers named
/// `alula.pad.<n>` make up the difference. Without, the bytes are those that the safetensors library writes.
package struct SafetensorsWriter {
    private struct Tensor {
        var name: String
        var dataType: DataType
        var shape: [Int]
        var data: TensorData
    }

    private let padding: Bool
    private let headerLimit: Int
    private var tensors: [Tensor] = []
    private var names: Set<UTF8Key> = []
    private var metadata: [(key: String, value: String)] = []

    /// Bytes of a boundary on which a tensor starts in a padded file.
    package static let alignment = 64

    /// Readers with the same `limits` accept the header's size.
    package init(padding: Bool = true, limits: SafetensorsLimits = .default) {
        self.padding = padding
        headerLimit = limits.headerBytes
    }

    /// Adds a tensor; tensors are written in this order. The data are kept, not copied.
    package mutating func add(
        _ name: String, _ dataType: DataType, _ shape: [Int], _ data: TensorData
    ) throws(SafetensorsWriteError) {
        if name == SafetensorsHeader.metadataKey || padding && SafetensorsEntry.isFillerName(name) {
            throw .reservedName(name)
        }
        guard shape.allSatisfy({ $0 >= 0 }), let expected = SafetensorsEntry.byteCount(dataType, shape) else {
            throw .invalidShape(tensor: name, shape: shape)
        }
        guard data.count == expected else {
            throw .sizeMismatch(tensor: name, expected: expected, actual: data.count)
        }
        guard names.insert(UTF8Key(name)).inserted else { throw .duplicateName(name) }
        tensors.append(Tensor(name: name, dataType: dataType, shape: shape, data: data))
    }

    /// Adds an entry of `__metadata__`; entries are written sorted by key.
    package mutating func addMetadata(_ key: String, _ value: String) throws(SafetensorsWriteError) {
        let isKnown = metadata.contains { $0.key.utf8.elementsEqual(key.utf8) }
        if isKnown { throw .duplicateMetadata(key: key) }
        metadata.append((key, value))
    }

    /// Writes the file; it appears under `path` only when complete, and replaces one that exists.
    package func write(to path: String) throws(SafetensorsWriteError) {
        let header = try header()
        do {
            var file = try AtomicFile(path: path)
            try write(header, to: &file)
            try file.commit()
        } catch { throw .system(error) }
    }

    /// The file's bytes, in memory.
    package func serialized() throws(SafetensorsWriteError) -> [UInt8] {
        let header = try header()
        var sink = MemorySink()
        do { try write(header, to: &sink) } catch { throw .system(error) }
        return sink.bytes
    }

    // MARK: Data

    private func write<Sink: ByteSink & ~Copyable>(_ header: [UInt8], to sink: inout Sink) throws(SystemError) {
        try SafetensorsWriter.write(header, count: header.count, to: &sink)
        let zeros = [UInt8](repeating: 0, count: SafetensorsWriter.alignment)
        for tensor in tensors {
            try tensor.data.withUnsafeBytes { (bytes) throws(SystemError) in try sink.write(bytes) }
            try SafetensorsWriter.write(zeros, count: fillerBytes(after: tensor), to: &sink)
        }
    }

    private static func write<Sink: ByteSink & ~Copyable>(
        _ bytes: [UInt8], count: Int, to sink: inout Sink
    ) throws(SystemError) {
        if count == 0 { return }
        try bytes.withUnsafeBufferPointer { (buffer) throws(SystemError) in
            try sink.write(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[..<count])))
        }
    }

    private func fillerBytes(after tensor: Tensor) -> Int {
        let over = tensor.data.count % SafetensorsWriter.alignment
        return padding && over > 0 ? SafetensorsWriter.alignment - over : 0
    }

    // MARK: Header

    /// The header with its length in front, padded with spaces.
    private func header() throws(SafetensorsWriteError) -> [UInt8] {
        var json = JSONWriter()
        json.append("{")
        appendMetadata(to: &json)
        var offset = 0
        var fillers = 0
        for (index, tensor) in tensors.enumerated() {
            if index > 0 || !metadata.isEmpty { json.append(",") }
            offset = try append(tensor.name, tensor.dataType, tensor.shape, tensor.data.count, at: offset, to: &json)
            let filler = fillerBytes(after: tensor)
            if filler == 0 { continue }
            json.append(",")
            let name = SafetensorsEntry.fillerPrefix + String(fillers)
            offset = try append(name, .u8, [filler], filler, at: offset, to: &json)
            fillers += 1
        }
        json.append("}")
        let boundary = padding ? SafetensorsWriter.alignment : 8
        while (SafetensorsFile.lengthBytes + json.bytes.count) % boundary != 0 { json.append(" ") }
        guard json.bytes.count <= headerLimit else {
            throw .headerTooLarge(bytes: json.bytes.count, limit: headerLimit)
        }
        return SafetensorsWriter.lengthPrefix(json.bytes.count) + json.bytes
    }

    private static func lengthPrefix(_ length: Int) -> [UInt8] {
        (0..<SafetensorsFile.lengthBytes).map { UInt8(truncatingIfNeeded: UInt64(length) >> (8 * UInt64($0))) }
    }

    private func appendMetadata(to json: inout JSONWriter) {
        if metadata.isEmpty { return }
        json.append("\"__metadata__\":{")
        let sorted = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        for (index, entry) in sorted.enumerated() {
            if index > 0 { json.append(",") }
            json.append(string: entry.key)
            json.append(":")
            json.append(string: entry.value)
        }
        json.append("}")
    }

    /// Appends one entry and returns the end of its data.
    private func append(
        _ name: String, _ dataType: DataType, _ shape: [Int], _ count: Int, at offset: Int, to json: inout JSONWriter
    ) throws(SafetensorsWriteError) -> Int {
        let (end, overflow) = offset.addingReportingOverflow(count)
        if overflow { throw .dataTooLarge }
        json.append(string: name)
        json.append(":{\"dtype\":")
        json.append(string: dataType.safetensorsName)
        json.append(",\"shape\":[")
        for (axis, size) in shape.enumerated() {
            if axis > 0 { json.append(",") }
            json.append(size)
        }
        json.append("],\"data_offsets\":[")
        json.append(offset)
        json.append(",")
        json.append(end)
        json.append("]}")
        return end
    }
}
