import Foundation

/// A TensorBoard event file: TFRecords, each holding a protobuf message `Event` (tensorflow/core/util/event.proto).
package struct EventFile {
    private let handle: FileHandle

    /// Starts a file of its own for this run, as TensorBoard expects of every process.
    ///
    /// - Parameters:
    ///   - folder: where the file is made; it exists.
    ///   - resumedAt: the step at which a run goes on; what earlier files say of later steps is then not shown.
    package init(folder: String, resumedAt step: Int? = nil) throws {
        let now = Date().timeIntervalSince1970
        // Names are compared by TensorBoard to read them in order: time first, then the process.
        let name = "events.out.tfevents.\(Int(now)).alula.\(ProcessInfo.processInfo.processIdentifier)"
        let path = folder + "/" + name
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw TrainingFileError(path, "cannot be made")
        }
        do { handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path)) } catch {
            throw TrainingFileError(path, "cannot be written")
        }
        try append(Event(time: now, version: "brain.Event:2"))
        if let step { try append(Event(time: now, step: step, restarts: true)) }
    }

    /// Notes numbers of a step, by tag.
    package func add(_ scalars: [(tag: String, value: Double)], step: Int) throws {
        try append(Event(time: Date().timeIntervalSince1970, step: step, scalars: scalars))
    }

    package func close() { try? handle.close() }

    private func append(_ event: Event) throws {
        try handle.write(contentsOf: Data(EventFile.record(event.bytes)))
    }

    /// A TFRecord: length, its check, data, their check.
    static func record(_ data: [UInt8]) -> [UInt8] {
        let length = littleEndian(UInt64(data.count))
        return length + littleEndian(CRC32C.masked(length)) + data + littleEndian(CRC32C.masked(data))
    }

    private static func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    /// The fields of `Event` that are written here.
    struct Event {
        var time: Double
        var step = 0
        var version: String?
        var restarts = false
        var scalars: [(tag: String, value: Double)] = []

        var bytes: [UInt8] {
            var message = ProtobufWriter()
            message.append(1, double: time)
            if step != 0 { message.append(2, integer: step) }
            if let version { message.append(3, bytes: Array(version.utf8)) }
            if !scalars.isEmpty {
                var summary = ProtobufWriter()
                for scalar in scalars {
                    var value = ProtobufWriter()
                    value.append(1, bytes: Array(scalar.tag.utf8))
                    value.append(2, float: Float(scalar.value))
                    summary.append(1, bytes: value.bytes)
                }
                message.append(5, bytes: summary.bytes)
            }
            if restarts {
                // SessionLog with status START.
                var session = ProtobufWriter()
                session.append(1, integer: 1)
                message.append(7, bytes: session.bytes)
            }
            return message.bytes
        }
    }
}

/// Fields of a protobuf message, one after another.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ field: Int, integer: Int) {
        tag(field, 0)
        varint(UInt64(bitPattern: Int64(integer)))
    }

    mutating func append(_ field: Int, double: Double) {
        tag(field, 1)
        withUnsafeBytes(of: double.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func append(_ field: Int, float: Float) {
        tag(field, 5)
        withUnsafeBytes(of: float.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func append(_ field: Int, bytes content: [UInt8]) {
        tag(field, 2)
        varint(UInt64(content.count))
        bytes += content
    }

    private mutating func tag(_ field: Int, _ wireType: Int) { varint(UInt64(field << 3 | wireType)) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest > 127 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
