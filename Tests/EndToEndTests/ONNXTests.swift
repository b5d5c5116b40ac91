import Foundation
import TestSupport
import Testing

/// `alula convert` of ONNX models.
@Suite struct ONNXTests {
    typealias S = ONNXSample

    private func write(_ sample: ONNXSample, _ folder: TemporaryFolder) throws -> String {
        try folder.write("m.onnx", Data(sample.model))
    }

    @Test func everyUnsupportedNodeIsListedAndNothingIsWritten() throws {
        let folder = try TemporaryFolder()
        let sample = S.single(
            [1, 3, 8, 8],
            [
                S.node("Relu", ["x"], ["a"]), S.node("NonMaxSuppression", ["a", "a"], ["b"], name: "nms"),
                S.node("Det", ["a"], ["c"], name: "det"), S.node("Add", ["b", "c"], ["y"]),
            ])
        let path = try write(sample, folder)
        let outcome = try Tool.alula("convert", path, "-o", folder.file("m.alula"))
        #expect(outcome.status == 1)
        #expect(outcome.text.contains("NonMaxSuppression \"nms\" of [1,3,8,8]") && outcome.text.contains("Det \"det\""))
        #expect(outcome.error.contains("m.onnx") && outcome.error.contains("2 nodes"))

        let json = try Tool.alula("convert", path, "-o", folder.file("m.alula"), "--json")
        let nodes = try #require(try json.json()["unsupported"] as? [[String: Any]])
        #expect(nodes.map { $0["name"] as? String } == ["nms", "det"])
        #expect(folder.contents == ["m.onnx"])
    }

    @Test func openShapesAreGivenByTheCaller() throws {
        let folder = try TemporaryFolder()
        var sample = S()
        sample.add(node: S.node("Relu", ["x"], ["y"]))
        sample.add(input: "x", open: [.named("batch"), .size(3), .named("height"), .named("width")])
        sample.add(output: "y")
        let path = try write(sample, folder)
        let open = try Tool.alula("convert", path, "-o", folder.file("m.alula"))
        #expect(open.status == 1 && open.error.contains("--shape x="))
        #expect(try Tool.alula("convert", path, "-o", folder.file("m.alula"), "--shape", "x=1x4x8x8").status == 1)
        let report = try Tool.succeed("convert", path, "-o", folder.file("m.alula"), "--shape", "x=2x3x8x6", "--json")
            .json()
        let inputs = try #require(report["inputs"] as? [[String: Any]])
        #expect(inputs.first?["shape"] as? [Int] == [2, 8, 6, 3], "a picture lies channels-last")
    }

    @Test func theBatchIsGivenByTheCaller() throws {
        let folder = try TemporaryFolder()
        var sample = S()
        sample.add(node: S.node("Relu", ["x"], ["y"]))
        sample.add(input: "x", open: [.named("batch"), .size(5)])
        sample.add(output: "y")
        let path = try write(sample, folder)
        for (arguments, batch) in [([], 1), (["--batch", "4"], 4)] as [([String], Int)] {
            let outcome = try Tool.alula(["convert", path, "-o", folder.file("m.alula"), "--json"] + arguments)
            let outputs = try #require(try outcome.json()["outputs"] as? [[String: Any]])
            #expect(outputs.first?["shape"] as? [Int] == [batch, 5])
        }
    }
}
