import AlulaGraph
import AlulaRuntime
import EfficientFormer
import Foundation
import ModelBuilding
import SafetensorsConverter
import TestSupport
import Testing

/// Files of reference implementations, which lie beside the repository and need not be there.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/fixtures").standardized

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    static func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
    static func absence(_ name: String) -> Comment { "no reference files at \(path(name))" }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips, with the path, where the reference files are absent.
    static func needsFixture(_ name: String) -> Self { .enabled(if: Fixtures.exists(name), Fixtures.absence(name)) }
}

/// A folder that is removed at the end of the test.
final class TemporaryFolder {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("alula-" + UUID().uuidString)

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: url.appendingPathComponent(name))
    }
}

func write(_ tensors: [CheckpointTensor], to path: String) throws {
    var writer = SafetensorsWriter(padding: false)
    for tensor in tensors { try writer.add(tensor.name, tensor.dataType, tensor.shape, tensor.data) }
    try writer.write(to: path)
}

extension Checkpoint {
    /// A copy in which each tensor is replaced by what `change` makes of it, or left out for nil.
    func changed(_ change: (CheckpointTensor) -> CheckpointTensor?) throws -> Checkpoint {
        var result = Checkpoint()
        for tensor in tensors {
            if let tensor = change(tensor) { try result.add(tensor) }
        }
        return result
    }

    func renamed(_ rename: (String) -> String) throws -> Checkpoint {
        try changed { CheckpointTensor(rename($0.name), $0.dataType, $0.shape, $0.data) }
    }
}

extension CheckpointTensor {
    func with(name: String? = nil, dataType: DataType? = nil, shape: [Int]? = nil, data: TensorData? = nil)
        -> CheckpointTensor
    {
        CheckpointTensor(name ?? self.name, dataType ?? self.dataType, shape ?? self.shape, data ?? self.data)
    }
}

/// Names, operators and constants of two graphs are equal.
func expectEqual(_ graph: Graph, _ other: Graph, _ what: Comment) {
    #expect(graph.text == other.text, what)
    #expect(graph.values.count == other.values.count, what)
    for (value, twin) in zip(graph.values, other.values) where value.constant != nil {
        let data = value.constant?.data?.array(of: UInt8.self)
        #expect(data == twin.constant?.data?.array(of: UInt8.self), "\(what): \(value.name)")
    }
}

/// The sample model's configuration and weights.
func sample(seed: UInt64 = 1) throws -> (EfficientFormerConfiguration, Checkpoint) {
    let configuration = EfficientFormer.sampleConfiguration
    return (configuration, try EfficientFormer.checkpoint(configuration, .sample, seed: seed))
}

func configuration(_ json: String) throws(ModelError) -> EfficientFormerConfiguration {
    try EfficientFormerConfiguration(json: Array(json.utf8))
}
