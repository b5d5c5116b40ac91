import Foundation

import AlulaGraph

/// An empty directory that is removed with the value.
final class TemporaryDirectory {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("alula-test-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func contents() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
}

/// Files of other tools that lie beside the checkout, where there are any.
enum Fixtures {
    static let directory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../../../shared/fixtures").standardized.path

    static func safetensors() -> [String] {
        let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".safetensors") }.sorted().map { directory + "/" + $0 }
    }
}

extension SafetensorsWriter {
    /// The file that this writer makes, read again from memory.
    func reopened() throws -> SafetensorsFile { try SafetensorsFile(bytes: Bytes(serialized())) }
}

extension Bytes {
    convenience init(_ array: [UInt8]) {
        let data = TensorData(elements: array)
        self.init(copying: UnsafeRawBufferPointer(start: data.baseAddress, count: data.count))
        withExtendedLifetime(data) {}
    }
}

/// A safetensors file with any header text, valid or not.
func file(header: String, dataBytes: Int = 0) -> [UInt8] {
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
    return length + [UInt8](header.utf8) + [UInt8](repeating: 0, count: dataBytes)
}

/// SplitMix64: the same sequence everywhere.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
