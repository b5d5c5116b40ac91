import Foundation

/// Just enough of a safetensors reader for the fixtures.
struct Safetensors {
    private struct Entry: Decodable {
        let dtype: String
        let shape: [Int]
        let offsets: [Int]

        enum CodingKeys: String, CodingKey {
            case dtype
            case shape
            case offsets = "data_offsets"
        }
    }

    enum Failure: Error {
        case missing(String, dtype: String)
    }

    private let entries: [String: Entry]
    private let data: [UInt8]

    init(_ file: [UInt8]) throws {
        let length = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        entries = try JSONDecoder().decode([String: Entry].self, from: Data(file[8..<(8 + length)]))
        data = Array(file[(8 + length)...])
    }

    func bytes(_ name: String) throws -> (shape: [Int], values: [UInt8]) {
        try tensor(name, "U8")
    }

    func floats(_ name: String) throws -> (shape: [Int], values: [Float]) {
        let (shape, bytes) = try tensor(name, "F32")
        let values = stride(from: 0, to: bytes.count, by: 4).map { start in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
        }
        return (shape, values)
    }

    func integers(_ name: String) throws -> (shape: [Int], values: [Int32]) {
        let (shape, bytes) = try tensor(name, "I32")
        return (
            shape,
            bytes.withUnsafeBytes { raw in
                (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
            }
        )
    }

    func doubles(_ name: String) throws -> [Double] {
        try tensor(name, "F64").1.withUnsafeBytes { raw in
            (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) }
        }
    }

    private func tensor(_ name: String, _ dtype: String) throws -> ([Int], [UInt8]) {
        guard let entry = entries[name], entry.dtype == dtype else { throw Failure.missing(name, dtype: dtype) }
        return (entry.shape, Array(data[entry.offsets[0]..<entry.offsets[1]]))
    }
}
