import AlulaGraph
import Foundation
import Testing

/// What single keys of a recipe do to a run of a small EdgeViT on drawn pictures.
@Suite struct RecipeKeyTests {
    private let folder: TemporaryFolder
    private let model: String
    private let data: String
    private let severalLabels: String

    init() throws {
        folder = try TemporaryFolder()
        (model, data) = (folder.file("model.alula"), folder.file("data.safetensors"))
        severalLabels = folder.file("several.safetensors")
        try Tool.succeed(
            "create", "edgevit-xxs", "-o", model, "--classes", "3", "--input", "16x16", "--set", "patch_size=2",
            "--set", "depth=[1,1]", "--set", "embed_dim=[12,24]", "--set", "head_dim=12", "--set", "sr_ratios=[2,1]",
            "--set", "mlp_ratio=2")
        // Classes differ by the channel that is bright.
        var random = SplitMix64(seed: 8)
        let (count, pixels) = (48, 16 * 16)
        let (values, classes, flags) = Self.pictures(count, pixels, &random)
        for (path, shape, type, labels) in [
            (data, [count], DataType.i64, TensorData(elements: classes)),
            (severalLabels, [count, 3], .i64, TensorData(elements: flags)),
        ] {
            var writer = SafetensorsWriter(padding: false)
            try writer.add("x", .f32, [count, 16, 16, 3], TensorData(elements: values))
            try writer.add("labels", type, shape, labels)
            try writer.write(to: path)
        }
    }

    private static func pictures(
        _ count: Int, _ pixels: Int, _ random: inout SplitMix64
    ) -> (values: [Float], classes: [Int64], flags: [Int64]) {
        var (values, classes, flags): ([Float], [Int64], [Int64]) = ([], [], [])
        for index in 0..<count {
            classes.append(Int64(index % 3))
            flags += (0..<3).map { $0 == index % 3 || (index / 3) % 3 == $0 ? 1 : 0 }
            for _ in 0..<pixels {
                for channel in 0..<3 {
                    values.append((channel == index % 3 ? 1 : 0) + Float(random.next() >> 40) * 0x1p-24 - 0.5)
                }
            }
        }
        return (values, classes, flags)
    }

    /// The constants of a trained model, and the lines of `--json`.
    private func train(
        _ more: [String], several: Bool = false
    ) throws -> (constants: [String: [Float]], lines: [[String: Any]]) {
        let output = folder.file("out.alula")
        let outcome = try Tool.alula(
            [
                "finetune", model, "--data", "tensors:" + (several ? severalLabels : data), "-o", output, "--threads",
                "1", "--recipe", "cifar-scratch", "--augment", "none", "--drop-path", "0", "--epochs", "1", "--batch",
                "8", "--hold-out", "0", "--json",
            ] + more)
        try #require(outcome.status == 0, "\(outcome.error)")
        return (try constants(output), try outcome.jsonLines())
    }

    private func distance(_ a: [Float]?, _ b: [Float]?) throws -> Float {
        let (a, b) = (try #require(a), try #require(b))
        return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }

    /// Two batches of 8 make one step, as one of 16 would, with frozen batch norms exactly but for the order of additions.
    @Test func accumulatedBatchesAreOneStep() throws {
        let common = ["--freeze-bn", "--optimizer", "sgd", "--lr", "0.05", "--schedule", "constant"]
        let whole = try train(common + ["--batch", "16"])
        let parts = try train(common + ["--batch", "8", "--accumulate", "2"])
        #expect(whole.lines[0]["step"] as? Int == 3 && parts.lines[0]["step"] as? Int == 3)
        let before = try constants(model)
        for name in ["head.weight", "patch_embed1.proj.weight"] {
            let moved = try distance(whole.constants[name], before[name])
            #expect(moved > 1e-4)
            #expect(try distance(whole.constants[name], parts.constants[name]) < 1e-3 * moved, "\(name)")
        }
    }

    @Test func frozenBatchNormsKeepTheirStatistics() throws {
        let before = try constants(model)
        let name = "blocks1.0.LocalAgg.norm1.running_mean"
        #expect(try train(["--freeze-bn"]).constants[name] == before[name])
        #expect(try train([]).constants[name] != before[name])
    }

    /// Adam's first step moves every weight by the rate, whatever its gradient.
    @Test func layerDecaySlowsWhatIsFarFromTheHead() throws {
        let before = try constants(model)
        let common = ["--batch", "48", "--schedule", "constant", "--lr", "0.001", "--weight-decay", "0", "--clip", "0"]
        let decayed = try train(common + ["--layer-decay", "0.5"]).constants
        let head = try distance(decayed["head.bias"], before["head.bias"])
        let last = try distance(
            decayed["blocks2.0.SelfAttn.mlp.fc1.weight"], before["blocks2.0.SelfAttn.mlp.fc1.weight"])
        let first = try distance(decayed["patch_embed1.proj.bias"], before["patch_embed1.proj.bias"])
        #expect(abs(head - 1e-3) < 2e-5)
        #expect(last < 0.3 * head && last > 0.2 * head, "\(last) of \(head)")
        #expect(first < 0.3 * last && first > 0, "\(first) of \(last)")
    }

    @Test func branchesAndFeaturesAreDropped() throws {
        let plain = try train([]).constants
        for option in [["--drop-path", "0.5"], ["--dropout", "0.5"]] {
            let dropped = try train(option).constants
            #expect(dropped["head.weight"] != plain["head.weight"], "\(option)")
            #expect(try dropped["head.weight"] == train(option).constants["head.weight"], "the seed decides")
        }
    }

    /// With gamma 0 the focal loss is the usual one; with more, sure examples count less.
    @Test func focalLossCountsSureExamplesLess() throws {
        func loss(_ more: [String]) throws -> Double {
            try #require(try train(more, several: true).lines[0]["train_loss"] as? Double)
        }
        let common = ["--label-smoothing", "0", "--new-head", "3"]
        let usual = try loss(common + ["--loss", "bce"])
        let plain = try loss(common + ["--loss", "focal", "--set", "focal_gamma=0"])
        let focal = try loss(common + ["--loss", "focal", "--set", "focal_gamma=2"])
        #expect(abs(usual - plain) < 1e-5 * usual && focal < 0.6 * usual)
    }
}
