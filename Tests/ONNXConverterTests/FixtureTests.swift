import AlulaCompiler
import AlulaGraph
import Foundation
import ONNXConverter
import TestSupport
import Testing

/// Files of reference implementations, which lie beside the repository and need not be there.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/fixtures").standardized

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    static var exist: Bool { FileManager.default.fileExists(atPath: folder.path) }

    static func tensors(_ name: String) throws -> [String: CheckpointTensor] {
        let file = try SafetensorsFile(mapping: path(name))
        return Dictionary(
            uniqueKeysWithValues: file.tensors.map {
                ($0.name, CheckpointTensor($0.name, $0.dataType, $0.shape, file.data(of: $0)))
            })
    }
}

/// Exports of torch.onnx against what PyTorch gave for the same weights.
@Suite(.enabled(if: Fixtures.exist, "no reference fixtures at \(Fixtures.folder.path)"))
struct FixtureTests {
    static let exporters = [
        "ts13_static", "ts17_static", "ts17_unfused", "dynamo18_static", "dynamo18_dynbatch", "dynamo20_static",
    ]
    static let models =
        exporters.flatMap { ["hf_efficientformer_tiny_a/model_\($0)", "hf_efficientformer_tiny_b/model_\($0)"] }
        + ["ts13_dynbatch", "ts17_dynbatch"].map { "hf_efficientformer_tiny_a/model_\($0)" }
        + ["64", "cifar32"].flatMap { size in
            ["dynamo18_dynbatch", "ts13_static", "ts17_dynbatch"].map { "edgevit_tiny_\(size)/model_\($0)" }
        } + ["hf_efficientformer_tiny_b/model_dynamo18_external", "timm_efficientformer_tiny/model_ts17_static"]

    private func check(_ graph: Graph, folder: String) throws {
        let inputs = try Fixtures.tensors(folder + "/inputs.safetensors")
        let outputs = try Fixtures.tensors(folder + "/outputs.safetensors")
        let pixels = try #require(inputs["pixel_values"] ?? inputs["input"])
        let expected = try #require(outputs["logits"] ?? outputs["output"])
        for index in 0..<pixels.shape[0] {
            let found = try run(graph, item(index, of: pixels))
            let logits = try #require(found["logits"] ?? found["output"])
            #expect(relativeDifference(logits, try item(index, of: expected)) <= 1e-4, "picture \(index)")
            for name in ["cls_logits", "distillation_logits"] {
                guard let values = found[name], let reference = outputs[name] else { continue }
                #expect(relativeDifference(values, try item(index, of: reference)) <= 1e-4, "\(name)")
            }
        }
    }

    @Test(arguments: models) func logitsAgree(model: String) throws {
        let result = try ONNXModel(contentsOf: Fixtures.path(model + ".onnx")).imported()
        let folder = String(model.split(separator: "/")[0])
        try check(result.graph, folder: folder)
        try check(Pass.run(Pass.folding + Pass.floatOnly, on: result.graph), folder: folder)
    }

    @Test func batchesAreFixedByTheCaller() throws {
        let model = try ONNXModel(contentsOf: Fixtures.path("edgevit_tiny_64/model_ts17_dynbatch.onnx"))
        var options = ONNXImportOptions()
        options.batch = 3
        let graph = try model.imported(options).graph
        let inputs = try Fixtures.tensors("edgevit_tiny_64/inputs.safetensors")
        let pixels = try #require(inputs["pixel_values"])
        let single = try model.imported().graph
        let pictures = try (0..<3).map { try item($0 % pixels.shape[0], of: pixels) }
        let one = try pictures.flatMap { try #require(run(single, $0)["logits"]) }
        let three = try #require(run(graph, pictures.flatMap { $0 })["logits"])
        #expect(relativeDifference(three, one) <= 1e-5)
    }

    /// An NCHW model becomes an NHWC graph: what remains of its layout are the transposes of attention.
    @Test func convolutionsNeedNoTransposes() throws {
        let model = try ONNXModel(contentsOf: Fixtures.path("hf_efficientformer_tiny_a/model_ts17_static.onnx"))
        let graph = try model.imported().graph
        for node in graph.nodes {
            guard case .transpose(let op) = node.op else { continue }
            #expect(graph.shape(node.inputs[0]).rank != 4 || op.permutation[0] == 0)
            #expect(op.permutation != [0, 2, 3, 1] && op.permutation != [0, 3, 1, 2], "\(op.permutation)")
        }
    }
}
