import AlulaGraph
import Foundation
import Testing

/// A small network and data for it, so that a run takes a second.
private final class Problem {
    let folder: TemporaryFolder
    let model: String
    let data: String

    init(labels: [String]? = ["red", "green", "blue"]) throws {
        folder = try TemporaryFolder()
        (model, data) = (folder.file("model.alula"), folder.file("data.safetensors"))
        var random = SplitMix64(seed: 5)
        func draw() -> Float { Float(random.next() >> 40) * 0x1p-23 - 1 }
        var graph = Graph()
        let input = graph.addInput("x", TensorType(.f32, Shape([1, 6])))
        func layer(_ name: String, _ x: ValueID, _ inputs: Int, _ outputs: Int) throws -> ValueID {
            let weight = graph.addConstant(
                name + ".weight", TensorType(.f32, Shape([outputs, inputs])),
                TensorData(elements: (0..<inputs * outputs).map { _ in 0.5 * draw() }))
            let bias = graph.addConstant(
                name + ".bias", TensorType(.f32, Shape([outputs])),
                TensorData(elements: [Float](repeating: 0, count: outputs)))
            return try graph.add(.linear(Linear()), [x, weight, bias])
        }
        let hidden = try graph.add(.unary(Unary(.relu)), [try layer("first", input, 6, 16)])
        graph.setOutputs([try layer("head", hidden, 16, 3)])
        var metadata: [String: String] = ["note": "kept"]
        if let labels { metadata[ModelFile.Key.labels] = "[" + labels.map { "\"\($0)\"" }.joined(separator: ",") + "]" }
        try ModelFile(graph: graph, metadata: metadata).write(to: model)

        var (values, classes): ([Float], [Int64]) = ([], [])
        for index in 0..<240 {
            classes.append(Int64(index % 3))
            values += (0..<6).map { ($0 % 3 == index % 3 ? 1 : 0) + draw() }
        }
        var writer = SafetensorsWriter(padding: false)
        try writer.add("x", .f32, [240, 6], TensorData(elements: values))
        try writer.add("labels", .i64, [240], TensorData(elements: classes))
        try writer.write(to: data)
    }

    func arguments(_ output: String, _ more: [String] = []) -> [String] {
        ["finetune", model, "--data", "tensors:" + data, "-o", folder.file(output), "--threads", "1"] + more
    }

    static let recipe = [
        "--recipe", "cifar-scratch", "--epochs", "12", "--batch", "16", "--lr", "0.03", "--cutmix", "0", "--mixup", "0",
        "--ema", "0.9", "--weight-decay", "0.05", "--optimizer", "adamw",
    ]

    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: folder.file(name))) }
}

/// A run that can be sent signals.
private func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = Tool.folder.appendingPathComponent("alula")
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
}

@Suite struct FinetuneTests {
    @Test func trainsAndReportsEveryEpochAsJSON() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(problem.arguments("out.alula", Problem.recipe + ["--json"]))
        try #require(outcome.status == 0, "\(outcome.error)")
        let lines = try outcome.jsonLines()
        #expect(lines.count == 13)
        #expect(lines.dropLast().map { $0["epoch"] as? Int } == Array(1...12))
        for key in ["step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1", "best"] {
            #expect(lines[0][key] != nil, "\(key)")
        }
        let result = try #require(lines.last)
        #expect(result["output"] as? String == problem.folder.file("out.alula"))
        let best = try #require(result["best"] as? [String: Any])
        #expect(try #require(best["val_accuracy"] as? Double) > 0.75)
        let recipe = try #require(result["recipe"] as? [String: Any])
        #expect(recipe["batch"] as? Int == 16 && recipe["crop_padding"] as? Double == 0.125)
        // What evaluate says of the result on all data is near what was measured.
        let evaluated = try Tool.alula(
            "evaluate", problem.folder.file("out.alula"), "--data", "tensors:" + problem.data, "--json")
        #expect(try #require(try evaluated.json()["accuracy"] as? Double) > 0.75)
        let folder = problem.folder.file("out.run")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(
            files.filter { !$0.hasPrefix("events.out.tfevents") } == [
                "best.checkpoint", "last.checkpoint", "metrics.jsonl", "report.html",
            ])
        let logged = try String(contentsOfFile: folder + "/metrics.jsonl", encoding: .utf8)
        #expect(logged.split(separator: "\n").count == 12)
    }

    @Test func metadataAreKept() throws {
        let problem = try Problem()
        try Tool.succeed(
            "finetune", problem.model, "--data", "tensors:" + problem.data, "-o", problem.folder.file("a.alula"),
            "--epochs", "1")
        let file = try ModelFile(contentsOf: problem.folder.file("a.alula"))
        #expect(file.metadata["note"] == "kept")
        #expect(try file.labels() == ["red", "green", "blue"])
        #expect(file.graph.text == (try ModelFile(contentsOf: problem.model)).graph.text)
    }

    @Test func theSeedDecidesTheBytes() throws {
        let problem = try Problem()
        for name in ["a.alula", "b.alula"] {
            try #require(try Tool.alula(problem.arguments(name, Problem.recipe)).status == 0)
        }
        try #require(try Tool.alula(problem.arguments("c.alula", Problem.recipe + ["--seed", "1"])).status == 0)
        #expect(try problem.bytes("a.alula") == problem.bytes("b.alula"))
        #expect(try problem.bytes("a.alula") != problem.bytes("c.alula"))
    }

    @Test func aKilledRunGoesOnBitForBit() throws {
        let problem = try Problem()
        let recipe = Problem.recipe + ["--epochs", "40", "--dropout", "0.1"]
        try #require(try Tool.alula(problem.arguments("whole.alula", recipe)).status == 0)
        // A checkpoint after every step, so that most kills come while one is being written.
        let many = ["--save-every", "0"]
        let checkpoint = problem.folder.file("parts.run/last.checkpoint")
        var arguments = problem.arguments("parts.alula", recipe + many)
        var (kills, random) = (0, SplitMix64(seed: 3))
        while true {
            let process = try start(arguments)
            if kills < 12 { usleep(UInt32(40_000 + random.next() % 250_000)) } else { process.waitUntilExit() }
            let isDone = !process.isRunning
            if !isDone { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
            if isDone {
                try #require(process.terminationStatus == 0)
                break
            }
            kills += 1
            if FileManager.default.fileExists(atPath: checkpoint) {
                arguments = problem.arguments("parts.alula", many + ["--resume", checkpoint])
            }
        }
        #expect(kills > 0, "the run ended before it could be killed")
        #expect(try problem.bytes("parts.alula") == problem.bytes("whole.alula"))
        for name in ["last.checkpoint", "best.checkpoint"] {
            #expect(
                try tensors(problem.folder.file("parts.run/" + name))
                    == tensors(problem.folder.file("whole.run/" + name)), "\(name)")
        }
        let log = try String(contentsOfFile: problem.folder.file("parts.run/metrics.jsonl"), encoding: .utf8)
        let epochs = try log.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])["epoch"] as? Int
        }
        #expect(epochs == Array(1...40))
    }

    private func tensors(_ path: String) throws -> [String: [UInt8]] {
        let file = try SafetensorsFile(mapping: path)
        return Dictionary(
            uniqueKeysWithValues: file.tensors.map { entry in
                (entry.name, file.data(of: entry).withUnsafeBytes { Array($0) })
            })
    }

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)])
    func signalsSaveAndStop(signal: Int32, code: Int) throws {
        let problem = try Problem()
        let recipe = Problem.recipe + ["--epochs", "100000"]
        let process = try start(problem.arguments("out.alula", recipe))
        let log = problem.folder.file("out.run/metrics.jsonl")
        while (try? String(contentsOfFile: log, encoding: .utf8))?.contains("\"epoch\":3") != true { usleep(20_000) }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && Int(process.terminationStatus) == code)
        #expect(!FileManager.default.fileExists(atPath: problem.folder.file("out.alula")))
        let checkpoint = problem.folder.file("out.run/last.checkpoint")
        let outcome = try Tool.alula(
            problem.arguments("out.alula", ["--resume", checkpoint, "--epochs", "5", "--json"]))
        // Past the new end already, or at it soon: either way the result is written.
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(FileManager.default.fileExists(atPath: problem.folder.file("out.alula")))
    }

    @Test func checkpointsOfOtherRunsAreRefused() throws {
        let problem = try Problem()
        try #require(try Tool.alula(problem.arguments("a.alula", ["--epochs", "1"])).status == 0)
        let checkpoint = problem.folder.file("a.run/last.checkpoint")
        let other = try Tool.alula(problem.arguments("a.alula", ["--resume", checkpoint, "--seed", "9"]))
        #expect(other.status == 1 && other.error.contains("another seed"), "\(other.error)")
        let model = try Tool.alula(problem.arguments("a.alula", ["--resume", problem.model]))
        #expect(model.status == 1 && model.error.contains("no checkpoint"), "\(model.error)")
        let recipe = try Tool.alula(problem.arguments("a.alula", ["--resume", checkpoint, "--lr", "1"]))
        #expect(recipe.status == 2, "\(recipe.error)")
    }

    @Test func divergenceIsOneLine() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(
            problem.arguments(
                "a.alula",
                [
                    "--recipe", "cifar-scratch", "--batch", "16", "--optimizer", "sgd", "--lr", "1000", "--schedule",
                    "constant", "--cutmix", "0",
                ]))
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("diverged at step"), "\(outcome.error)")
        #expect(outcome.error.split(separator: "\n").count == 1)
    }

    @Test(arguments: [
        (["--recipe", "none"], "recipes are"), (["--lr", "fast"], "lr"), (["--set", "lr"], "KEY=VALUE"),
        (["--set", "rate=1"], "no key 'rate'"), (["--epochs", "0"], "epochs"), (["--hold-out", "1"], "hold-out"),
        (["--augment", "much"], "augment"), (["--new-head", "0"], "new-head"),
    ])
    func wrongUsageIsNamed(arguments: [String], text: String) throws {
        let problem = try Problem()
        let outcome = try Tool.alula(problem.arguments("a.alula", arguments))
        #expect(outcome.status == 2 && outcome.error.contains(text), "\(outcome.status): \(outcome.error)")
    }

    @Test func dataThatDoNotFitAreNamed() throws {
        let problem = try Problem()
        let few = try Tool.alula(problem.arguments("a.alula", ["--batch", "1000"]))
        #expect(few.status == 1 && few.error.contains("one step takes 1000"), "\(few.error)")
        let missing = try Tool.alula(
            "finetune", problem.model, "--data", "tensors:/none", "-o", problem.folder.file("a.alula"))
        #expect(missing.status == 1 && missing.error.contains("/none"), "\(missing.error)")
        let recipe = try problem.folder.write("recipe.json", Data(#"{"epochs": 2, "lr": "high"}"#.utf8))
        let wrong = try Tool.alula(problem.arguments("a.alula", ["--recipe", recipe]))
        #expect(wrong.status == 1 && wrong.error.contains("recipe.json: 'lr'"), "\(wrong.error)")
    }

    @Test func everyExampleCanBeTrainedOn() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(
            problem.arguments("a.alula", ["--hold-out", "0", "--epochs", "2", "--batch", "24", "--json"]))
        try #require(outcome.status == 0, "\(outcome.error)")
        let record = try #require(try outcome.jsonLines().first)
        #expect(record["step"] as? Int == 10 && record["val_loss"] == nil)
    }

    @Test func frozenWeightsStayAsTheyAre() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(
            problem.arguments("a.alula", ["--epochs", "1", "--batch", "16", "--freeze", "first"]))
        try #require(outcome.status == 0, "\(outcome.error)")
        let (before, after) = (try constants(problem.model), try constants(problem.folder.file("a.alula")))
        #expect(before["first.weight"] == after["first.weight"] && before["first.bias"] == after["first.bias"])
        #expect(before["head.weight"] != after["head.weight"])
    }

    @Test func adaptersAreMergedIntoTheWeights() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(
            problem.arguments("a.alula", ["--epochs", "2", "--batch", "16", "--lr", "0.01", "--lora", "2"]))
        try #require(outcome.status == 0, "\(outcome.error)")
        let (before, after) = (try constants(problem.model), try constants(problem.folder.file("a.alula")))
        #expect(before.keys.sorted() == after.keys.sorted())
        #expect(before["first.weight"] != after["first.weight"] && before["first.bias"] == after["first.bias"])
    }

    @Test func newHeadsHaveTheirOwnClasses() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(
            problem.arguments("a.alula", ["--epochs", "2", "--batch", "16", "--new-head", "5"]))
        try #require(outcome.status == 0, "\(outcome.error)")
        let file = try ModelFile(contentsOf: problem.folder.file("a.alula"))
        #expect(file.graph.shape(file.graph.outputs[0]) == [1, 5])
        #expect(try file.labels().isEmpty)
        let few = try Tool.alula(problem.arguments("b.alula", ["--new-head", "2"]))
        #expect(few.status == 1 && few.error.contains("has 3 classes, --new-head 2"), "\(few.error)")
    }

    /// The int8 model is what epochs were measured by, and needs no quantizing.
    @Test func trainingThroughRoundingWritesTheInt8Model() throws {
        let problem = try Problem()
        let recipe = Problem.recipe + ["--ema", "0", "--qat", "--json"]
        let outcome = try Tool.alula(problem.arguments("a.alula", recipe))
        try #require(outcome.status == 0, "\(outcome.error)")
        let result = try #require(try outcome.jsonLines().last)
        let int8 = problem.folder.file("a.int8.alula")
        #expect(result["int8_output"] as? String == int8)
        let graph = try ModelFile(contentsOf: int8).graph
        #expect(graph.type(graph.inputs[0]).dataType == .u8)
        #expect(try Tool.alula("verify", int8).status == 0)
        let best = try #require((result["best"] as? [String: Any])?["val_accuracy"] as? Double)
        let measured = try Tool.alula("evaluate", int8, "--data", "tensors:" + problem.data, "--json").json()
        let accuracy = try #require(measured["accuracy"] as? Double)
        #expect(best > 0.75 && accuracy > 0.75)
    }

    @Test func teachersMustFit() throws {
        let problem = try Problem()
        try #require(try Tool.alula(problem.arguments("teacher.alula", Problem.recipe)).status == 0)
        let teacher = problem.folder.file("teacher.alula")
        let taught = try Tool.alula(
            problem.arguments(
                "a.alula", ["--epochs", "2", "--batch", "16", "--distill", teacher, "--set", "distill_weight=1"]))
        #expect(taught.status == 0, "\(taught.error)")
        let head = try Tool.alula(problem.arguments("b.alula", ["--new-head", "4", "--distill", teacher]))
        #expect(head.status == 1 && head.error.contains("has 3 classes"), "\(head.error)")
    }

    @Test func memoryLimitsThatNothingKeepsAreAnError() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(problem.arguments("a.alula", ["--batch", "16", "--memory-limit", "100"]))
        #expect(outcome.status == 1 && outcome.error.contains("100"), "\(outcome.error)")
    }

    @Test func recipesOfResultsAreRecipes() throws {
        let problem = try Problem()
        let outcome = try Tool.alula(problem.arguments("a.alula", Problem.recipe + ["--epochs", "1", "--json"]))
        let result = try #require(try outcome.jsonLines().last)
        let recipe = try problem.folder.write(
            "recipe.json", try JSONSerialization.data(withJSONObject: try #require(result["recipe"])))
        try #require(try Tool.alula(problem.arguments("b.alula", ["--recipe", recipe])).status == 0)
        #expect(try problem.bytes("a.alula") == problem.bytes("b.alula"))
    }
}
