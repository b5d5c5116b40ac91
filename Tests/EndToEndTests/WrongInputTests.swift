import AlulaGraph
import Foundation
import Testing

/// Every failure is one line that names the file and the cause, exit code 1, and nothing left behind.
@Suite struct WrongInputTests {
    private let folder: TemporaryFolder
    private let sample: Sample

    init() throws {
        folder = try TemporaryFolder()
        sample = try Sample.shared()
    }

    private func expectFailure(
        _ arguments: [String], naming file: String, saying cause: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = folder.contents
        let outcome = try Tool.alula(arguments)
        #expect(outcome.status == 1, sourceLocation: sourceLocation)
        #expect(outcome.output.isEmpty, sourceLocation: sourceLocation)
        #expect(outcome.error.hasPrefix("alula: "), "\(outcome.error)", sourceLocation: sourceLocation)
        #expect(outcome.error.contains(file), "\(outcome.error)", sourceLocation: sourceLocation)
        #expect(outcome.error.contains(cause), "\(outcome.error)", sourceLocation: sourceLocation)
        #expect(outcome.error.filter(\.isNewline).count == 1, "\(outcome.error)", sourceLocation: sourceLocation)
        #expect(folder.contents == before, sourceLocation: sourceLocation)
    }

    // MARK: Models

    private func header(_ json: String, data: Int = 0) -> Data {
        var bytes = withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Data($0) }
        bytes += Data(json.utf8)
        return bytes + Data(count: data)
    }

    @Test func modelFilesThatAreNone() throws {
        let model = try sample.bytes(sample.quantized)
        let cases: [(name: String, bytes: Data, cause: String)] = [
            ("empty.alula", Data(), "too few"),
            ("short.alula", model.prefix(5), "too few"),
            ("truncated.alula", model.prefix(model.count / 2), "ends at"),
            ("cut-header.alula", model.prefix(200), "follow"),
            ("text.alula", Data("This is no model, but it is long enough to be one.".utf8), "header"),
            ("huge-header.alula", withUnsafeBytes(of: UInt64(1) << 62) { Data($0) } + Data(count: 16), "header"),
            (
                "weights.alula", header(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4),
                "alula convert"
            ),
            (
                "overlap.alula",
                header(
                    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                    data: 8),
                "begins at 4"
            ),
            ("json.alula", header(#"{"a":}"#), "JSON"),
        ]
        for (name, bytes, cause) in cases {
            let path = try folder.write(name, bytes)
            for verb in [["inspect", path], ["verify", path], ["bench", path], ["run", path, sample.picture]] {
                try expectFailure(verb, naming: name, saying: cause)
            }
        }
    }

    @Test func modelsWithABrokenGraph() throws {
        let nan = try sample.quantized(named: "nan.alula", changing: "alula.graph") {
            let scale = $0.firstRange(of: /scale=[0-9.e-]+/)!
            return $0.replacingCharacters(in: scale, with: "scale=nan")
        }
        try expectFailure(["verify", nan], naming: "nan.alula", saying: "scale")
        let missing = try sample.quantized(named: "missing.alula") { $0.name.hasSuffix(".weight") }
        try expectFailure(["verify", missing], naming: "missing.alula", saying: "no tensor")
        let version = try sample.quantized(named: "version.alula", changing: "alula.version") { _ in "99" }
        try expectFailure(["inspect", version], naming: "version.alula", saying: "99")
        let shape = try sample.quantized(named: "shape.alula", changing: "alula.graph") {
            $0.replacingOccurrences(of: "output %logits : f32[1,", with: "output %logits : f32[2,")
        }
        try expectFailure(["inspect", shape], naming: "shape.alula", saying: "declared f32[2,")
    }

    @Test func modelsThatAreNotThere() throws {
        try expectFailure(["inspect", folder.file("none.alula")], naming: "none.alula", saying: "No such file")
        try expectFailure(["inspect", folder.path], naming: folder.path, saying: "directory")
        try expectFailure(
            ["run", sample.quantized, folder.file("none.png")], naming: "none.png", saying: "No such file")
    }

    // MARK: Inputs

    @Test func inputsThatDoNotFit() throws {
        let picture = try sample.bytes(sample.picture)
        let text = try folder.write("notes.jpg", Data("A picture of a cat, in words.\n".utf8))
        try expectFailure(["run", sample.quantized, text], naming: "notes.jpg", saying: "text file")
        let cut = try folder.write("cut.png", picture.prefix(picture.count / 2))
        try expectFailure(["run", sample.quantized, cut], naming: "cut.png", saying: "PNG")
        let empty = try folder.write("empty.png", Data())
        try expectFailure(["run", sample.quantized, empty], naming: "empty.png", saying: "empty")
        let wrong = folder.file("wrong.safetensors")
        try writeTensors(wrong, [("pixel_values", [1, 3, 7, 7], [Float](repeating: 0, count: 147))])
        try expectFailure(["run", sample.quantized, wrong], naming: "wrong.safetensors", saying: "[1,3,7,7]")
        let numpy = try folder.write("odd.npy", Data([0x93] + Array("NUMPY".utf8) + [1, 0, 200, 0, 1]))
        try expectFailure(["run", sample.quantized, numpy], naming: "odd.npy", saying: "truncated")
        let outcome = try Tool.alula(["run", sample.quantized, "-"], input: Data(count: 3))
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("standard input: has 3 bytes"))
    }

    @Test func calibrationThatCannotBe() throws {
        let quantize = { (data: String) in
            ["quantize", self.sample.model, "-o", self.folder.file("out.alula"), "--calibrate", data]
        }
        try expectFailure(quantize("images:" + folder.file("none")), naming: "none", saying: "folder")
        try expectFailure(quantize("images:" + folder.path), naming: folder.path, saying: "holds no")
        try expectFailure(quantize("tensors:" + folder.file("none")), naming: "none", saying: "No such file")
        try expectFailure(
            ["quantize", sample.quantized, "-o", folder.file("out.alula"), "--calibrate", "images:" + sample.pictures],
            naming: "model.int8.alula", saying: "already")
        try expectFailure(
            quantize("images:" + sample.pictures) + ["--keep-float", "nothing"], naming: "model.alula",
            saying: "nothing")
        let nan = folder.file("nan.safetensors")
        let side = try inputSide()
        var values = [Float](repeating: 0.5, count: side * side * 3)
        values[7] = .nan
        try writeTensors(nan, [("image", [1, side, side, 3], values)])
        try expectFailure(quantize("tensors:" + nan), naming: "nan.safetensors", saying: "NaN")
    }

    private func inputSide() throws -> Int {
        let inputs = try #require(
            try Tool.succeed("inspect", sample.model, "--json").json()["inputs"] as? [[String: Any]])
        return try #require((inputs[0]["shape"] as? [Int])?[1])
    }

    // MARK: Weights

    @Test func weightsThatEndTooSoon() throws {
        let cases: [(name: String, bytes: [UInt8], cause: String)] = [
            ("tf_model.h5", [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0], "no HDF5 file"),
            ("pytorch_model.bin", [0x50, 0x4B, 0x03, 0x04, 0, 0, 0, 0, 0, 0, 0, 0], "no zip archive"),
            ("old.pth", [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20], "re-save it"),
            ("model.onnx", [0x08, 0x07, 0x12, 0x07, 0x70, 0x79, 0x74, 0x6F, 0x72, 0x63, 0x68], "model"),
        ]
        for (name, bytes, cause) in cases {
            let path = try folder.write(name, Data(bytes))
            try expectFailure(["convert", path, "-o", folder.file("out.alula")], naming: name, saying: cause)
        }
    }

    @Test func weightsThatAreWrong() throws {
        let output = folder.file("out.alula")
        let text = try folder.write("model.safetensors", Data("no weights at all, only words\n".utf8))
        try expectFailure(["convert", text, "-o", output], naming: "model.safetensors", saying: "text")
        let other = folder.file("other.safetensors")
        try writeTensors(other, [("bert.embeddings.weight", [2, 2], [1, 2, 3, 4])])
        try expectFailure(["convert", other, "-o", output], naming: "other.safetensors", saying: "architecture")
        let labels = try folder.write("labels.txt", Data("one\ntwo\n".utf8))
        try expectFailure(
            ["convert", sample.source, "-o", output, "--labels", labels], naming: "labels.txt", saying: "2 labels")
        let config = try folder.write("config.json", Data("{".utf8))
        try expectFailure(
            ["convert", sample.source, "-o", output, "--config", config], naming: "config.json", saying: "JSON")
    }

    @Test func allMissingTensorsAreListed() throws {
        let file = try SafetensorsFile(mapping: sample.source + "/model.safetensors")
        var writer = SafetensorsWriter(padding: false)
        let dropped = file.tensors.filter {
            $0.name.hasSuffix("convolution1.weight") || $0.name.hasSuffix("layernorm.bias")
        }.map(\.name)
        try #require(dropped.count >= 2)
        for entry in file.tensors where !dropped.contains(entry.name) {
            try writer.add(entry.name, entry.dataType, entry.shape, file.data(of: entry))
        }
        let partial = folder.file("partial.safetensors")
        try writer.write(to: partial)
        let outcome = try Tool.alula(
            "convert", partial, "--config", sample.source + "/config.json", "-o", folder.file("out.alula"))
        #expect(outcome.status == 1)
        #expect(outcome.error.filter(\.isNewline).count == 1)
        for name in dropped { #expect(outcome.error.contains(name)) }
    }

    // MARK: Outputs

    @Test func outputsThatCannotBeWritten() throws {
        let nowhere = folder.file("no/such/folder/out.alula")
        try expectFailure(["convert", sample.source, "-o", nowhere], naming: nowhere, saying: "No such file")
        try expectFailure(
            ["create", "image-sample", "-o", folder.file("no/x.png")], naming: "no/x.png", saying: "No such file")
        try expectFailure(
            ["create", "ecg-sample", "-o", folder.file("no/x.hea")], naming: "no/x.hea",
            saying: "there is no folder \(folder.file("no"))")
        try expectFailure(
            ["run", sample.quantized, sample.picture, "-o", folder.file("no/out.safetensors")],
            naming: "no/out.safetensors",
            saying: "No such file")
    }

    @Test(.enabled(if: TinyDisk.isPossible, "a full disk needs the right to mount a tmpfs"))
    func aFullDiskLeavesNothing() throws {
        let disk = try TinyDisk()
        let output = disk.folder.file("out.alula")
        try expectFailure(["convert", sample.source, "-o", output], naming: output, saying: "No space left")
        #expect(disk.folder.contents.isEmpty)
    }

    @Test func theRunnerNamesTheFileToo() throws {
        let outcome = try Tool.runner("run", folder.file("none.alula"), "--raw", "x")
        #expect(outcome.status == 1)
        #expect(outcome.error.hasPrefix("alula-run: ") && outcome.error.contains("none.alula: No such file"))
    }
}
