import Foundation
import Testing

/// The layers of docs/architecture.md. A target may depend on targets of lower layers only.
private let layers: [String: Int] = [
    "AlulaSystem": 0, "AlulaKernels": 0, "CFLAC": 0, "CJPEG": 0, "CPNG": 0, "CProtobufC": 0, "CZip": 0, "CHDF5": 0,
    "AlulaGraph": 1, "CImageCodecs": 1, "COnnxProto": 1, "HDF5Reader": 1, "alula-hdf5-reader": 2,
    "AlulaRuntime": 2, "ModelBuilding": 2,
    "Alula": 3, "AlulaCompiler": 3, "AlulaData": 3, "SafetensorsConverter": 3, "PyTorchConverter": 3,
    "HDF5Converter": 3, "ONNXConverter": 3,
    "EfficientFormer": 3, "EdgeViT": 3, "MSWTransformer": 3,
    "AlulaRunner": 4, "AlulaTraining": 4,
    "AlulaCommand": 5, "train-bench": 5,
]

/// What a target may reach of its own layer or of packages; everything not named here must be strictly below.
private let exceptions: [String: Set<String>] = [
    "AlulaCommand": ["ArgumentParser"],
    "AlulaData": ["SwiftCSV"],
]

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

private struct Manifest: Decodable {
    struct Target: Decodable {
        var name: String
        var type: String
        var path: String?
        var dependencies: [[String: [Name?]]]
        var settings: [Setting]
    }
    struct Setting: Decodable {
        var kind: [String: AnyDecodable]
    }
    /// Dependencies are arrays of a name and conditions; only the names matter.
    enum Name: Decodable {
        case text(String)
        case other
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self = (try? container.decode(String.self)).map(Name.text) ?? .other
        }
    }
    struct AnyDecodable: Decodable {
        init(from decoder: any Decoder) throws {}
    }
    var targets: [Target]
}

private func manifest() throws -> Manifest {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // A scratch path of its own: the test may run while the package's own one is locked.
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("alula-manifest-\(getpid())").path
    process.arguments = ["swift", "package", "--package-path", root.path, "--scratch-path", scratch, "dump-package"]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try? FileManager.default.removeItem(atPath: scratch)
    return try JSONDecoder().decode(Manifest.self, from: data)
}

@Suite struct DependencyRuleTests {
    @Test func arrowsPointDownOnly() throws {
        let targets = try manifest().targets.filter { $0.type == "regular" || $0.type == "executable" }
        var checked = 0
        for target in targets where target.path?.hasPrefix("Tests/") != true {
            let layer = try #require(
                layers[target.name],
                "target \(target.name) has no layer: add it to the table and to docs/architecture.md")
            for dependency in target.dependencies.flatMap({ $0.values }).compactMap({ $0.first ?? nil }) {
                guard case .text(let name) = dependency else { continue }
                if exceptions[target.name]?.contains(name) == true { continue }
                let below = try #require(layers[name], "\(target.name) depends on \(name), which no layer allows")
                #expect(below < layer, "\(target.name) must not depend on \(name)")
                checked += 1
            }
        }
        #expect(checked >= 10)
    }

    /// A package with unsafe flags cannot be depended on.
    @Test func thereAreNoUnsafeFlags() throws {
        for target in try manifest().targets {
            #expect(!target.settings.contains { $0.kind.keys.contains("unsafeFlags") }, "\(target.name)")
        }
    }

    @Test(arguments: ["AlulaGraph", "AlulaRuntime", "AlulaRunner"])
    func coreImportsNothingFromOutside(target: String) throws {
        let allowed: Set<String> = ["AlulaSystem", "AlulaKernels", "AlulaGraph", "AlulaRuntime"]
        let folder = root.appendingPathComponent("Sources/\(target)")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)).compactMap
        { $0 as? URL }
        var count = 0
        for file in files where file.pathExtension == "swift" {
            count += 1
            let text = try String(contentsOf: file, encoding: .utf8)
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                if let place = words.firstIndex(of: "import"), place < 2, words.count > place + 1 {
                    #expect(allowed.contains(String(words[place + 1])), "\(file.lastPathComponent): \(line)")
                }
                let code = line.components(separatedBy: "//")[0]
                #expect(
                    code.range(of: #"[:(<\[ ]any [A-Z]"#, options: .regularExpression) == nil,
                    "existential in \(file.lastPathComponent): \(line)")
            }
        }
        #expect(count > 0)
    }

    @Test func kernelsNeedNoLibrary() throws {
        let folder = root.appendingPathComponent("Sources/AlulaKernels")
        let allowed: Set<String> = [
            "stddef.h", "stdint.h", "stdbool.h", "immintrin.h", "cpuid.h", "arm_neon.h", "wasm_simd128.h",
        ]
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)).compactMap
        { $0 as? URL }
        for file in files where ["c", "h"].contains(file.pathExtension) {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /#include <([^>]+)>/) where !String(match.1).hasPrefix("simde/") {
                #expect(allowed.contains(String(match.1)), "\(file.lastPathComponent) includes \(match.1)")
            }
        }
    }
}
