import AlulaGraph
import Foundation
import TestSupport

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
