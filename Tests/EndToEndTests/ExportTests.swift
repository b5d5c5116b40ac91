import AlulaGraph
import Foundation
import Testing

/// What `export` writes is what `convert` read.
@Suite struct ExportTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Tensors that carry numbers: counters of training steps do not survive a conversion.
    private func numbers(_ path: String) throws -> [(String, [Int], [UInt8])] {
        let file = try SafetensorsFile(mapping: path)
        return file.tensors.filter { !$0.name.hasSuffix("num_batches_tracked") }.sorted { $0.name < $1.name }
            .map { ($0.name, $0.shape, file.data(of: $0).array(of: UInt8.self)) }
    }

    private func roundTrip(_ source: String) throws {
        let (model, export, again) = (folder.file("a.alula"), folder.file("export"), folder.file("b.alula"))
        try Tool.succeed("convert", source, "-o", model)
        let json = try Tool.succeed("export", model, "--to", "safetensors", "-o", export, "--json").json()
        #expect(json["notes"] as? [String] == [])
        let (before, after) = (try numbers(source + "/model.safetensors"), try numbers(export + "/model.safetensors"))
        #expect(before.map(\.0) == after.map(\.0))
        for (a, b) in zip(before, after) { #expect(a.1 == b.1 && a.2 == b.2, "\(a.0)") }
        try Tool.succeed("convert", export, "-o", again)
        let graphs = try [model, again].map { try ModelFile(contentsOf: $0) }
        #expect(graphs[0].graph.text == graphs[1].graph.text)
        #expect(graphs[0].metadata["alula.labels"] == graphs[1].metadata["alula.labels"])
        if FileManager.default.fileExists(atPath: source + "/preprocessor_config.json") {
            #expect(graphs[0].metadata["alula.preprocess"] == graphs[1].metadata["alula.preprocess"])
        }
    }

    @Test func theSampleComesBackExactly() throws { try roundTrip(Sample.shared().source) }

    @Test(
        .enabled(if: Fixtures.exist, "no reference fixtures"),
        arguments: [
            "hf_efficientformer_tiny_a", "hf_efficientformer_tiny_b", "timm_efficientformer_tiny/hf", "edgevit_tiny_64",
            "edgevit_tiny_cifar32",
        ])
    func referenceWeightsComeBackExactly(_ name: String) throws { try roundTrip(Fixtures.path(name)) }

    @Test(arguments: [("msw-transformer-tiny", "12x230"), ("edgevit-xxs", "32x32"), ("efficientformer-l1", "64x64")])
    func freshModelsComeBackExactly(_ name: String, _ input: String) throws {
        let (model, export, again) = (folder.file("a.alula"), folder.file("export"), folder.file("b.alula"))
        try Tool.succeed("create", name, "-o", model, "--input", input, "--classes", "6")
        try Tool.succeed("export", model, "--to", "safetensors", "-o", export)
        try Tool.succeed("convert", export, "-o", again)
        let files = try [model, again].map { try ModelFile(contentsOf: $0) }
        #expect(files[0].graph.text == files[1].graph.text)
        if name.hasPrefix("msw") {
            #expect(files[0].metadata["alula.preprocess"] == files[1].metadata["alula.preprocess"])
        }
        for (id, twin) in zip(files[0].graph.constants, files[1].graph.constants) {
            let data = [files[0].graph[id], files[1].graph[twin]].map { $0.constant?.data?.array(of: UInt8.self) }
            #expect(data[0] == data[1], "\(files[0].graph[id].name)")
        }
    }

    @Test func whatCannotBeExportedIsNamed() throws {
        let sample = try Sample.shared()
        let optimized = folder.file("optimized.alula")
        try Tool.succeed("convert", sample.source, "-o", optimized, "--optimize")
        for (model, cause) in [(sample.quantized, "is quantized"), (optimized, "is packed")] {
            let outcome = try Tool.alula("export", model, "--to", "safetensors", "-o", folder.file("x"))
            #expect(outcome.status == 1)
            #expect(outcome.error.contains(model) && outcome.error.contains(cause))
        }
        #expect(try Tool.alula("export", sample.model, "--to", "caffe", "-o", folder.file("x")).status == 2)
        #expect(folder.contents == ["optimized.alula"])
    }
}
