import AlulaGraph
import EfficientFormer
import ModelBuilding
import Testing

@Suite struct ConfigurationTests {
    // MARK: Hugging Face

    @Test func missingKeysHaveTheDefaultsOfTheClass() throws {
        let configuration = try configuration("{}")
        #expect(configuration.depths == [3, 2, 6, 4])
        #expect(configuration.widths == [48, 96, 224, 448])
        #expect(configuration.attentionBlocks == 1)
        #expect((configuration.heads, configuration.keyDim, configuration.valueDim) == (8, 32, 128))
        #expect(configuration.layerNormEpsilon == 1e-12)
        #expect(configuration.batchNormEpsilon == 1e-5)
        #expect(configuration.activation == .gelu)
        #expect(configuration.inputSide == 224)
        #expect(configuration.architecture == "efficientformer-l1")
        #expect(configuration.head == nil)
    }

    @Test func hiddenSizeIsNeitherNeededNorUsed() throws {
        let without = try configuration(#"{"model_type": "efficientformer"}"#)
        #expect(try configuration(#"{"model_type": "efficientformer", "hidden_size": 448}"#) == without)
        #expect(try configuration(#"{"hidden_size": null, "something_new": {"a": [1, 2.5]}}"#) == without)
    }

    @Test func aMissingBatchNormEpsilonIsTheOldConstant() throws {
        #expect(try configuration(#"{"layer_norm_eps": 1e-06}"#).batchNormEpsilon == 1e-5)
        #expect(try configuration(#"{"batch_norm_eps": 0.001}"#).batchNormEpsilon == 0.001)
    }

    @Test func aChangeOfWidthDownsamplesWhateverTheFlagSays() throws {
        let widths = #""hidden_sizes": [48, 48, 224, 448]"#
        let kept = try configuration(#"{"downsamples": [false, false, true, true], \#(widths)}"#)
        #expect(kept.inputSide == 112, "only the equal widths of stages 0 and 1 go without")
        #expect(try configuration(#"{"downsamples": [true, false, false], \#(widths)}"#).inputSide == 224)
    }

    @Test func aNullPoolSizeIsThree() throws {
        #expect(try configuration(#"{"pool_size": null}"#).poolSize == 3)
        #expect(try configuration(#"{"pool_size": 5}"#).poolSize == 5)
    }

    @Test func labelsAreSortedByNumberNotByText() throws {
        let names = (0..<12).map { "\"\($0)\": \"label \($0)\"" }.joined(separator: ", ")
        let sorted = try configuration("{\"id2label\": {\(names)}}")
        #expect(sorted.labels == (0..<12).map { "label \($0)" })
        #expect(sorted.classes == 12)
        #expect(sorted.notes == [])
        let shifted = try configuration(#"{"id2label": {"2": "b", "1": "a"}}"#)
        #expect(shifted.labels == ["a", "b"])
        #expect(shifted.notes.count == 1)
    }

    @Test(arguments: [
        ("gelu", UnaryFunction.gelu), ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh), ("relu", .relu),
        ("silu", .silu), ("swish", .silu),
    ])
    func activationsHaveTheirNames(_ name: String, _ function: UnaryFunction) throws {
        #expect(try configuration("{\"hidden_act\": \"\(name)\"}").activation == function)
    }

    @Test func theClassDecidesWhichHeadsCount() throws {
        func head(_ name: String) throws -> EfficientFormerConfiguration.Head? {
            try configuration("{\"architectures\": [\"\(name)\"]}").head
        }
        #expect(try head("EfficientFormerForImageClassificationWithTeacher") == .classifierAndDistillation)
        #expect(try head("EfficientFormerForImageClassification") == .classifier)
        #expect(try head("TFEfficientFormerForImageClassification") == .classifier)
        #expect(try head("EfficientFormerModel") == EfficientFormerConfiguration.Head.none)
    }

    @Test(
        arguments: [
            (#"{"depths": [3, 2.5, 6, 4]}"#, "depths = [3, 2.5, 6, 4]: is not a list of whole numbers"),
            (#"{"depths": [3, 2, 6, 0]}"#, "depths = [3, 2, 6, 0]: each stage has 1 to 1000 blocks"),
            (#"{"depths": []}"#, "depths = []: 1 to 16 stages are supported"),
            (#"{"hidden_sizes": [48, 96, 224]}"#, "hidden_sizes = [48, 96, 224]: depths has 4 entries"),
            (#"{"downsamples": [true]}"#, "downsamples = [true]: depths has 4 entries"),
            (#"{"num_meta3d_blocks": 5}"#, "num_meta3d_blocks = 5: the last stage has 4 blocks"),
            (#"{"dim": 384}"#, "dim = 384: differs from the last of hidden_sizes [48, 96, 224, 448]"),
            (#"{"pool_size": 4}"#, "pool_size = 4: an odd size up to 31 keeps the image's size"),
            (#"{"key_dim": 0, "attention_ratio": 4}"#, "attention_ratio = 4.0: the value width is 1 to 65536"),
            (#"{"num_attention_heads": -8}"#, "num_attention_heads = -8: 1 to 1024 are supported"),
            (#"{"layer_norm_eps": -1}"#, "layer_norm_eps = -1.0: at least 0"),
            (#"{"hidden_act": 3}"#, "hidden_act = 3: is not a string"),
            (#"{"model_type": "vit"}"#, "model_type = \"vit\": is not efficientformer"),
            (#"{"id2label": {"one": "a"}}"#, "id2label = \"one\": is not a whole number"),
            (#"{"id2label": {"1": "a", "01": "b"}}"#, "id2label = 1: occurs twice"),
            (#"{"resolution": 700}"#, "resolution = 700: 1 to 64 are supported"),
            (#"{"hidden_act": "a\nb", "pool_size": "a\nb"}"#, #"pool_size = "a\u{a}b": is not a whole number"#),
            (#"{"downsample_pad": 0}"#, nil),
            ("[1]", "the configuration is no JSON object"), ("{", "the configuration is no JSON object"),
        ] as [(String, String?)])
    func anInvalidValueIsNamed(_ json: String, _ message: String?) throws {
        var found: String?
        do throws(ModelError) { _ = try configuration(json) } catch { found = error.message }
        #expect(found == message)
    }

    @Test func anUnknownActivationListsTheKnownOnes() {
        #expect {
            try configuration(#"{"hidden_act": "mish"}"#)
        } throws: { error in
            (error as? ModelError)?.message.hasPrefix("hidden_act = \"mish\": supported are gelu, ") == true
        }
    }

    @Test func stridesOfFourGrowTheInput() throws {
        #expect(try configuration(#"{"downsample_stride": 4, "resolution": 2}"#).inputSide == 512)
    }

    // MARK: timm

    @Test func timmNamesAPresetByArchitecture() throws {
        let configuration = try configuration(#"{"architecture": "efficientformer_l3", "num_classes": 1000}"#)
        #expect(configuration.architecture == "efficientformer-l3")
        #expect(configuration.layerNormEpsilon == 1e-5)
        #expect(configuration.classes == 1000)
    }

    @Test func timmArgumentsReplaceThePreset() throws {
        let configuration = try configuration(
            """
            {"architecture": "efficientformer_l1.snap_dist_in1k", "num_classes": 5, "pretrained_cfg": {"label_names": null},
             "model_args": {"num_vit": 2, "mlp_ratios": 3, "pool_size": 5, "act_layer": "gelu_tanh", "in_chans": 1,
                            "downsamples": [false, true, true, true], "num_classes": 7}}
            """)
        #expect(configuration.depths == [3, 2, 6, 4])
        #expect((configuration.attentionBlocks, configuration.mlpRatio, configuration.poolSize) == (2, 3, 5))
        #expect((configuration.activation, configuration.channels, configuration.classes) == (.geluTanh, 1, 7))
        #expect(configuration.usesLayerScale)
    }

    @Test func timmCountsDownsamplingsToTheStageThatFollows() throws {
        let configuration = try configuration(
            """
            {"architecture": "efficientformer", "model_args": {"depths": [1, 1, 1], "embed_dims": [8, 8, 16], "num_vit": 1,
             "downsamples": [false, false, true], "layer_scale_init_value": null}}
            """)
        #expect(configuration.inputSide == 7 * 8)
        #expect(!configuration.usesLayerScale)
        #expect(throws: ModelError.self) {
            try EfficientFormerTests.configuration(#"{"architecture": "resnet50"}"#)
        }
    }

    // MARK: Presets

    @Test(arguments: [
        ("efficientformer-l1", 12_289_928, 11_391_928, 281), ("efficientformer_l3", 31_406_000, 30_380_000, 457),
        ("EfficientFormer-L7", 82_229_328, 80_691_328, 649),
    ])
    func presetsHaveThePublishedParameters(_ name: String, _ all: Int, _ backbone: Int, _ tensors: Int) throws {
        var configuration = try EfficientFormerConfiguration(architecture: name)
        func parameters() throws -> Int {
            let specification = try EfficientFormer.specification(configuration)
            return specification.filter(\.kind.isParameter).reduce(0) { $0 + $1.shape.reduce(1, *) }
        }
        #expect(try parameters() == all)
        #expect(try EfficientFormer.specification(configuration).count == tensors)
        configuration.head = Optional(EfficientFormerConfiguration.Head.none)
        #expect(try parameters() == backbone)
    }

    @Test func anUnknownPresetListsTheKnownOnes() {
        #expect(
            throws: ModelError.unknownArchitecture(
                name: "efficientformer-l2", known: EfficientFormer.architectures)
        ) {
            try EfficientFormerConfiguration(architecture: "efficientformer-l2")
        }
    }

    @Test func aNamedArchitectureReplacesTheStructureOnly() throws {
        let (_, checkpoint) = try sample()
        let json = Array(#"{"id2label": {"0": "a", "1": "b"}, "depths": [1, 1, 1, 1]}"#.utf8)
        let configuration = try EfficientFormer.configuration(
            json: json, architecture: "efficientformer-l1", for: checkpoint)
        #expect(configuration.architecture == "efficientformer-l1")
        #expect(configuration.labels == ["a", "b"])
    }
}
