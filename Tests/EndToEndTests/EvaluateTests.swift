import AlulaGraph
import Foundation
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Models on labelled data and on recordings, without any data of others.
@Suite struct EvaluateTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// CIFAR-100's file with `count` records of noise.
    private func cifar(_ count: Int) throws -> String {
        var bytes = Data()
        for index in 0..<count {
            bytes += [UInt8(index % 20), UInt8(index * 7 % 100)]
            bytes += (0..<3072).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ index &* 17) ^ ($0 >> 3)) }
        }
        _ = try folder.write("test.bin", bytes)
        return folder.path
    }

    private func records(_ names: [(name: String, rhythm: String, code: String)]) throws -> String {
        for (name, rhythm, code) in names {
            try Tool.succeed("create", "ecg-sample", "-o", folder.file(name + ".hea"), "--rhythm", rhythm)
            let path = folder.file(name + ".hea")
            let text =
                try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
                .map { $0.contains("Dx: ") ? "#Dx: \(code)" : $0 }.joined(separator: "\n") + "\n"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
        return folder.path
    }

    @Test func picturesAreEvaluatedInBothTypes() throws {
        let (model, int8, page) = (folder.file("m.alula"), folder.file("q.alula"), folder.file("page.html"))
        let data = "cifar100:" + (try cifar(40))
        try Tool.succeed("create", "edgevit-xxs", "-o", model, "--classes", "100", "--input", "32x32")
        try Tool.succeed("quantize", model, "-o", int8, "--calibrate", data, "--split", "test", "--samples", "16")
        let json = try Tool.succeed(
            "evaluate", int8, "--data", data, "--compare", model, "--html", page, "--json"
        ).json()
        #expect(json["samples"] as? Int == 40 && json["task"] as? String == "classify")
        let confusion = try #require(json["confusion"] as? [[Int]])
        #expect(confusion.count == 100 && confusion.joined().reduce(0, +) == 40)
        let right = (0..<100).reduce(0) { $0 + confusion[$1][$1] }
        let accuracy = try #require(json["accuracy"] as? Double)
        #expect(abs(accuracy - Double(right) / 40) < 1e-12)
        let classes = try #require(json["classes"] as? [[String: Any]])
        #expect(classes.reduce(0) { $0 + ($1["support"] as? Int ?? 0) } == 40)
        let agreement = try #require(json["agreement"] as? Double)
        #expect((0...1).contains(agreement))
        #expect((json["compare"] as? [String: Any])?["model"] as? String == model)
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.contains("<svg") && html.contains("accuracy, top 1") && !html.contains("http-equiv"))
        for outside in ["src=\"http", "href=\"http", "@import", "url("] { #expect(!html.contains(outside)) }
        let some = try Tool.succeed("evaluate", int8, "--data", data, "--samples", "10", "--json").json()
        #expect(some["samples"] as? Int == 10)
        #expect(try Tool.succeed("evaluate", int8, "--data", data).text.contains("accuracy, top 5"))
    }

    @Test func recordingsAreRunDrawnAndEvaluated() throws {
        let (model, int8, tuned) = (folder.file("m.alula"), folder.file("q.alula"), folder.file("t.alula"))
        let labels = try folder.write("labels.txt", Data("10\n20\n30\n".utf8))
        let data =
            "wfdb:"
            + (try records([("a", "normal", "10"), ("b", "af", "20,30"), ("c", "pvc", "30"), ("d", "brady", "10")]))
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--classes", "3", "--labels", labels)
        try Tool.succeed("quantize", model, "-o", int8, "--calibrate", data)
        let before = try Tool.succeed("run", int8, folder.file("a.hea"), "--json").json()
        let top = try #require((before["inputs"] as? [[String: Any]])?.first?["top"] as? [[String: Any]])
        #expect(
            top.count == 3 && top.allSatisfy { ($0["positive"] as? Bool) == (($0["score"] as? Double ?? 0) >= 0.5) })
        #expect(Set(top.compactMap { $0["label"] as? String }) == ["10", "20", "30"])

        let json = try Tool.succeed(
            "evaluate", int8, "--data", data, "--compare", model, "--save-thresholds", tuned, "--json"
        ).json()
        #expect(json["task"] as? String == "multilabel" && json["samples"] as? Int == 4)
        for key in ["macro_f1", "sample_f1", "macro_auroc", "ece"] { #expect(json[key] is Double, "\(key)") }
        let after = try Tool.succeed("evaluate", tuned, "--data", data, "--json").json()
        let (old, new) = (try #require(json["macro_f1"] as? Double), try #require(after["macro_f1"] as? Double))
        #expect(new >= old && new >= 0.5, "every class has at least one record, and accepting all is worth that")
        try Tool.succeed("verify", tuned)

        // The record's name without its extension, and a picture of it.
        let plot = folder.file("a.svg")
        try Tool.succeed("run", tuned, folder.file("a"), "--plot", plot)
        let svg = try String(contentsOfFile: plot, encoding: .utf8)
        for text in ["25 mm/s", "aVR", "V6", "Rhythm normal"] { #expect(svg.contains(text), "\(text)") }
        #expect(XMLParser(data: Data(svg.utf8)).parse())
    }

    @Test func picturesAreDrawn() throws {
        let (model, picture, plot) = (folder.file("m.alula"), folder.file("a.png"), folder.file("a.svg"))
        try Tool.succeed("create", "edgevit-xxs", "-o", model, "--classes", "10", "--input", "32x32")
        try Tool.succeed("create", "image-sample", "-o", picture)
        try Tool.succeed("run", model, picture, "--plot", plot)
        let svg = try String(contentsOfFile: plot, encoding: .utf8)
        #expect(svg.contains("data:image/png;base64,") && svg.contains("a.png"))
        #expect(XMLParser(data: Data(svg.utf8)).parse())
    }

    @Test func longRecordingsAreCut() throws {
        let (model, record) = (folder.file("m.alula"), folder.file("long.hea"))
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--classes", "2")
        try Tool.succeed("create", "ecg-sample", "-o", record, "--seconds", "26", "--rate", "257")
        let json = try Tool.succeed("run", model, record, "--json").json()
        #expect((json["inputs"] as? [[String: Any]])?.map { $0["index"] as? Int } == [0, 1, 2])
    }

    /// With one class and one record that has it, the calibration error is what the record's probability lacks to 1.
    @Test func longRecordingsAreJudgedByAllTheirWindows() throws {
        let (model, int8, record) = (folder.file("m.alula"), folder.file("q.alula"), folder.file("long.hea"))
        let labels = try folder.write("labels.txt", Data("427172004\n".utf8))
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--classes", "1", "--labels", labels)
        try Tool.succeed("create", "ecg-sample", "-o", record, "--seconds", "26", "--rhythm", "pvc")
        let run = try Tool.succeed("run", model, record, "--json").json()
        let scores = try #require(run["inputs"] as? [[String: Any]]).compactMap {
            ($0["top"] as? [[String: Any]])?.first?["score"] as? Double
        }
        #expect(scores.count == 3 && Set(scores).count == 3)
        let data = "wfdb:" + folder.path
        let json = try Tool.succeed("evaluate", model, "--data", data, "--json").json()
        #expect(json["samples"] as? Int == 1 && json["inputs"] as? Int == 3)
        let error = try #require(json["ece"] as? Double)
        #expect(abs(1 - error - scores.reduce(0, +) / 3) < 1e-6)

        for (wanted, found) in [(2, 2), (9, 3)] {
            let json = try Tool.succeed(
                "quantize", model, "-o", int8, "--calibrate", data, "--samples", String(wanted), "--json"
            ).json()
            #expect(json["samples"] as? Int == found)
        }
    }

    @Test func dataThatDoNotFitAreNamed() throws {
        let (model, signal) = (folder.file("m.alula"), folder.file("s.alula"))
        let labels = try folder.write("labels.txt", Data("A\nB\n".utf8))
        try Tool.succeed("create", "edgevit-xxs", "-o", model, "--classes", "10", "--input", "32x32")
        try Tool.succeed("create", "msw-transformer-tiny", "-o", signal, "--classes", "2", "--labels", labels)
        let records = try records([("a", "normal", "10")])
        let header = folder.file("a.hea")
        try FileManager.default.createDirectory(atPath: folder.file("flat"), withIntermediateDirectories: true)
        try Tool.succeed("create", "image-sample", "-o", folder.file("flat/a.png"))
        let other = try TemporaryFolder()
        _ = try other.write("a.dat", Data(count: 10))
        let damaged = try other.write("cut.hea", Data("cut 1 100 500\na.dat 16 1000/mV\n".utf8))
        let escaping = try other.write("out.hea", Data("out 1 100 5\n../a.dat 16\n".utf8))
        let cases: [([String], String)] = [
            (["evaluate", model, "--data", "cifar100:" + (try cifar(3))], "100 classes"),
            (["evaluate", signal, "--data", "wfdb:" + records], "class '10'"),
            (["evaluate", model, "--data", "images:" + folder.file("flat")], "no labels"),
            (["evaluate", model, "--data", "cifar10:" + folder.path], "No such file"),
            (["evaluate", model, "--data", "ptbxl:" + folder.path], "scp_statements.csv"),
            (["run", model, header], "how to prepare recordings"),
            (["run", signal, folder.file("flat/a.png")], "how to prepare pictures"),
            (["run", signal, damaged], "ends early"), (["run", signal, escaping], "outside of the record's folder"),
            (["run", signal, header, "--plot", folder.file("no/x.svg")], "No such file"),
        ]
        for (arguments, cause) in cases {
            let outcome = try Tool.alula(arguments)
            #expect(outcome.status == 1 && outcome.output.isEmpty, "\(arguments)")
            #expect(outcome.error.contains(cause) && outcome.error.filter(\.isNewline).count == 1, "\(outcome.error)")
        }
        for arguments in [
            ["evaluate", model, "--data", "mnist:x"], ["evaluate", model, "--data", "ptbxl:x", "--split", "dev"],
            ["create", "ecg-sample", "-o", header, "--rhythm", "polka"], ["run", model, "a", "b", "--plot", "x.svg"],
        ] {
            #expect(try Tool.alula(arguments).status == 2, "\(arguments)")
        }
    }

    @Test func theTinyECGModelFitsAMicrocontroller() throws {
        let (model, int8) = (folder.file("m.alula"), folder.file("q.alula"))
        let data = "wfdb:" + (try records([("a", "normal", "1"), ("b", "tachy", "1")]))
        try Tool.succeed("create", "msw-transformer-tiny", "-o", model, "--classes", "5")
        try Tool.succeed("quantize", model, "-o", int8, "--calibrate", data)
        let json = try Tool.succeed("inspect", int8, "--json").json()
        let memory = try #require(json["memory"] as? [String: Int])
        #expect(try #require(memory["arena"]) <= 64 << 10)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: int8)).count
        #expect(bytes <= 350 << 10, "\(bytes) bytes")
    }
}
