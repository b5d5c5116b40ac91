import AlulaGraph
import Foundation
import Testing

/// Every architecture from `create` or `convert` to an int8 model that verifies.
@Suite struct ModelFamilyTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(arguments: [
        ("edgevit-xxs", "32x32", [1, 32, 32, 3]), ("efficientformer-l1", "32x32", [1, 32, 32, 3]),
        ("msw-transformer-tiny", "12x500", [1, 1, 500, 12]),
    ])
    func createMakesAModelOfTheWantedSize(_ name: String, _ input: String, _ shape: [Int]) throws {
        let (path, again, other) = (folder.file("a.alula"), folder.file("b.alula"), folder.file("c.alula"))
        let json = try Tool.succeed("create", name, "-o", path, "--classes", "7", "--input", input, "--json").json()
        #expect(json["architecture"] as? String == name)
        let file = try ModelFile(contentsOf: path)
        #expect(file.graph.shape(file.graph.inputs[0]).dimensions == shape)
        #expect(file.graph.shape(file.graph.outputs[0]).dimensions == [1, 7])
        #expect(file.metadata[ModelFile.Key.preprocess] != nil)
        let trained = file.graph.constants.filter { !file.graph[$0].name.contains(".running_") }
        if name.hasPrefix("edgevit") {
            let count = trained.reduce(0) { $0 + file.graph.shape($1).elementCount }
            #expect(json["parameters"] as? Int == count)
        }
        try Tool.succeed("create", "model", name, "-o", again, "--classes", "7", "--input", input)
        try Tool.succeed("create", name, "-o", other, "--classes", "7", "--input", input, "--seed", "1")
        let bytes = try [path, again, other].map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
        #expect(bytes[0] == bytes[1] && bytes[0] != bytes[2], "the seed alone decides")
    }

    @Test func settingsChangeWhatAnArchitectureIsMadeOf() throws {
        let path = folder.file("m.alula")
        let vision = try Tool.succeed(
            "create", "edgevit-xxs", "-o", path, "--classes", "100", "--input", "32x32", "--set", "patch_size=2",
            "--json")
        #expect(try vision.json()["macs"] as? Int == 43_689_600)
        let small = try Tool.succeed("create", "msw-transformer-small", "-o", path, "--json").json()
        let same = try Tool.succeed(
            "create", "msw-transformer", "-o", path, "--set", "dim=128", "--set", "heads=4", "--json"
        ).json()
        #expect(
            same["architecture"] as? String == "msw-transformer-small" && same["macs"] as? Int == small["macs"] as? Int)
        let other = try Tool.succeed(
            "create", "msw-transformer-tiny", "-o", path, "--set", "windows=[4]", "--set", "shift=none", "--json")
        #expect(try other.json()["architecture"] as? String == "msw-transformer-custom")
        for (setting, text) in [
            ("colour=2", "no key colour"), ("dim", "dim"), ("dim=x", "not a whole number"),
            ("shift=some", "half, none"),
        ] {
            let outcome = try Tool.alula("create", "msw-transformer", "-o", folder.file("no.alula"), "--set", setting)
            #expect(outcome.status != 0 && outcome.error.contains(text), "\(outcome.error)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.file("no.alula")))
    }

    @Test func aSignalModelTakesAnotherRate() throws {
        let (model, record) = (folder.file("m.alula"), folder.file("a.hea"))
        let json = try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--rate", "500", "--json").json()
        let file = try ModelFile(contentsOf: model)
        #expect(file.graph.shape(file.graph.inputs[0]).dimensions == [1, 1, 5000, 12])
        #expect(try #require(file.metadata[ModelFile.Key.preprocess]).contains(#""rate":500"#))
        // As many tokens as at 100 Hz: only the first layer has more weights, for patches of 50 samples instead of 10.
        #expect(json["parameters"] as? Int == 228_000 + 40 * 12 * 64)
        try Tool.succeed("create", "ecg-sample", "-o", record)
        try Tool.succeed("run", model, record)
        #expect(try Tool.alula(["create", "edgevit-xxs", "-o", model, "--rate", "500"]).status == 2)
    }

    @Test func aSignalModelIsQuantizedAndVerified() throws {
        let (model, int8, data) = (folder.file("m.alula"), folder.file("q.alula"), folder.file("ecg.safetensors"))
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--input", "12x230")
        let values: [Float] = (0..<11040).map { (index: Int) -> Float in Float(index * 37 % 211) / 70 - 1.5 }
        try writeTensors(data, [("signals", [4, 12, 230], values)])
        let json = try Tool.succeed("quantize", model, "-o", int8, "--calibrate", "tensors:" + data, "--json").json()
        #expect(try #require(json["logits_sqnr_db"] as? Double) > 20)
        try Tool.succeed("verify", int8)
        // Leads may come first or last, with or without the axis of one row.
        let turned: [Float] = (0..<2760).map { (index: Int) -> Float in values[index % 12 * 230 + index / 12] }
        var results: [[String]] = []
        let arrangements: [([Int], [Float])] = [([12, 230], Array(values.prefix(2760))), ([1, 230, 12], turned)]
        for (index, (shape, numbers)) in arrangements.enumerated() {
            let file = folder.file("\(index).safetensors")
            try writeTensors(file, [("signal", shape, numbers)])
            let text = try Tool.succeed("run", int8, file, "--top", "5").text
            results.append(text.split(separator: "\n").dropFirst().map(String.init))
        }
        #expect(results[0] == results[1] && !results[0].isEmpty)
    }

    @Test(
        .enabled(if: Fixtures.exist, "no reference fixtures"), arguments: ["edgevit_tiny_64", "edgevit_tiny_cifar32"])
    func edgeViTWeightsAreRecognizedAndQuantized(_ name: String) throws {
        let (model, int8) = (folder.file("m.alula"), folder.file("q.alula"))
        let json = try Tool.succeed("convert", Fixtures.path(name), "-o", model, "--json").json()
        #expect(json["architecture"] as? String == "edgevit")
        #expect(json["unused"] as? [String] == [])
        let inputs = Fixtures.path(name) + "/inputs.safetensors"
        let report = try Tool.succeed("quantize", model, "-o", int8, "--calibrate", "tensors:" + inputs, "--json")
            .json()
        #expect(try #require(report["logits_sqnr_db"] as? Double) > 10)
        try Tool.succeed("verify", int8)
        try Tool.succeed("run", int8, inputs)
    }

    @Test func whatCannotBeCreatedIsNamed() throws {
        let output = folder.file("a.alula")
        for (arguments, cause) in [
            (["create", "edgevit-xxs", "-o", output, "--input", "30x32"], "image_size = 30"),
            (["create", "efficientformer-l1", "-o", output, "--input", "100x100"], "multiple of 32"),
        ] {
            let outcome = try Tool.alula(arguments)
            #expect(outcome.status == 1)
            #expect(outcome.error.contains(cause) && outcome.error.filter(\.isNewline).count == 1)
        }
        for arguments in [
            ["create", "edgevit-m", "-o", output], ["create", "edgevit-s", "-o", output, "--input", "9"],
        ] {
            #expect(try Tool.alula(arguments).status == 2)
        }
        #expect(folder.contents.isEmpty)
    }
}
