import AlulaGraph
import Foundation
import Testing

/// The tool against what the reference implementations gave for the same weights.
@Suite(.enabled(if: Fixtures.exist, "no reference fixtures at \(Fixtures.folder)"))
struct ReferenceTests {
    static let models = [
        "hf_efficientformer_tiny_a", "hf_efficientformer_tiny_b", "timm_efficientformer_tiny",
        "timm_efficientformer_tiny/hf",
    ]

    private static func logits(_ path: String) throws -> [Float] {
        let file = try SafetensorsFile(mapping: path)
        return try #require(file.data(of: "logits")).array(of: Float.self)
    }

    @Test(arguments: models) func floatLogitsAgree(model: String) throws {
        let folder = try TemporaryFolder()
        let source = Fixtures.path(model)
        let data = Fixtures.path(String(model.split(separator: "/")[0]))
        try Tool.succeed("convert", source, "-o", folder.file("m.alula"))
        try Tool.succeed(
            "run", folder.file("m.alula"), data + "/inputs.safetensors", "-o", folder.file("o.safetensors"))
        let (expected, found) = (
            try Self.logits(data + "/outputs.safetensors"), try Self.logits(folder.file("o.safetensors"))
        )
        #expect(expected.count == found.count)
        for (a, b) in zip(expected, found) { #expect(abs(a - b) < 1e-4) }
    }

    @Test(arguments: models) func int8LogitsRankAlike(model: String) throws {
        let folder = try TemporaryFolder()
        let data = Fixtures.path(String(model.split(separator: "/")[0]))
        try Tool.succeed("convert", Fixtures.path(model), "-o", folder.file("m.alula"))
        let report = try Tool.succeed(
            "quantize", folder.file("m.alula"), "-o", folder.file("q.alula"), "--calibrate",
            "tensors:" + data + "/inputs.safetensors",
            "--method", "minmax", "--json"
        ).json()
        // Random weights quantize worse than trained ones.
        #expect(try #require(report["logits_sqnr_db"] as? Double) > 15)
        try Tool.succeed("verify", folder.file("q.alula"))
    }
}
