import AlulaGraph
import Foundation
import Testing

/// The same weights in every format give the same model, byte for byte, and the reference's logits.
@Suite(.enabled(if: Fixtures.exist, "no reference fixtures at \(Fixtures.folder)"))
struct FormatTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    struct Case: Sendable, CustomTestStringConvertible {
        var weights: String
        var configuration: String
        /// The folder of the same weights as safetensors.
        var twin: String
        var testDescription: String { weights }

        static let all: [Case] = {
            let (a, b, timm) = ("hf_efficientformer_tiny_a", "hf_efficientformer_tiny_b", "timm_efficientformer_tiny")
            let variants = [
                "big_endian_and_f64", "fixed_strings_chunked_attrs_renamed", "gzip_shuffle_fletcher", "latest",
            ]
            let files = [(a, "tf_model.h5"), (a, "pytorch_model.bin"), (b, "tf_model.h5"), (b, "pytorch_model.bin")]
            return (files + variants.map { (b, "h5_variants/\($0).h5") } + [(timm, "original_names.pth")]).map {
                Case(weights: $0.0 + "/" + $0.1, configuration: $0.0 + "/config.json", twin: $0.0)
            }
        }()
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    @Test(arguments: Case.all) func theModelIsTheOneOfSafetensors(_ test: Case) throws {
        let (model, twin, outputs) = (folder.file("a.alula"), folder.file("b.alula"), folder.file("o.safetensors"))
        try Tool.succeed(
            "convert", Fixtures.path(test.weights), "--config", Fixtures.path(test.configuration), "-o", model)
        try Tool.succeed(
            "convert", Fixtures.path(test.twin + "/model.safetensors"), "--config", Fixtures.path(test.configuration),
            "-o", twin)
        #expect(try bytes(model) == bytes(twin))

        let data = Fixtures.path(test.twin)
        try Tool.succeed("run", model, data + "/inputs.safetensors", "-o", outputs)
        let logits = try [data + "/outputs.safetensors", outputs].map {
            try #require(try SafetensorsFile(mapping: $0).data(of: "logits")).array(of: Float.self)
        }
        let largest = logits[0].map(abs).max() ?? 0
        #expect(logits[0].count == logits[1].count && largest > 0)
        for (a, b) in zip(logits[0], logits[1]) { #expect(abs(a - b) <= 1e-4 * largest) }
    }

    /// A folder with one weight file is taken whole, whichever format that has.
    @Test(arguments: ["model.safetensors", "tf_model.h5", "pytorch_model.bin"]) func foldersAreConverted(_ name: String)
        throws
    {
        let source = folder.file("source")
        try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
        for file in ["config.json", name] {
            try FileManager.default.copyItem(
                atPath: Fixtures.path("hf_efficientformer_tiny_a/" + file), toPath: source + "/" + file)
        }
        let json = try Tool.succeed("convert", source, "-o", folder.file("m.alula"), "--json").json()
        #expect(json["naming"] as? String == "Hugging Face")
        #expect((json["tensors"] as? [String: Int])?["unused"] == 0)
        try Tool.succeed("convert", Fixtures.path("hf_efficientformer_tiny_a"), "-o", folder.file("twin.alula"))
        #expect(try bytes(folder.file("m.alula")) == bytes(folder.file("twin.alula")))
        // The file alone, known by its name, takes the configuration beside it.
        try Tool.succeed("convert", source + "/" + name, "-o", folder.file("alone.alula"))
        #expect(try bytes(folder.file("alone.alula")) == bytes(folder.file("twin.alula")))
    }

    /// Content decides, not the name.
    @Test func aMisnamedFileIsTold() throws {
        let path = folder.file("weights.safetensors")
        try FileManager.default.copyItem(atPath: Fixtures.path("hf_efficientformer_tiny_a/tf_model.h5"), toPath: path)
        let json = try Tool.succeed(
            "convert", path, "--config", Fixtures.path("hf_efficientformer_tiny_a/config.json"), "-o",
            folder.file("m.alula"),
            "--json"
        ).json()
        #expect((json["source"] as? [String: Any])?["format"] as? String == "hdf5")
    }
}
