import AlulaGraph
import EfficientFormer
import ModelBuilding
import Testing

/// Every tensor of a checkpoint is used, ignored for a reason, or listed as unused; every fault is named.
@Suite struct AccountingTests {
    private func error(_ configuration: EfficientFormerConfiguration, _ checkpoint: Checkpoint) -> ModelError? {
        do throws(ModelError) {
            _ = try EfficientFormer.build(configuration, checkpoint)
            return nil
        } catch { return error }
    }

    private static let mixer = "efficientformer.encoder.last_stage.meta3D_layers.blocks.0.token_mixer."

    @Test(arguments: ["tf_efficient_former_for_image_classification_with_teacher.", "tf_efficient_former_model_2."])
    func tensorFlowsScopeIsNoPartOfTheNames(_ scope: String) throws {
        let (configuration, checkpoint) = try sample()
        let plain = try EfficientFormer.build(configuration, checkpoint)
        let scoped = try EfficientFormer.build(configuration, try checkpoint.renamed { scope + $0 })
        #expect(scoped.report.unused == [] && scoped.report.naming == plain.report.naming)
        expectEqual(scoped.graph, plain.graph, "\(scope)")
    }

    @Test func everyTensorIsAccountedFor() throws {
        let (configuration, checkpoint) = try sample()
        let report = try EfficientFormer.build(configuration, checkpoint).report
        #expect(report.usedCount + report.ignored.count == checkpoint.tensors.count)
        #expect(report.unused == [])
        #expect(Set(report.ignored.map(\.reason)).count == 2, "batch counts, and index tables")
        let parameters = checkpoint.tensors.filter { $0.dataType == .f32 && !$0.name.contains("running_") }
        #expect(report.parameters == parameters.reduce(0) { $0 + $1.elementCount })
        #expect(report.labels == EfficientFormer.sampleLabels)
        #expect(report.naming == NamingScheme.huggingFace.rawValue)
    }

    @Test func tensorsThatCarryNoInformationMayBeAbsent() throws {
        let (configuration, checkpoint) = try sample()
        let trimmed = try checkpoint.changed { $0.dataType == .i64 ? nil : $0 }
        let report = try EfficientFormer.build(configuration, trimmed).report
        #expect(report.ignored == [])
        expectEqual(
            try EfficientFormer.build(configuration, trimmed).graph,
            try EfficientFormer.build(configuration, checkpoint).graph, "")
    }

    @Test func tensorsThatNobodyAsksForAreListed() throws {
        let (configuration, original) = try sample()
        var checkpoint = original
        try checkpoint.add(CheckpointTensor("optimizer.step", .i64, [], TensorData(elements: [Int64(7)])))
        #expect(try EfficientFormer.build(configuration, checkpoint).report.unused == ["optimizer.step"])
    }

    @Test func allMissingAndMisshapenTensorsAreListedAtOnce() throws {
        let (configuration, original) = try sample()
        let checkpoint = try original.changed { tensor in
            switch tensor.name {
            case "classifier.bias", "efficientformer.layernorm.weight": nil
            case "distillation_classifier.weight": tensor.with(shape: [48, 10])
            case "efficientformer.patch_embed.convolution1.weight": tensor.with(shape: [8, 27])
            default: tensor
            }
        }
        let expected = ModelError.tensors(
            missing: ["efficientformer.layernorm.weight", "classifier.bias"],
            misshapen: [
                MisshapenTensor(
                    name: "efficientformer.patch_embed.convolution1.weight", expected: [8, 3, 3, 3], found: [8, 27]),
                MisshapenTensor(name: "distillation_classifier.weight", expected: [10, 48], found: [48, 10]),
            ])
        #expect(error(configuration, checkpoint) == expected)
        #expect(
            expected.message == """
                2 tensors missing: "efficientformer.layernorm.weight", "classifier.bias"; 2 tensors misshapen: \
                "efficientformer.patch_embed.convolution1.weight" is [8,27], not [8,3,3,3], \
                "distillation_classifier.weight" is [48,10], not [10,48]
                """)
    }

    @Test func aLongListIsCutAndCounted() throws {
        let (configuration, original) = try sample()
        let checkpoint = try original.changed { $0.name.contains("intermediate_stages.0.") ? nil : $0 }
        let message = try #require(error(configuration, checkpoint)).message
        #expect(message.hasPrefix("14 tensors missing: "))
        #expect(message.hasSuffix(", and 6 more"))
        #expect(!message.contains("\n"))
    }

    @Test func missingTensorsHaveTheirFilesNames() throws {
        let (configuration, original) = try sample()
        let bare = try original.changed { tensor in
            let isHead = tensor.name.contains("classifier")
            return isHead ? nil : tensor.with(name: "module." + tensor.name.dropFirst("efficientformer.".count))
        }
        let heads = [
            "classifier.weight", "classifier.bias", "distillation_classifier.weight", "distillation_classifier.bias",
        ]
        #expect(error(configuration, bare) == .tensors(missing: heads.map { "module." + $0 }, misshapen: []))
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        var tensor: String
        var problem: String
        var change: @Sendable (CheckpointTensor) -> CheckpointTensor
        var testDescription: String { problem }
    }

    private static func element(_ index: Int, _ value: Float) -> @Sendable (CheckpointTensor) -> CheckpointTensor {
        { tensor in
            var elements = tensor.data.array(of: Float.self)
            elements[index] = value
            return tensor.with(data: TensorData(elements: elements))
        }
    }

    static let faults = [
        Fault(tensor: "classifier.weight", problem: "holds nan at element 5", change: element(5, .nan)),
        Fault(
            tensor: "efficientformer.layernorm.bias", problem: "holds -inf at element 0", change: element(0, -.infinity)
        ),
        Fault(
            tensor: "efficientformer.patch_embed.batchnorm_before.running_var",
            problem: "holds a negative variance, -0.5 at element 3", change: element(3, -0.5)),
        Fault(
            tensor: "classifier.bias", problem: "has the type i32, where a floating-point type is needed",
            change: { $0.with(dataType: .i32) }),
        Fault(
            tensor: mixer + "attention_bias_idxs", problem: "holds 2 at [1,0], which is not |dy| * 2 + |dx|",
            change: { tensor in
                var indices = tensor.data.array(of: Int64.self)
                indices[4] = 2
                return tensor.with(data: TensorData(elements: indices))
            }),
        Fault(
            tensor: mixer + "attention_bias_idxs", problem: "has the type f64, where an integer type is needed",
            change: { $0.with(dataType: .f64) }),
    ]

    @Test(arguments: faults)
    func anUnusableTensorIsNamed(_ fault: Fault) throws {
        let (configuration, original) = try sample()
        let checkpoint = try original.changed { $0.name == fault.tensor ? fault.change($0) : $0 }
        #expect(error(configuration, checkpoint) == .invalidTensor(name: fault.tensor, problem: fault.problem))
    }

    @Test func foreignNamesAreRefused() throws {
        var checkpoint = Checkpoint()
        #expect(!EfficientFormer.recognizes(checkpoint))
        try checkpoint.add(CheckpointTensor("vit.embeddings.cls_token", .f32, [1], TensorData(elements: [Float(0)])))
        #expect(!EfficientFormer.recognizes(checkpoint))
        #expect(
            error(EfficientFormerConfiguration(), checkpoint)
                == .unrecognized(example: "vit.embeddings.cls_token", family: "EfficientFormer"))
        #expect(try EfficientFormer.recognizes(sample().1))
    }

    // MARK: Heads

    @Test func theOneHeadedClassDropsTheSecondHead() throws {
        var (configuration, checkpoint) = try sample()
        configuration.head = .classifier
        let (graph, report) = try EfficientFormer.build(configuration, checkpoint)
        #expect(report.unused == ["distillation_classifier.weight", "distillation_classifier.bias"])
        #expect(report.notes.count == 1)
        #expect(graph[graph.outputs[0]].name == "logits")
    }

    @Test func theTwoHeadedClassNeedsTheSecondHead() throws {
        let (configuration, original) = try sample()
        let checkpoint = try original.changed { $0.name.hasPrefix("distillation_") ? nil : $0 }
        #expect(
            error(configuration, checkpoint)
                == .tensors(missing: ["distillation_classifier.weight", "distillation_classifier.bias"], misshapen: []))
        var open = configuration
        open.head = nil
        #expect(try EfficientFormer.build(open, checkpoint).report.unused == [])
    }

    @Test func aBackboneGivesPooledFeatures() throws {
        var (configuration, original) = try sample()
        configuration.head = nil
        let checkpoint = try original.changed { tensor in
            tensor.name.contains("classifier")
                ? nil : tensor.with(name: String(tensor.name.dropFirst("efficientformer.".count)))
        }
        let (graph, report) = try EfficientFormer.build(configuration, checkpoint)
        #expect(report.naming == NamingScheme.huggingFaceBackbone.rawValue)
        #expect(report.labels == [])
        #expect(graph[graph.outputs[0]].name == "features")
        #expect(graph.shape(graph.outputs[0]) == [1, 48])
    }

    // MARK: Structure read off the tensors

    @Test func aGapInTheBlocksShowsAsMissingTensors() throws {
        let (_, original) = try sample()
        let prefix = "efficientformer.encoder.last_stage.meta3D_layers.blocks."
        let checkpoint = try original.changed { tensor in
            tensor.name.hasPrefix(prefix)
                ? tensor.with(name: prefix + "2" + tensor.name.dropFirst(prefix.count + 1)) : tensor
        }
        #expect(throws: ModelError.self) { try EfficientFormer.configuration(for: checkpoint) }
    }

    @Test func publishedArchitecturesAreRecognizedByTheirTensors() throws {
        var configuration = try EfficientFormerConfiguration(architecture: "efficientformer-l1")
        configuration.classes = 3
        let checkpoint = try EfficientFormer.checkpoint(configuration, .training, seed: 3)
        let inferred = try EfficientFormer.configuration(for: checkpoint)
        #expect(inferred.architecture == "efficientformer-l1")
        let (graph, report) = try EfficientFormer.build(inferred, checkpoint)
        #expect(report.architecture == "efficientformer-l1")
        // Published: 1.3 G; counted with the reference implementation for 1000 classes: 1.291 G.
        let millions = (report.macs + 2 * 448 * 997) / 1_000_000
        #expect(millions == 1291)
        try graph.verify()
    }
}
