import AlulaGraph
import Foundation
import Testing

/// convert, quantize, run, verify and inspect on the sample model, as a user does it.
@Suite struct PipelineTests {
    private let folder: TemporaryFolder
    private let sample: Sample

    init() throws {
        folder = try TemporaryFolder()
        sample = try Sample.shared()
    }

    // MARK: convert

    @Test func convertReportsWhatBecameOfTheTensors() throws {
        let json = try Tool.succeed("convert", sample.source, "-o", folder.file("a.alula"), "--json").json()
        let tensors = try #require(json["tensors"] as? [String: Int])
        #expect(tensors["missing"] == 0)
        #expect(tensors["used", default: 0] > 50)
        #expect(tensors["unused"] == (json["unused"] as? [String])?.count)
        #expect(tensors["ignored"] == (json["ignored"] as? [[String: String]])?.count)
        for key in ["parameters", "macs", "seconds", "architecture"] { #expect(json[key] != nil, "\(key)") }
    }

    @Test func convertRecordsTheSource() throws {
        let file = try ModelFile(contentsOf: sample.model)
        let record = try #require(file.metadata["alula.source"])
        #expect(record.contains("\"architecture\":\"efficientformer\"") && record.contains("\"weights_sha256\":\""))
        #expect(!record.contains(sample.folder.path))
        let again = sample.folder.file("again.alula")
        let json = try Tool.succeed("convert", sample.source, "-o", again, "--json").json()
        let source = try #require(json["source"] as? [String: Any])
        #expect(source["format"] as? String == "safetensors")
        let files = try #require(source["files"] as? [[String: String]])
        #expect(files.map { $0["name"] } == ["model.safetensors", "config.json", "preprocessor_config.json"])
        let digest = try digest(of: sample.source + "/model.safetensors")
        #expect(digest.map { $0 == files[0]["sha256"] } ?? true)
        #expect(file.metadata["alula.labels"] != nil)
        #expect(file.metadata["alula.preprocess"]?.contains("\"kind\":\"image\"") == true)
    }

    /// From another implementation of SHA-256, where the machine has one.
    private func digest(of path: String) throws -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
        process.arguments = [path]
        let pipe = Pipe()
        process.standardOutput = pipe
        guard (try? process.run()) != nil else { return nil }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).split(separator: " ").first.map(String.init)
    }

    @Test func labelsMayComeFromAFile() throws {
        let count = try labelCount()
        let names = (0..<count).map { "bird \($0)" }
        let text = try folder.write("labels.txt", Data((names.joined(separator: "\n") + "\n").utf8))
        let list = try folder.write("labels.json", try JSONSerialization.data(withJSONObject: names))
        let object = Dictionary(uniqueKeysWithValues: names.enumerated().map { (String($0), $1) })
        let map = try folder.write("map.json", try JSONSerialization.data(withJSONObject: object))
        for labels in [text, list, map] {
            let output = folder.file("labelled.alula")
            try Tool.succeed("convert", sample.source, "-o", output, "--labels", labels)
            let stored = try #require(try ModelFile(contentsOf: output).metadata["alula.labels"])
            #expect(try JSONSerialization.jsonObject(with: Data(stored.utf8)) as? [String] == names)
        }
    }

    private func labelCount() throws -> Int {
        let outputs = try #require(
            try Tool.succeed("inspect", sample.model, "--json").json()["outputs"] as? [[String: Any]])
        return try #require((outputs[0]["shape"] as? [Int])?.last)
    }

    @Test func anOptimizedModelGivesTheSameLogits() throws {
        let output = folder.file("optimized.alula")
        try Tool.succeed("convert", sample.source, "-o", output, "--optimize")
        let (plain, optimized) = (try logits(sample.model, sample.picture), try logits(output, sample.picture))
        for (a, b) in zip(plain, optimized) { #expect(abs(a - b) < 1e-4) }
    }

    // MARK: quantize

    @Test func quantizingTwiceGivesTheSameBytes() throws {
        let output = folder.file("again.alula")
        try Tool.succeed(
            "quantize", sample.model, "-o", output, "--calibrate", "images:" + sample.pictures, "--threads", "1")
        #expect(try sample.bytes(output) == sample.bytes(sample.quantized))
    }

    @Test func quantizeReportsEveryLayer() throws {
        let json = try Tool.succeed(
            "quantize", sample.model, "-o", folder.file("q.alula"), "--calibrate", "images:" + sample.pictures,
            "--method", "minmax",
            "--samples", "2", "--json"
        ).json()
        let layers = try #require(json["layers"] as? [[String: Any]])
        #expect(layers.count > 20)
        #expect(layers.allSatisfy { $0["name"] is String && $0["operator"] is String && $0["sqnr_db"] != nil })
        let logits = try #require(json["logits_sqnr_db"] as? Double)
        #expect(logits > 10)
        #expect(json["samples"] as? Int == 2)
        let (before, after) = (try #require(json["bytes_before"] as? Int), try #require(json["bytes_after"] as? Int))
        #expect(after < before)
    }

    @Test func namedLayersStayFloat() throws {
        let output = folder.file("kept.alula")
        let layers = try #require(
            try Tool.succeed(
                "quantize", sample.model, "-o", output, "--calibrate", "images:" + sample.pictures, "--json"
            ).json()["layers"] as? [[String: Any]])
        let name = try #require(layers[0]["name"] as? String)
        try Tool.succeed(
            "quantize", sample.model, "-o", output, "--calibrate", "images:" + sample.pictures, "--keep-float", name)
        let text = try Tool.succeed("inspect", output).text
        #expect(text.split(separator: "\n").contains { $0.hasPrefix("%\(name) = ") && $0.contains(": f32[") })
    }

    /// A device has the bytes of a picture, and needs no normalization.
    @Test func pixelsAreTakenAsTheyAre() throws {
        let output = folder.file("pixels.alula")
        try Tool.succeed("quantize", sample.model, "-o", output, "--calibrate", "images:" + sample.pictures, "--pixels")
        // One colour, which resizing leaves alone.
        let colour: [UInt8] = [40, 163, 220]
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (70, 90, 3), }\n"
        let picture = try folder.write(
            "colour.npy",
            Data([0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0]) + Data(header.utf8)
                + Data((0..<70 * 90).flatMap { _ in colour }))
        let raw = try Tool.alula(["run", output, "-", "--json"], input: Data((0..<64 * 64).flatMap { _ in colour }))
        let inputs = try #require(try raw.json()["inputs"] as? [[String: Any]])
        let outputs = try #require(inputs[0]["outputs"] as? [[String: Any]])
        let values = try #require(outputs[0]["values"] as? [Double])
        #expect(values == (try logits(output, picture)))

        let plain = try logits(sample.model, picture)
        let error = zip(values, plain).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        #expect(error < 0.02 * plain.reduce(0) { $0 + $1 * $1 })  // 17 dB
        try Tool.succeed("verify", output)
    }

    @Test func pixelsNeedAPicture() throws {
        let model = folder.file("ecg.alula")
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model)
        let outcome = try Tool.alula([
            "quantize", model, "-o", folder.file("x.alula"), "--calibrate", "images:" + sample.pictures, "--pixels",
        ])
        #expect(outcome.status == 1)
        #expect(outcome.error.hasPrefix("alula: \(model): --pixels: the model does not say"))
    }

    @Test func classFoldersAreCalibrationDataToo() throws {
        let classes = folder.file("classes")
        for (index, name) in ["a", "b"].enumerated() {
            try FileManager.default.createDirectory(atPath: classes + "/" + name, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: sample.pictures + "/\(index).png", toPath: classes + "/\(name)/x.png")
        }
        let json = try Tool.succeed(
            "quantize", sample.model, "-o", folder.file("c.alula"), "--calibrate", "images:" + classes, "--json"
        ).json()
        #expect(json["samples"] as? Int == 2)
    }

    // MARK: run

    private func logits(_ model: String, _ input: String, _ more: String...) throws -> [Double] {
        let outcome = try Tool.alula(["run", model, input, "--json"] + more)
        try #require(outcome.status == 0, "\(outcome.error)")
        let inputs = try #require(try outcome.json()["inputs"] as? [[String: Any]])
        let outputs = try #require(inputs[0]["outputs"] as? [[String: Any]])
        return try #require(outputs[0]["values"] as? [Double])
    }

    @Test func runReportsEveryInput() throws {
        let outcome = try Tool.alula([
            "run", sample.quantized, sample.picture, sample.pictures + "/1.png", "--top", "3", "--json",
        ])
        let json = try outcome.json()
        #expect(json["isa"] is String && json["threads"] as? Int == 1 && json["model"] as? String == sample.quantized)
        let inputs = try #require(json["inputs"] as? [[String: Any]])
        #expect(inputs.map { $0["file"] as? String } == [sample.picture, sample.pictures + "/1.png"])
        let top = try #require(inputs[0]["top"] as? [[String: Any]])
        #expect(top.count == 3)
        let scores = top.compactMap { $0["score"] as? Double }
        #expect(scores == scores.sorted(by: >) && scores.allSatisfy { $0 > 0 && $0 <= 1 })
        #expect(top.allSatisfy { $0["label"] is String && $0["index"] is Int })
    }

    @Test func everyInstructionSetAndThreadCountGivesTheSameBytes() throws {
        var outputs: [Data] = []
        for isa in ["scalar", "avx2", "avxvnni", "avx512vnni", "neon", "neondot", "i8mm"] {
            for threads in ["1", "2"] {
                let path = folder.file("\(isa).\(threads).safetensors")
                let outcome = try Tool.alula(
                    "run", sample.quantized, sample.picture, "--isa", isa, "--threads", threads, "-o", path)
                // An instruction set that this CPU lacks fails, and says so.
                if outcome.status != 0, isa != "scalar" {
                    #expect(outcome.error.contains(isa))
                    continue
                }
                try #require(outcome.status == 0, "\(outcome.error)")
                outputs.append(try sample.bytes(path))
            }
        }
        #expect(outputs.count >= 2)
        #expect(outputs.allSatisfy { $0 == outputs[0] })
    }

    @Test func arraysAndRawBytesGiveWhatThePictureGives() throws {
        let inputs = try #require(
            try Tool.succeed("inspect", sample.model, "--json").json()["inputs"] as? [[String: Any]])
        let shape = try #require(inputs[0]["shape"] as? [Int])
        let (side, count) = (shape[1], shape[1] * shape[2] * 3)
        let last = (0..<count).map { Float(($0 * 37) % 101) / 50 - 1 }
        var first = [Float](repeating: 0, count: count)
        for pixel in 0..<side * side {
            for channel in 0..<3 { first[channel * side * side + pixel] = last[3 * pixel + channel] }
        }

        let (nhwc, nchw) = (folder.file("nhwc.safetensors"), folder.file("nchw.safetensors"))
        try writeTensors(nhwc, [("other", [1], [0]), ("image", [1, side, side, 3], last)])
        try writeTensors(nchw, [("other", [1], [0]), ("pixel_values", [1, 3, side, side], first)])
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, \(side), \(side), 3), }\n"
        let values = last.withUnsafeBytes { Data($0) }
        let numpy = try folder.write(
            "x.npy",
            Data([0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0]) + Data(header.utf8) + values)
        let expected = try logits(sample.model, nhwc)
        #expect(try logits(sample.model, nchw) == expected)
        #expect(try logits(sample.model, numpy) == expected)
        let raw = try Tool.alula(["run", sample.model, "-", "--json"], input: values)
        let found = try #require(try raw.json()["inputs"] as? [[String: Any]])
        #expect((found[0]["outputs"] as? [[String: Any]])?[0]["values"] as? [Double] == expected)
    }

    @Test func outputsAreStackedInOneFile() throws {
        let path = folder.file("out.safetensors")
        try Tool.succeed("run", sample.quantized, sample.picture, sample.pictures + "/1.png", "-o", path)
        let file = try SafetensorsFile(mapping: path)
        let entry = try #require(file.entry(named: "logits"))
        #expect(entry.shape == [2, try labelCount()])
        let stored = file.data(of: entry).array(of: Float.self).map(Double.init)
        let printed = try logits(sample.quantized, sample.picture)
        for (a, b) in zip(stored, printed) { #expect(abs(a - b) < 1e-5) }
    }

    @Test func aMemoryLimitRefusesWithTheNumber() throws {
        let outcome = try Tool.alula("run", sample.quantized, sample.picture, "--memory-limit", "1000")
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("limit of 1000"))
    }

    @Test func textShowsLabelsAndBars() throws {
        let text = try Tool.succeed("run", sample.quantized, sample.picture, "--top", "2").text
        let lines = text.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[0] == sample.picture[...])
        #expect(lines[1].contains(" %"))
    }

    // MARK: verify

    @Test func verifyPassesOnEveryInstructionSet() throws {
        let json = try Tool.succeed("verify", sample.quantized, "--json").json()
        #expect(json["passed"] as? Bool == true && json["golden"] as? Bool == true)
        let names = try #require(json["checks"] as? [[String: Any]]).compactMap { $0["name"] as? String }
        #expect(names.contains("golden scalar threads=1") && names.contains("golden scalar threads=2"))
    }

    @Test func verifyFindsAnotherResult() throws {
        let changed = try sample.quantized(named: "changed.alula", changing: "alula.golden") { _ in "{\"seed\":12345}" }
        let outcome = try Tool.alula("verify", changed)
        #expect(outcome.status == 1)
        #expect(outcome.text.contains("FAILED"))
        #expect(outcome.error.contains("changed.alula") && outcome.error.contains("differ from the golden output"))
    }

    @Test func verifyWithoutGoldenOutputsSaysSo() throws {
        #expect(try Tool.succeed("verify", sample.model).text.contains("no golden outputs"))
    }

    // MARK: inspect

    @Test func inspectPrintsTheGraph() throws {
        let text = try Tool.succeed("inspect", sample.quantized).text
        #expect(text.hasPrefix("alula 1\n"))
        #expect(text.contains("output %logits : f32[1,"))
        let graph = try Graph(text: text)
        #expect(graph.text == text)
    }

    @Test func inspectShowsAPass() throws {
        let before = try Tool.succeed("inspect", sample.model).text
        let after = try Tool.succeed("inspect", sample.model, "--after", "fold-affine").text
        #expect(before.contains("batch_norm") && !after.contains("batch_norm"))
        let outcome = try Tool.alula("inspect", sample.model, "--after", "magic")
        #expect(outcome.status == 1 && outcome.error.contains("fold-constants"))
    }

    @Test func inspectKnowsTheMemory() throws {
        let json = try Tool.succeed("inspect", sample.quantized, "--json").json()
        for key in ["metadata", "tensors", "parameters", "macs", "arena", "memory", "inputs", "outputs"] {
            #expect(json[key] != nil, "\(key)")
        }
        let memory = try #require(json["memory"] as? [String: Int])
        #expect(memory["arena", default: 0] >= memory["arena_lower_bound", default: 0])
        #expect(json["quantized"] as? Bool == true)
        let stored = try #require((json["metadata"] as? [String: String])?["alula.arena"])
        #expect(stored.hasPrefix("{\"1\":"))
    }

    @Test func aReaderThatStopsIsNoFailure() throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", "'\(Tool.folder.path)/alula' inspect '\(sample.model)' | head -1"]
        let (output, error) = (Pipe(), Pipe())
        (shell.standardOutput, shell.standardError) = (output, error)
        try shell.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complaint = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        shell.waitUntilExit()
        #expect(text == "alula 1\n")
        #expect(complaint.isEmpty)
    }
}
