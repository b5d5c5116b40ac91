import Foundation
import Testing

/// The models that ship with the project, on what the project draws and simulates.
@Suite struct TrainedModelTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("models/trained").path

    static let files =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".alula") }
        .sorted()

    private func path(_ name: String) -> String { Self.folder + "/" + name }

    /// The likeliest class of a file, its score, and whether the model calls it present.
    private func best(_ model: String, _ input: String) throws -> (label: String, score: Double, positive: Bool?) {
        let json = try Tool.succeed("run", path(model), input, "--json").json()
        let first = try #require((json["inputs"] as? [[String: Any]])?.first)
        let top = try #require((first["top"] as? [[String: Any]])?.first)
        return (
            try #require(top["label"] as? String), try #require(top["score"] as? Double), top["positive"] as? Bool
        )
    }

    @Test(arguments: files) func storedOutputsAreReproduced(_ name: String) throws {
        if name.hasSuffix(".int8.alula") {
            try Tool.succeed("verify", path(name))
        } else {
            let size = try FileManager.default.attributesOfItem(atPath: path(name))[.size] as? Int
            #expect(try #require(size) < 2 << 20, "float forms are shipped below 2 MB")
        }
    }

    /// Every model is listed, with a card that says what it was made from and how.
    @Test func everyModelHasACard() throws {
        #expect(Self.files.count >= 4)
        let list = try String(contentsOfFile: path("README.md"), encoding: .utf8)
        for name in Self.files { #expect(list.contains("`\(name)`")) }
        let cards = try FileManager.default.contentsOfDirectory(atPath: Self.folder)
            .filter { $0.hasSuffix(".md") && $0 != "README.md" }
        for name in cards {
            #expect(list.contains("(\(name))"))
            let card = try String(contentsOfFile: path(name), encoding: .utf8)
            for part in ["## Data", "## Commands", "alula finetune", "alula quantize"] {
                #expect(card.contains(part), "\(name): \(part)")
            }
        }
        for model in Self.files where model.hasSuffix(".int8.alula") {
            #expect(cards.contains { model.hasPrefix($0.dropLast(3)) }, "\(model)")
        }
    }

    @Test(arguments: ["msw-ptbxl.int8.alula", "msw-ptbxl-tiny.int8.alula"])
    func aSimulatedNormalECGIsNormal(_ model: String) throws {
        let folder = try TemporaryFolder()
        try Tool.succeed("create", "ecg-sample", "-o", folder.file("ecg.hea"))
        let result = try best(model, folder.file("ecg.hea"))
        #expect(result.label == "NORM" && result.score > 0.9 && result.positive == true)
    }

    @Test func aDrawnAppleIsAnApple() throws {
        let folder = try TemporaryFolder()
        try Tool.succeed("create", "image-sample", "-o", folder.file("apple.png"), "--scene", "apple")
        #expect(try best("edgevit-cifar100.int8.alula", folder.file("apple.png")).label == "apple")
    }

    /// A shipped float model is a start for training.
    @Test func theFloatFormCanBeTrainedFurther() throws {
        let folder = try TemporaryFolder()
        for (name, rhythm) in [("a", "normal"), ("b", "pvc"), ("c", "normal"), ("d", "pvc")] {
            try Tool.succeed(
                "create", "ecg-sample", "-o", folder.file(name + ".hea"), "--rhythm", rhythm, "--seed",
                "\(name.utf8.first!)")
        }
        let outcome = try Tool.succeed(
            "finetune", path("msw-ptbxl-tiny.alula"), "--data", "wfdb:" + folder.path, "--new-head", "2", "--epochs",
            "1", "--batch", "2", "--hold-out", "0", "-o", folder.file("mine.alula"), "--json")
        #expect(outcome.text.contains("\"output\""))
    }
}
