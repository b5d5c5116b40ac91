import AlulaGraph
import EdgeViT
import ModelBuilding
import Testing

/// Every tensor is used, ignored for a reason or listed as unused; every fault is named.
@Suite struct CheckpointTests {
    private func error(_ configuration: EdgeViTConfiguration, _ checkpoint: Checkpoint) -> ModelError? {
        do throws(ModelError) {
            _ = try EdgeViT.build(configuration, checkpoint)
            return nil
        } catch { return error }
    }

    private func changed(
        _ checkpoint: Checkpoint, _ change: (CheckpointTensor) -> CheckpointTensor?
    ) throws -> Checkpoint {
        var result = Checkpoint()
        for tensor in checkpoint.tensors {
            if let tensor = change(tensor) { try result.add(tensor) }
        }
        return result
    }

    @Test func everyTensorIsAccountedFor() throws {
        let checkpoint = try EdgeViT.checkpoint(small(), .sample, seed: 1)
        #expect(EdgeViT.recognizes(checkpoint))
        let report = try EdgeViT.build(small(), checkpoint).report
        #expect(report.usedCount + report.ignored.count == checkpoint.tensors.count)
        #expect(report.unused == [])
        #expect(report.ignored.allSatisfy { $0.name.hasSuffix("num_batches_tracked") })
        let parameters = checkpoint.tensors.filter { $0.dataType == .f32 && !$0.name.contains("running_") }
        #expect(report.parameters == parameters.reduce(0) { $0 + $1.elementCount })
    }

    @Test func aWrapperInFrontOfAllNamesIsSeenThrough() throws {
        let checkpoint = try EdgeViT.checkpoint(small(), .sample, seed: 1)
        let wrapped = try changed(checkpoint) {
            CheckpointTensor("module." + $0.name, $0.dataType, $0.shape, $0.data)
        }
        #expect(EdgeViT.recognizes(wrapped))
        #expect(
            try EdgeViT.build(small(), wrapped).graph.text == EdgeViT.build(small(), checkpoint).graph.text)
    }

    @Test func allMissingAndMisshapenTensorsAreListedAtOnce() throws {
        let original = try EdgeViT.checkpoint(small(), .sample, seed: 1)
        let checkpoint = try changed(original) { tensor in
            switch tensor.name {
            case "head.bias", "blocks2.1.SelfAttn.attn.LocalProp.weight": nil
            case "blocks1.0.LocalAgg.attn.weight":
                CheckpointTensor(tensor.name, tensor.dataType, [8, 5, 5, 1], tensor.data)
            default: tensor
            }
        }
        #expect(
            error(small(), checkpoint)
                == .tensors(
                    missing: ["blocks2.1.SelfAttn.attn.LocalProp.weight", "head.bias"],
                    misshapen: [
                        MisshapenTensor(
                            name: "blocks1.0.LocalAgg.attn.weight", expected: [8, 1, 5, 5], found: [8, 5, 5, 1])
                    ]))
    }

    @Test func otherModelsAreRefused() throws {
        var checkpoint = Checkpoint()
        try checkpoint.add(CheckpointTensor("bert.weight", .f32, [1], TensorData(elements: [Float(1)])))
        #expect(!EdgeViT.recognizes(checkpoint))
        #expect(error(small(), checkpoint) == .unrecognized(example: "bert.weight", family: "EdgeViT"))
    }

    @Test func whatCannotBeComputedIsRefused() throws {
        let cases: [(EdgeViTConfiguration, String)] = [
            (small { $0.height = 34 }, "image_size = 34: stage 1 cuts a side of 34 into patches of 4"),
            (small { $0.rates = [3, 2, 1] }, "sr_ratios: samples"),
            (small { $0.headDim = 12 }, "head_dim"), (small { $0.widths = [8] }, "embed_dim"),
            (small { $0.mlpRatios = [4, 4, .infinity] }, "mlp_ratio"), (small { $0.depths = [] }, "depth"),
        ]
        for (configuration, text) in cases {
            let error = #expect(throws: ModelError.self) { try EdgeViT.outline(configuration) }
            guard case .configuration(let key, let value, let problem)? = error else { continue }
            #expect(
                "\(key) = \(value): \(problem)".contains(text) || text.hasPrefix(key) || key == "image_size", "\(text)")
        }
        #expect(throws: ModelError.notJSON) { try EdgeViTConfiguration(json: Array("[".utf8)) }
        #expect(throws: ModelError.unknownArchitecture(name: "edgevit-m", known: EdgeViT.architectures)) {
            try EdgeViTConfiguration(architecture: "edgevit-m")
        }
    }

    /// Attention samples the top-left pixel of every cell, and packs all queries, then all keys, then all values.
    @Test func theGraphSamplesAndStacks() throws {
        let text = try EdgeViT.outline(small()).graph.text
        #expect(text.contains("step=4") && text.contains("packing=stacked"))
        #expect(text.components(separatedBy: "= conv_transpose2d(").count == 4, "one a block that samples")
    }

    @Test func trainingStartsAsInTheRelease() throws {
        let checkpoint = try EdgeViT.checkpoint(EdgeViTConfiguration(architecture: "edgevit_xxs"), .training, seed: 3)
        let weight = try #require(checkpoint["blocks1.0.SelfAttn.mlp.fc1.weight"]).floats()
        let deviation = (weight.reduce(0) { $0 + Double($1) * Double($1) } / Double(weight.count)).squareRoot()
        #expect(abs(deviation - 0.02) < 0.001)
        #expect(try #require(checkpoint["blocks1.0.SelfAttn.mlp.fc1.bias"]).floats().allSatisfy { $0 == 0 })
        // Depthwise 5 x 5: 25 products a result.
        for name in ["weight", "bias"] {
            let values = try #require(checkpoint["blocks1.0.LocalAgg.attn.\(name)"]).floats()
            #expect(values.allSatisfy { abs($0) <= 0.2 } && Set(values).count > 30)
        }
    }
}
