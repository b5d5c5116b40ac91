import AlulaCompiler
import AlulaGraph
import EfficientFormer
import Foundation
import SafetensorsConverter
import TestSupport
import Testing

/// The project's own small model, from the folder that a user would have to the logits.
@Suite struct SampleTests {
    @Test func theSameSeedGivesTheSameFiles() throws {
        let folders = try [TemporaryFolder(), TemporaryFolder(), TemporaryFolder()]
        for (folder, seed) in zip(folders, [5, 5, 6]) {
            try EfficientFormer.writeSample(to: folder.url, seed: UInt64(seed))
        }
        for name in ["config.json", "model.safetensors", "preprocessor_config.json"] {
            let files = try folders.map { try Data(contentsOf: URL(fileURLWithPath: $0.path(name))) }
            #expect(files[0] == files[1], "\(name)")
            #expect((files[0] == files[2]) == (name != "model.safetensors"), "\(name)")
        }
    }

    @Test func theWrittenConfigurationReadsBack() throws {
        let folder = try TemporaryFolder()
        try EfficientFormer.writeSample(to: folder.url)
        let json = Array(try Data(contentsOf: URL(fileURLWithPath: folder.path("config.json"))))
        var expected = EfficientFormer.sampleConfiguration
        expected.downsamples.append(true)
        #expect(try EfficientFormerConfiguration(json: json) == expected)
    }

    @Test func theSampleRuns() throws {
        let folder = try TemporaryFolder()
        try EfficientFormer.writeSample(to: folder.url)
        let checkpoint = try SafetensorsImporter.checkpoint(at: folder.url.path)
        let json = Array(try Data(contentsOf: URL(fileURLWithPath: folder.path("config.json"))))
        let configuration = try EfficientFormer.configuration(json: json, for: checkpoint)
        let (graph, report) = try EfficientFormer.build(configuration, checkpoint)
        try graph.verify()
        #expect(graph.shape(graph.inputs[0]) == [1, 64, 64, 3])
        #expect(report.labels.count == 10)

        let dark = try run(graph, [Float](repeating: -1, count: 64 * 64 * 3))
        let ramp = try run(graph, (0..<64 * 64 * 3).map { Float($0 % 192) / 64 - 1.5 })
        for outputs in [dark, ramp] {
            let logits = try #require(outputs["logits"])
            #expect(logits.count == 10)
            #expect(logits.allSatisfy { $0.isFinite && abs($0) < 20 })
            #expect(Set(logits).count == 10)
        }
        #expect(dark["logits"] != ramp["logits"])
    }

    @Test func activationsStayModerate() throws {
        let (configuration, checkpoint) = try sample()
        let graph = try EfficientFormer.build(configuration, checkpoint, options: .init(stageOutputs: true)).graph
        let outputs = try run(graph, (0..<64 * 64 * 3).map { Float($0 * 37 % 101) / 25 - 2 })
        #expect(outputs.count == 11)
        for (name, values) in outputs {
            let largest = values.reduce(0) { max($0, abs($1)) }
            #expect(largest > 0.1 && largest < 50, "\(name) reaches \(largest)")
        }
    }

    @Test func logitsAreTheMeanOfBothHeads() throws {
        let (configuration, checkpoint) = try sample()
        let graph = try EfficientFormer.build(configuration, checkpoint, options: .init(headOutputs: true)).graph
        #expect(graph.outputs.map { graph[$0].name } == ["logits", "cls_logits", "distillation_logits"])
        let outputs = try run(graph, [Float](repeating: 0.5, count: 64 * 64 * 3))
        let heads = zip(try #require(outputs["cls_logits"]), try #require(outputs["distillation_logits"]))
        #expect(outputs["logits"] == heads.map { ($0 + $1) * 0.5 })
    }

    /// The reference splits the packed projection by head first: head 0's q, k, v, then head 1's.
    @Test func queryKeyAndValueAreInterleavedByHead() throws {
        let (configuration, checkpoint) = try sample()
        let graph = try EfficientFormer.build(configuration, checkpoint).graph
        let attention = graph.text.split(separator: "\n").filter { $0.contains("= attention(") }
        #expect(attention.count == 1)
        #expect(attention[0].contains("heads=4 key_dim=16 value_dim=32 scale=0.25 packing=per_head"))
    }

    @Test func attentionBiasesAreGatheredByDistance() throws {
        let (configuration, checkpoint) = try sample()
        // The first pass computes what depends on constants alone.
        let graph = try Pass.run(
            Array(Pass.folding.prefix(1)), on: EfficientFormer.build(configuration, checkpoint).graph)
        let name = "efficientformer.encoder.last_stage.meta3D_layers.blocks.0.token_mixer.attention_biases"
        let attention = try #require(graph.nodes.first { $0.op.name == "attention" })
        let value = graph[attention.inputs[3]]
        try #require(value.type.shape == [4, 4, 4])
        let gathered = try #require(value.constant?.data).array(of: Float.self)
        let table = try #require(checkpoint[name]).floats()
        // Tokens 0 1 over 2 3: 1 and 2 are diagonal neighbours, 0 and 2 vertical ones.
        for head in 0..<4 {
            #expect(gathered[head * 16 + 1 * 4 + 2] == table[head * 4 + 3])
            #expect(gathered[head * 16 + 2 * 4 + 0] == table[head * 4 + 2])
            #expect(Array(gathered[head * 16..<head * 16 + 4]) == Array(table[head * 4..<head * 4 + 4]))
        }
    }

    @Test func thePublishedPreprocessingCropsAnEighth() throws {
        let text = String(decoding: EfficientFormer.preprocessorJSON(side: 224), as: UTF8.self)
        #expect(text.contains("\"shortest_edge\" : 256"))
        #expect(text.contains("\"resample\" : 3"))
        #expect(text.contains("0.485") && text.contains("0.229"))
    }

    @Test func freshWeightsHaveTheScaleOfTraining() throws {
        var configuration = EfficientFormer.sampleConfiguration
        configuration.head = .classifier
        let checkpoint = try EfficientFormer.checkpoint(configuration, .training, seed: 2)
        let scales = checkpoint.tensors.filter { $0.name.contains("layer_scale") }
        #expect(try scales.allSatisfy { try $0.floats().allSatisfy { $0 == 1e-5 } })
        let weight = try #require(checkpoint["classifier.weight"]).floats()
        #expect(weight.allSatisfy { abs($0) <= 0.04 })
        #expect(Set(weight).count > 400)
        #expect(try EfficientFormer.build(configuration, checkpoint).report.unused == [])
    }
}
