import AlulaGraph
import AlulaTraining
import EdgeViT
import EfficientFormer
import Foundation
import MSWTransformer
import ModelBuilding
import SafetensorsConverter
import TestSupport
import Testing

/// Files of reference implementations, which lie beside the repository and need not be there.
enum SharedFixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/fixtures").standardized

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    /// What Fixtures/make_fixtures.py wrote.
    static func own(_ name: String) throws -> Checkpoint {
        try SafetensorsImporter.checkpoint(
            at: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("Fixtures/\(name).safetensors").path)
    }
}

extension Trait where Self == ConditionTrait {
    static func needsShared(_ name: String) -> Self {
        .enabled(
            if: FileManager.default.fileExists(atPath: SharedFixtures.path(name)),
            "no reference files at \(SharedFixtures.path(name))")
    }
}

/// PyTorch's AdamW, as it stands in its documentation.
struct PlainAdamW {
    var (rate, decay): (Float, Float) = (1e-3, 0.05)
    private var (first, second): ([Float], [Float])
    private var step = 0

    init(_ session: TrainingSession) {
        first = [Float](repeating: 0, count: session.values.count)
        second = first
    }

    mutating func update(_ session: TrainingSession) {
        step += 1
        let (values, gradients) = (session.values, session.gradients)
        let (c1, c2) = (1 - powf(0.9, Float(step)), 1 - powf(0.999, Float(step)))
        for parameter in session.parameters {
            for i in parameter.range {
                if !parameter.isVector { values[i] -= rate * decay * values[i] }
                first[i] = 0.9 * first[i] + 0.1 * gradients[i]
                second[i] = 0.999 * second[i] + 0.001 * gradients[i] * gradients[i]
                values[i] -= rate * (first[i] / c1) / ((second[i] / c2).squareRoot() + 1e-8)
            }
        }
    }
}

struct WholeModel: CustomTestStringConvertible, Sendable {
    let name: String
    let graph: @Sendable () throws -> Graph
    let family: ModelFamily
    var testDescription: String { name }

    static let efficientFormer = WholeModel(
        name: "efficientformer",
        graph: {
            let folder = "hf_efficientformer_tiny_a"
            let checkpoint = try SafetensorsImporter.checkpoint(at: SharedFixtures.path(folder))
            let json = try SharedFixtures.bytes(folder + "/config.json")
            return try EfficientFormer.build(EfficientFormer.configuration(json: json, for: checkpoint), checkpoint)
                .graph
        }, family: EfficientFormer.family)

    static let edgeViT = WholeModel(
        name: "edgevit",
        graph: {
            let folder = "edgevit_tiny_cifar32"
            let checkpoint = try SafetensorsImporter.checkpoint(at: SharedFixtures.path(folder))
            let json = try SharedFixtures.bytes(folder + "/config.json")
            return try EdgeViT.build(EdgeViT.configuration(json: json, for: checkpoint), checkpoint).graph
        }, family: EdgeViT.family)

    static let msw = WholeModel(
        name: "msw",
        graph: {
            var configuration = MSWTransformerConfiguration()
            (configuration.leads, configuration.length, configuration.patch) = (3, 118, 5)
            (configuration.dim, configuration.heads, configuration.windows) = (16, 2, [5, 7])
            configuration.classes = 4
            return try MSWTransformer.build(configuration, SharedFixtures.own("msw_model")).graph
        }, family: MSWTransformer.family)

    /// Gradients under PyTorch's names and in its layouts: as parameters are exported.
    func exported(_ session: TrainingSession) throws -> [String: [Float]] {
        var graph = try self.graph()
        for parameter in session.parameters {
            graph.setConstant(parameter.name, Array(session.gradients[parameter.range]))
        }
        let export = try family.export(graph, [])
        let tensors = export.tensors.filter { $0.dataType == .f32 }
        return Dictionary(uniqueKeysWithValues: try tensors.map { ($0.name, try $0.floats()) })
    }
}

/// Gradients, running statistics and ten steps of AdamW, as PyTorch computes them in f64.
@Suite struct WholeModelTests {
    @Test(.needsShared("hf_efficientformer_tiny_a")) func efficientFormer() throws { try check(.efficientFormer) }
    @Test(.needsShared("edgevit_tiny_cifar32")) func edgeViT() throws { try check(.edgeViT) }
    @Test func mswTransformer() throws { try check(.msw) }

    private func check(_ model: WholeModel) throws {
        let expected = try SharedFixtures.own(model.name)
        let floats = { (name: String) in try #require(expected[name]).floats() }
        let (x, targets) = (try floats("x"), try floats("targets"))
        var options = TrainingOptions()
        options.batchSize = try #require(expected["targets"]).shape[0]
        let session = try TrainingSession(model.graph(), options: options)
        var optimizer = PlainAdamW(session)
        let losses = try floats("losses")
        for (step, loss) in losses.enumerated() {
            try session.setInput(0, x)
            try session.setTargets(targets)
            try session.run()
            #expect(abs(session.loss - loss) <= 1e-3 * loss, "step \(step): \(session.loss), not \(loss)")
            if step == 0 { try checkFirst(model, session, expected) }
            optimizer.update(session)
        }
    }

    private func checkFirst(_ model: WholeModel, _ session: TrainingSession, _ expected: Checkpoint) throws {
        let logits = try #require(expected["logits"]).floats()
        #expect(relativeDifference(try session.logits(), logits) <= 1e-4)
        let gradients = try model.exported(session)
        var compared = 0
        let all = expected.tensors.filter { $0.name.hasPrefix("gradient.") }
        // Biases in front of batch norms have no gradient but rounding errors, 1e-7 of the largest gradient of all: these are compared with that.
        let largest = try all.reduce(Float(0)) { try $1.floats().reduce($0) { max($0, abs($1)) } }
        for tensor in all {
            let name = String(tensor.name.dropFirst("gradient.".count))
            let (own, other) = (try #require(gradients[name], "\(name)"), try tensor.floats())
            try #require(own.count == other.count, "\(name)")
            let scale = max(other.reduce(0) { max($0, abs($1)) }, 2e-3 * largest)
            let worst = zip(own, other).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect(worst <= 1e-4 * scale, "\(name): \(worst) of \(scale)")
            compared += 1
        }
        #expect(compared == all.count && compared > 10)
        // A layer that differs in name between the library and the graph differs in the export only.
        let statistics = try model.family.export(session.trainedGraph(), [])
        for tensor in expected.tensors where tensor.name.hasPrefix("statistic.") {
            let name = String(tensor.name.dropFirst("statistic.".count))
            let own = try #require(statistics.tensors.first { $0.name == name }, "\(name)")
            #expect(relativeDifference(try own.floats(), try tensor.floats()) <= 1e-4, "\(name)")
        }
    }
}
