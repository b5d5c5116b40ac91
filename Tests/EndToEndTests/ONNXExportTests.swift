import AlulaGraph
import Foundation
import TestSupport
import Testing

/// What `export --to onnx` writes is a model that `convert` reads.
@Suite struct ONNXExportTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func comesBack(_ model: String, within tolerance: Float) throws {
        let (onnx, again) = (folder.file("model.onnx"), folder.file("again.alula"))
        let json = try Tool.succeed("export", model, "--to", "onnx", "-o", onnx, "--json").json()
        #expect(json["format"] as? String == "onnx" && json["opset"] as? Int == 17)
        try Tool.succeed("convert", onnx, "-o", again)
        let files = try [model, again].map { try ModelFile(contentsOf: $0) }
        for key in ["alula.labels", "alula.preprocess"] { #expect(files[0].metadata[key] == files[1].metadata[key]) }
        let graphs = files.map(\.graph)
        let count = graphs[0].shape(graphs[0].inputs[0]).elementCount
        let input = (0..<count).map { Float($0 * 37 % 101) / 50 - 1 }
        let results = try graphs.map { try #require(try run($0, input)["logits"]) }
        #expect(relativeDifference(results[1], results[0]) <= tolerance)
    }

    @Test func aFloatModelComesBack() throws { try comesBack(try Sample.shared().model, within: 1e-5) }

    @Test func anInt8ModelComesBack() throws { try comesBack(try Sample.shared().quantized, within: 0.05) }

    /// Cyclic shifts, windows and a fusion that ends in scalars; the preprocessing is that of recordings.
    @Test func aModelOfSignalsComesBack() throws {
        let (model, quantized) = (folder.file("ecg.alula"), folder.file("ecg.int8.alula"))
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--classes", "5", "--labels", labels())
        try Tool.succeed("create", "ecg-sample", "-o", folder.file("beat.hea"))
        try Tool.succeed("quantize", model, "-o", quantized, "--calibrate", "wfdb:" + folder.path)
        try comesBack(model, within: 1e-5)
        try comesBack(quantized, within: 0.05)
    }

    private func labels() throws -> String {
        try folder.write("labels.txt", Data("NORM\nMI\nSTTC\nCD\nHYP\n".utf8))
    }

    @Test func theReportedOperatorsAreThoseOfAnInt8Model() throws {
        let onnx = folder.file("model.onnx")
        let json = try Tool.succeed("export", try Sample.shared().quantized, "--to", "onnx", "-o", onnx, "--json")
            .json()
        let operators = try #require(json["operators"] as? [String: Int])
        #expect(operators["Conv", default: 0] > 0 && operators["QuantizeLinear", default: 0] > 0)
        #expect(json["quantized"] as? Bool == true)
        let bytes = try FileManager.default.attributesOfItem(atPath: onnx)[.size] as? Int
        #expect(json["bytes"] as? Int == bytes)
    }

    @Test func aFolderThatDoesNotExistIsNamed() throws {
        let target = folder.file("missing/model.onnx")
        let outcome = try Tool.alula("export", try Sample.shared().model, "--to", "onnx", "-o", target)
        #expect(outcome.status == 1 && outcome.error.contains(target))
    }
}
