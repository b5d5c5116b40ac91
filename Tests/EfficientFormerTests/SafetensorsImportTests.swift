import AlulaGraph
import Foundation
import SafetensorsConverter
import Testing

@Suite struct SafetensorsImportTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func tensor(_ name: String, _ value: Float) -> CheckpointTensor {
        CheckpointTensor(name, .f32, [1], TensorData(elements: [value]))
    }

    private func writeIndex(_ weightMap: [String: String]) throws {
        let entries = weightMap.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
        try folder.write(
            "{\"metadata\": {\"total_size\": 8.0, \"x\": null}, \"weight_map\": {\(entries)}}",
            to: "model.safetensors.index.json")
    }

    private func failure() -> SafetensorsImportError? {
        do throws(SafetensorsImportError) {
            _ = try SafetensorsImporter.checkpoint(at: folder.url.path)
            return nil
        } catch { return error }
    }

    @Test func aFileAndItsFolderGiveTheSameTensors() throws {
        try write([tensor("a", 1), tensor("b", 2)], to: folder.path("model.safetensors"))
        #expect(SafetensorsImporter.recognizes(folder.url.path))
        #expect(SafetensorsImporter.recognizes(folder.path("model.safetensors")))
        for path in [folder.url.path, folder.path("model.safetensors")] {
            var checkpoint = try SafetensorsImporter.checkpoint(at: path)
            #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
            #expect(try checkpoint.floats("b") == [2])
        }
    }

    @Test func fillersAreNoTensors() throws {
        var writer = SafetensorsWriter(padding: true)
        for name in ["a", "b"] { try writer.add(name, .f32, [1], TensorData(elements: [Float(3)])) }
        try writer.write(to: folder.path("x.safetensors"))
        #expect(try SafetensorsImporter.checkpoint(at: folder.path("x.safetensors")).tensors.map(\.name) == ["a", "b"])
    }

    @Test func shardsAreJoined() throws {
        try write([tensor("a", 1)], to: folder.path("1.safetensors"))
        try write([tensor("b", 2), tensor("c", 3)], to: folder.path("2.safetensors"))
        try writeIndex(["a": "1.safetensors", "b": "2.safetensors"])
        for path in [folder.url.path, folder.path("model.safetensors.index.json")] {
            #expect(SafetensorsImporter.recognizes(path))
            let checkpoint = try SafetensorsImporter.checkpoint(at: path)
            #expect(
                checkpoint.tensors.map(\.name) == ["a", "b", "c"], "what a shard holds without being listed counts too")
        }
    }

    @Test func aTensorThatItsShardLacksIsNamed() throws {
        try write([tensor("a", 1)], to: folder.path("1.safetensors"))
        try write([tensor("b", 2)], to: folder.path("2.safetensors"))
        try writeIndex(["a": "1.safetensors", "b": "1.safetensors", "x": "2.safetensors"])
        #expect(failure() == .missingTensor(name: "b", shard: "1.safetensors"))
    }

    @Test func aTensorInTwoShardsIsNamed() throws {
        try write([tensor("a", 1)], to: folder.path("1.safetensors"))
        try write([tensor("a", 2), tensor("b", 2)], to: folder.path("2.safetensors"))
        try writeIndex(["a": "1.safetensors", "b": "2.safetensors"])
        #expect(failure() == .duplicateTensor(name: "a", shards: ["1.safetensors", "2.safetensors"]))
    }

    @Test func aMissingShardIsNamed() throws {
        try writeIndex(["a": "1.safetensors"])
        #expect(failure() == .missingShard(shard: "1.safetensors", index: folder.path("model.safetensors.index.json")))
    }

    @Test(arguments: ["../1.safetensors", "/etc/hostname", "sub/1.safetensors", "..", "", "a\\\\b"])
    func aShardOutsideTheFolderIsRefused(_ name: String) throws {
        try writeIndex(["a": name])
        guard case .shardOutsideFolder = failure() else {
            Issue.record("\(name) was not refused: \(String(describing: failure()))")
            return
        }
    }

    @Test func aLinkOutOfTheFolderIsRefused() throws {
        let other = try TemporaryFolder()
        try write([tensor("a", 1)], to: other.path("1.safetensors"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("1.safetensors"), withDestinationPath: other.path("1.safetensors"))
        try writeIndex(["a": "1.safetensors"])
        let index = folder.path("model.safetensors.index.json")
        #expect(failure() == .shardOutsideFolder(shard: "1.safetensors", index: index))
    }

    @Test func aLinkInsideTheFolderIsFollowed() throws {
        try write([tensor("a", 1)], to: folder.path("real.safetensors"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("1.safetensors"), withDestinationPath: "real.safetensors")
        try writeIndex(["a": "1.safetensors"])
        #expect(failure() == nil)
    }

    @Test(arguments: ["", "[]", #"{"weight_map": 3}"#, #"{"weight_map": {"a": 1}}"#, #"{"weight_map": {}}"#])
    func aBrokenIndexIsRefused(_ text: String) throws {
        try folder.write(text, to: "model.safetensors.index.json")
        guard case .invalidIndex = failure() else {
            Issue.record("not refused: \(String(describing: failure()))")
            return
        }
    }

    @Test func anEmptyFolderAndABrokenFileAreNamed() throws {
        #expect(failure() == .noWeights(folder: folder.url.path))
        #expect(!SafetensorsImporter.recognizes(folder.url.path))
        try folder.write("short", to: "model.safetensors")
        #expect(failure() == .file(path: folder.path("model.safetensors"), .tooSmall(fileBytes: 5)))
        #expect(failure()?.message.hasPrefix(folder.path("model.safetensors")) == true)
    }
}
