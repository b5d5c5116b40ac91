import AlulaGraph
import EfficientFormer
import SafetensorsConverter
import TestSupport
import Testing

/// Logits and stage outputs of the reference implementations. These agree with each other to about 1e-5 of the largest number.
@Suite struct GoldenTests {
    private let tolerance: Float = 1e-4

    struct Case: Sendable, CustomTestStringConvertible {
        var folder: String
        /// Our names of outputs and the reference's.
        var outputs: [(String, String)]
        var testDescription: String { folder }
    }

    static let cases = [
        Case(
            folder: "hf_efficientformer_tiny_a",
            outputs: [
                ("stem", "patch_embed"), ("stages.0", "intermediate_stages.0"),
                ("downsamples.0", "intermediate_stages.1"),
                ("stages.1", "intermediate_stages.2"), ("downsamples.1", "intermediate_stages.3"),
                ("stages.2", "intermediate_stages.4"), ("downsamples.2", "intermediate_stages.5"),
                ("stages.3", "last_stage"),
                ("layernorm", "layernorm"), ("pooled", "pooled"), ("cls_logits", "cls_logits"),
                ("distillation_logits", "distillation_logits"), ("logits", "logits"), ("logits", "logits_f64"),
            ]),
        Case(
            folder: "hf_efficientformer_tiny_b",
            outputs: [
                ("stem", "patch_embed"), ("stages.0", "intermediate_stages.0"), ("stages.1", "intermediate_stages.1"),
                ("downsamples.1", "intermediate_stages.2"), ("stages.2", "intermediate_stages.3"),
                ("downsamples.2", "intermediate_stages.4"), ("stages.3", "last_stage"), ("layernorm", "layernorm"),
                ("pooled", "pooled"), ("logits", "logits"), ("logits", "logits_f64"),
            ]),
        Case(
            folder: "timm_efficientformer_tiny",
            outputs: [
                ("stem", "stem"), ("stages.0", "stages.0"), ("stages.1", "stages.1"), ("stages.2", "stages.2"),
                ("stages.3", "stages.3"), ("layernorm", "norm"), ("cls_logits", "head"),
                ("distillation_logits", "head_dist"),
                ("logits", "logits"), ("logits", "logits_f64"),
            ]),
    ]

    @Test(
        .needsFixture("hf_efficientformer_tiny_a"), .needsFixture("hf_efficientformer_tiny_b"),
        .needsFixture("timm_efficientformer_tiny"), arguments: cases)
    func everyStageMatchesTheReference(_ test: Case) throws {
        let checkpoint = try SafetensorsImporter.checkpoint(at: Fixtures.path(test.folder))
        let configuration = try EfficientFormer.configuration(
            json: Fixtures.bytes(test.folder + "/config.json"), for: checkpoint)
        let (graph, report) = try EfficientFormer.build(
            configuration, checkpoint, options: .init(headOutputs: true, stageOutputs: true))
        try graph.verify()
        #expect(report.unused == [])
        #expect(report.usedCount + report.ignored.count == checkpoint.tensors.count)

        let inputs = try SafetensorsImporter.checkpoint(at: Fixtures.path(test.folder + "/inputs.safetensors"))
        let expected = try SafetensorsImporter.checkpoint(at: Fixtures.path(test.folder + "/outputs.safetensors"))
        let pixels = try #require(inputs["pixel_values"])
        for index in 0..<pixels.shape[0] {
            let outputs = try run(graph, item(index, of: pixels))
            for (name, reference) in test.outputs {
                let difference = relativeDifference(
                    try #require(outputs[name], "\(name)"), try item(index, of: try #require(expected[reference])))
                #expect(difference <= tolerance, "picture \(index), \(name) against \(reference)")
            }
        }
    }

    @Test(.needsFixture("timm_efficientformer_tiny"))
    func theLayerNormEpsilonDistinguishesHuggingFaceFromTimm() throws {
        let folder = "timm_efficientformer_tiny"
        let checkpoint = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/hf"))
        var configuration = try EfficientFormerConfiguration(json: Fixtures.bytes(folder + "/hf/config.json"))
        let expected = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/outputs.safetensors"))
        let inputs = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/inputs.safetensors"))
        let pixels = try item(0, of: try #require(inputs["pixel_values"]))
        #expect(configuration.layerNormEpsilon == 1e-5)
        for (epsilon, name) in [(Float(1e-5), "hf.logits"), (1e-12, "hf_eps1e-12.logits")] {
            configuration.layerNormEpsilon = epsilon
            let outputs = try run(EfficientFormer.build(configuration, checkpoint).graph, pixels)
            let reference = try item(0, of: try #require(expected[name]))
            #expect(relativeDifference(try #require(outputs["logits"]), reference) < 5e-6, "\(name)")
        }
    }

    @Test(.needsFixture("timm_efficientformer_tiny"))
    func allNamingSchemesGiveTheSameGraph() throws {
        let folder = "timm_efficientformer_tiny"
        let timm = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder))
        let huggingFace = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder + "/hf"))
        let timmConfiguration = try EfficientFormerConfiguration(json: Fixtures.bytes(folder + "/config.json"))
        let configuration = try EfficientFormerConfiguration(json: Fixtures.bytes(folder + "/hf/config.json"))
        let reference = try EfficientFormer.build(configuration, huggingFace)
        #expect(reference.report.naming == NamingScheme.huggingFace.rawValue)

        let fromTimm = try EfficientFormer.build(timmConfiguration, timm)
        #expect(fromTimm.report.naming == NamingScheme.timm.rawValue)
        expectEqual(fromTimm.graph, reference.graph, "timm")

        let original = try timm.renamed(OriginalNames.fromTimm)
        let fromOriginal = try EfficientFormer.build(timmConfiguration, original)
        #expect(fromOriginal.report.naming == NamingScheme.original.rawValue)
        expectEqual(fromOriginal.graph, reference.graph, "original")

        for (checkpoint, scheme) in [(timm, NamingScheme.timm), (huggingFace, .huggingFace), (original, .original)] {
            let wrapped = try checkpoint.renamed { "module." + $0 }
            let built = try EfficientFormer.build(scheme == .huggingFace ? configuration : timmConfiguration, wrapped)
            #expect(built.report.naming == scheme.rawValue)
            #expect(built.report.unused == [])
            expectEqual(built.graph, reference.graph, "wrapped \(scheme)")
        }
    }

    @Test(
        .needsFixture("hf_efficientformer_tiny_a"), .needsFixture("timm_efficientformer_tiny"),
        arguments: ["hf_efficientformer_tiny_a", "timm_efficientformer_tiny"])
    func aConfigurationReadOffTheTensorsGivesTheSameGraph(_ folder: String) throws {
        let checkpoint = try SafetensorsImporter.checkpoint(at: Fixtures.path(folder))
        let stated = try EfficientFormerConfiguration(json: Fixtures.bytes(folder + "/config.json"))
        let inferred = try EfficientFormer.configuration(for: checkpoint)
        expectEqual(
            try EfficientFormer.build(inferred, checkpoint).graph, try EfficientFormer.build(stated, checkpoint).graph,
            "\(folder)")
        #expect(inferred.notes.count == 1)
    }
}

/// From timm's names to the research code's, as its page of facts says; written apart from the table that is under test.
enum OriginalNames {
    static func fromTimm(_ name: String) -> String {
        var parts = name.split(separator: ".").map(String.init)
        switch parts[0] {
        case "stem":
            let numbers = ["conv1": "0", "norm1": "1", "conv2": "3", "norm2": "4"]
            parts = ["patch_embed", numbers[parts[1]]!] + parts.dropFirst(2)
        case "stages":
            let stage = Int(parts[1])!
            if parts[2] == "downsample" {
                parts = ["network", "\(2 * stage - 1)", parts[3] == "conv" ? "proj" : "norm"] + parts.dropFirst(4)
            } else {
                parts = ["network", "\(2 * stage)", parts[3]] + parts.dropFirst(4)
                if parts.last == "gamma" { parts = parts.dropLast(2) + ["layer_scale_" + String(parts[3].last!)] }
            }
        case "head_dist": parts[0] = "dist_head"
        default: break
        }
        return parts.joined(separator: ".")
    }
}
