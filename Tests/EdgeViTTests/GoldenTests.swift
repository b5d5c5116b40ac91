import AlulaCompiler
import AlulaGraph
import EdgeViT
import SafetensorsConverter
import TestSupport
import Testing

/// Logits and stage outputs of the reference implementation, which agrees with its own f64 run to about 1e-5 of the largest number.
@Suite struct GoldenTests {
    static let folders = ["edgevit_tiny_64", "edgevit_tiny_cifar32"]

    @Test(.needsFixture("edgevit_tiny_64"), .needsFixture("edgevit_tiny_cifar32"), arguments: folders)
    func everyStageMatchesTheReference(_ folder: String) throws {
        let checkpoint = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder))
        let configuration = try EdgeViT.configuration(
            json: Fixtures.bytes(folder + "/config.json"), for: checkpoint)
        let (graph, report) = try EdgeViT.build(configuration, checkpoint, stageOutputs: true)
        try graph.verify()
        #expect(report.unused == [])
        #expect(report.usedCount + report.ignored.count == checkpoint.tensors.count)

        let inputs = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/inputs.safetensors"))
        let expected = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/outputs.safetensors"))
        let pixels = try #require(inputs["pixel_values"])
        #expect(graph.outputs.count == expected.tensors.count - 1, "every stored stage is an output, logits_f64 apart")
        for index in 0..<pixels.shape[0] {
            let outputs = try run(graph, item(index, of: pixels))
            for reference in expected.tensors {
                let name = reference.name == "logits_f64" ? "logits" : reference.name
                let values = try #require(outputs[name], "\(name)")
                let difference = relativeDifference(values, try item(index, of: reference))
                #expect(difference <= 1e-4, "picture \(index), \(reference.name)")
            }
        }
    }

    @Test(.needsFixture("edgevit_tiny_64"), .needsFixture("edgevit_tiny_cifar32"), arguments: folders)
    func theCompiledGraphMatchesTheReference(_ folder: String) throws {
        let checkpoint = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder))
        let configuration = try EdgeViT.configuration(
            json: Fixtures.bytes(folder + "/config.json"), for: checkpoint)
        let graph = try Pass.run(Pass.folding + Pass.floatOnly, on: EdgeViT.build(configuration, checkpoint).graph)
        #expect(!graph.text.contains("batch_norm"), "all batch norms fold into what follows")
        let inputs = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/inputs.safetensors"))
        let expected = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/outputs.safetensors"))
        let (pixels, logits) = (try #require(inputs["pixel_values"]), try #require(expected["logits_f64"]))
        for index in 0..<pixels.shape[0] {
            let outputs = try run(graph, item(index, of: pixels))
            #expect(
                relativeDifference(try #require(outputs["logits"]), try item(index, of: logits)) <= 1e-4,
                "picture \(index)")
        }
    }

    @Test(.needsFixture("edgevit_tiny_64"))
    func theConfigurationCanBeReadOffTheTensors() throws {
        let folder = "edgevit_tiny_64"
        let checkpoint = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder))
        let stated = try EdgeViTConfiguration(json: Fixtures.bytes(folder + "/config.json"))
        var inferred = try EdgeViT.configuration(for: checkpoint)
        #expect(inferred.notes.count == 1)
        (inferred.height, inferred.width) = (64, 64)
        (inferred.classes, inferred.notes) = (stated.classes, [])
        #expect(inferred == stated)
    }
}
