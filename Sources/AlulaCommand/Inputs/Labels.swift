import AlulaGraph

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Names of classes.
enum Labels {
    /// From a file: a JSON array of strings, a JSON object from index to string, or text with a name a line.
    static func read(_ path: String) throws -> [String] {
        let bytes = try readFile(path)
        return try naming(path) {
            switch bytes.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) {
            case UInt8(ascii: "["): return try parse(json: String(decoding: bytes, as: UTF8.self))
            case UInt8(ascii: "{"): return try parse(object: bytes)
            case nil: throw Failure(nil, "holds no labels")
            default:
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw Failure(nil, "is neither JSON nor UTF-8 text")
                }
                return text.split(whereSeparator: \.isNewline).map { String($0).trimmed }.filter { !$0.isEmpty }
            }
        }
    }

    static func parse(json: String) throws -> [String] { try ModelFile.strings(ofJSON: json) }

    private static func parse(object bytes: [UInt8]) throws -> [String] {
        guard let members = try? JSONDecoder().decode([String: String].self, from: Data(bytes)) else {
            throw Failure(nil, "is not a JSON object from index to name")
        }
        return try (0..<members.count).map { index in
            guard let name = members[String(index)] else {
                throw Failure(nil, "has \(members.count) labels, but none for class \(index)")
            }
            return name
        }
    }
}

/// A small file's bytes.
func readFile(_ path: String) throws -> [UInt8] {
    let limit = 64 << 20
    let bytes: Bytes
    do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { throw Failure(path, error.message) }
    guard bytes.count <= limit else { throw Failure(path, "has \(bytes.count) bytes, more than the limit of \(limit)") }
    return bytes.withUnsafeBytes { Array($0) }
}
