import AlulaGraph
import Foundation
import ONNXConverter
import TestSupport
import Testing

/// Files that are meant to harm: each is refused with one line, in little time and memory.
@Suite(.timeLimit(.minutes(1))) struct HostileFileTests {
    typealias S = ONNXSample

    struct Attack: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var model: @Sendable () -> [UInt8]
        /// Part of the message.
        var reason: String
    }

    private static func attack(_ name: String, _ reason: String, _ model: @escaping @Sendable () -> [UInt8]) -> Attack {
        Attack(testDescription: name, model: model, reason: reason)
    }

    /// One node on a runtime input and integer constants.
    private static func node(
        _ op: String, _ shape: [Int] = [1, 3, 8, 8], _ constants: [[Int]] = [],
        _ attributes: [(String, S.Attribute)] = []
    ) -> [UInt8] {
        let names = constants.indices.map { "c\($0)" }
        return S.single(
            shape, [S.node(op, ["x"] + names, ["y"], attributes)],
            zip(names, constants).map { S.integers($0, [$1.count], $1) }
        ).model
    }

    private static func weights(_ tensor: [UInt8]) -> [UInt8] {
        S.single([2, 2], [S.node("Add", ["x", "w"], ["y"])], [tensor]).model
    }

    static let attacks: [Attack] = [
        attack("no bytes", "holds no graph") { [] },
        attack("noise", "not a readable ONNX model") {
            (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        },
        attack("truncated", "not a readable ONNX model") { Array(S.valid[0].bytes.dropLast(9)) },
        attack("length beyond the file", "reaches beyond") { [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x0A] },
        attack("endless number", "not a readable ONNX model") { [UInt8](repeating: 0xFF, count: 64) },
        attack("two graphs", "more than one graph") {
            let model = S.valid[0].bytes
            return model + model
        },
        attack("tensor of 2^40 elements without data", "too large") {
            weights(S.tensor("w", [1 << 20, 1 << 20], raw: []))
        },
        attack("shape whose product overflows", "too large") {
            weights(S.tensor("w", [1 << 62, 1 << 62, 4], raw: []))
        },
        attack("shape whose product overflows in front of a 0", "too large") {
            weights(S.tensor("w", [1 << 62, 1 << 62, 0], raw: []))
        },
        attack("negative size", "negative") {
            weights(S.tensor("w", [-2, -2], raw: [UInt8](repeating: 0, count: 16)))
        },
        attack("a million axes", "too large") {
            weights(S.tensor("w", [Int](repeating: 1, count: 1 << 20), raw: [0, 0, 0, 0]))
        },
        attack("unknown element type", "element type 99") { weights(S.tensor("w", [2], type: 99, raw: [])) },
        attack("data place outside of the file", "bytes of data") {
            var tensor = ProtobufWriter()
            tensor.number(1, 4)
            tensor.number(2, 1)
            tensor.text(8, "w")
            tensor.number(1000, 1 << 60)
            tensor.number(1001, 16)
            return weights(tensor.bytes)
        },
        attack("node that reads its own result", "not defined before it") {
            S.single([2], [S.node("Add", ["x", "y"], ["y"])]).model
        },
        attack("two nodes that read each other", "not defined before it") {
            S.single([2], [S.node("Add", ["x", "b"], ["a"]), S.node("Add", ["x", "a"], ["b"])]).model
        },
        attack("value defined twice", "defined twice") {
            S.single([2], [S.node("Relu", ["x"], ["y"]), S.node("Relu", ["x"], ["y"])]).model
        },
        attack("function that calls itself", "functions within functions") {
            var sample = S.single([2], [S.node("F", ["x"], ["y"], domain: "local")])
            sample.add(
                function: S.function(
                    "F", inputs: ["a"], outputs: ["b"], nodes: [S.node("F", ["a"], ["b"], domain: "local")]))
            return sample.model
        },
        attack("functions that double thirty times", "with functions in place") {
            var sample = S.single([2], [S.node("F0", ["x"], ["y"], domain: "local")])
            for level in 0..<30 {
                let next = level == 29 ? ("Relu", "") : ("F\(level + 1)", "local")
                sample.add(
                    function: S.function(
                        "F\(level)", inputs: ["a"], outputs: ["c"],
                        nodes: [
                            S.node(next.0, ["a"], ["b"], domain: next.1), S.node(next.0, ["b"], ["c"], domain: next.1),
                        ]))
            }
            return sample.model
        },
        attack("graphs in graphs, 100000 deep", "If") {
            var graph: [UInt8] = []
            for _ in 0..<100_000 where graph.count < 1 << 22 {
                var node = ProtobufWriter()
                node.text(4, "If")
                node.bytes(5, graph)
                var outer = ProtobufWriter()
                outer.bytes(1, node.bytes)
                graph = outer.bytes
            }
            return S.single([2], [S.node("If", ["x"], ["y"], [("then_branch", .graph(graph))])]).model
        },
        attack("attribute merged with itself 200000 times", "not a readable|more than the limit|Constant") {
            var part = ProtobufWriter()
            for _ in 0..<4 { part.number(1, 1) }
            var attribute = ProtobufWriter()
            attribute.text(1, "value")
            for _ in 0..<200_000 { attribute.bytes(5, part.bytes) }
            attribute.number(20, 4)
            var node = ProtobufWriter()
            node.text(2, "y")
            node.text(4, "Constant")
            node.bytes(5, attribute.bytes)
            return S.single([2], [node.bytes]).model
        },
        attack("more nodes than allowed", "more than the limit") {
            var sample = S.single([2], [])
            for index in 0..<70_000 { sample.add(node: S.node("Relu", ["x"], ["v\(index)"])) }
            return sample.model
        },
        attack("more declarations than allowed", "more than the limit") {
            var sample = S.single([2], [S.node("Relu", ["x"], ["y"])])
            for index in 0..<270_000 { sample.add(output: "o\(index)") }
            return sample.model
        },
        attack("constant of 2^62 elements", "ConstantOfShape") {
            S.single(
                [2], [S.node("ConstantOfShape", ["s"], ["c"]), S.node("Add", ["x", "c"], ["y"])],
                [S.integers("s", [2], [1 << 31, 1 << 31])]
            ).model
        },
        attack("range of 10^18", "Range") {
            S.single(
                [2], [S.node("Range", ["a", "b", "c"], ["y"])],
                [S.integers("a", [], [0]), S.integers("b", [], [1_000_000_000_000_000_000]), S.integers("c", [], [1])]
            ).model
        },
        attack("expand beyond memory", "Expand") { node("Expand", [1, 1], [[1 << 40, 1 << 20]]) },
        attack("tile beyond memory", "Tile") { node("Tile", [2, 2], [[1 << 40, 1]]) },
        attack("pads of 10^15", "Pad") { node("Pad", [2, 2], [[0, 0, 1_000_000_000_000_000, 0]]) },
        attack("pads of the smallest integer", "Pad") { node("Pad", [2, 2], [[.min, 0, 0, .min]]) },
        attack("resize to 2^40", "Resize") {
            S.single(
                [1, 1, 4, 4], [S.node("Resize", ["x", "", "", "s"], ["y"])], [S.integers("s", [4], [1, 1, 1 << 40, 4])]
            )
            .model
        },
        attack("slice with the smallest step", "Slice") { node("Slice", [4], [[0], [4], [0], [.min]]) },
        attack("slice of another axis", "Slice") { node("Slice", [4], [[0], [4], [7]]) },
        attack("index outside", "Gather") { node("Gather", [4], [[9]]) },
        attack("negative split", "Split") { node("Split", [4], [[-4]]) },
        attack("reshape with an overflowing product", "Reshape") { node("Reshape", [4], [[1 << 62, 1 << 62]]) },
        attack("reshape with two unknowns", "Reshape") { node("Reshape", [4], [[-1, -1]]) },
        attack("permutation that is none", "Transpose") { node("Transpose", [4, 4], [], [("perm", .ints([0, 0]))]) },
        attack("stride 0", "MaxPool") {
            node("MaxPool", [1, 3, 8, 8], [], [("kernel_shape", .ints([2, 2])), ("strides", .ints([0, 0]))])
        },
        attack("kernel of 2^40", "MaxPool") {
            node("MaxPool", [1, 3, 8, 8], [], [("kernel_shape", .ints([1 << 40, 2]))])
        },
        attack("attribute of another kind", "Softmax") { node("Softmax", [4], [], [("axis", .text("x"))]) },
        attack("axis out of range", "Softmax") { node("Softmax", [4], [], [("axis", .int(.min))]) },
        attack("input of 2^40 elements", "too large") {
            S.single([1 << 20, 1 << 20], [S.node("Relu", ["x"], ["y"])]).model
        },
        attack("empty input", "empty") { S.single([0, 3], [S.node("Relu", ["x"], ["y"])]).model },
        attack("division by zero", "Div") {
            S.single([2], [S.node("Div", ["a", "b"], ["y"])], [S.integers("a", [1], [1]), S.integers("b", [1], [0])])
                .model
        },
        attack("unprintable operator", "\\u{1b}") { S.single([2], [S.node("\u{1B}[2J", ["x"], ["y"])]).model },
    ]

    @Test(arguments: attacks) func isRefused(_ attack: Attack) {
        do {
            let result = try ONNXModel(bytes: Bytes(attack.model())).imported()
            Issue.record("\(attack.testDescription) gives a graph of \(result.graph.nodes.count) nodes")
        } catch {
            let message = error.message
            #expect(
                attack.reason.split(separator: "|").contains { message.contains($0) },
                "\(attack.testDescription): \(message.prefix(300))")
            #expect(message.isPlainMessage, "not one printable line")
        }
    }

    /// What costs time for each of many equal names would cost it squared.
    @Test func manyConstantsOfOneNameAreToldApart() throws {
        var sample = ONNXSample.single([2], [])
        var last = "x"
        for index in 0..<8000 {
            sample.add(node: S.node("Constant", [], ["c\(index)"], [("value", .tensor(S.floats("same", [1], [1])))]))
            sample.add(node: S.node("Add", [last, "c\(index)"], ["v\(index)"], name: "same"))
            last = "v\(index)"
        }
        sample.add(node: S.node("Identity", [last], ["y"]))
        let graph = try ONNXModel(bytes: Bytes(sample.model)).imported().graph
        #expect(graph.nodes.count == 8000)
    }

    // MARK: External data

    /// A model whose weights lie at `location`, in a folder with a `secret` beside it.
    private func importing(
        _ location: String, offset: Int = 0, length: Int? = nil, link: (at: String, to: String)? = nil
    )
        throws -> ONNXImport
    {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("alula-onnx-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        let folder = root.appendingPathComponent("model")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("parts"), withIntermediateDirectories: true)
        let data = Data([UInt8](repeating: 0, count: 64))
        try data.write(to: root.appendingPathComponent("secret"))
        try data.write(to: folder.appendingPathComponent("weights"))
        try data.write(to: folder.appendingPathComponent("parts/weights"))
        if let link {
            try FileManager.default.createSymbolicLink(
                atPath: folder.path + "/" + link.at, withDestinationPath: link.to)
        }
        let tensor = S.external(
            "w", [4, 4], location: location.replacingOccurrences(of: "ROOT", with: root.path), offset: offset,
            length: length)
        let sample = S.single([4, 4], [S.node("Add", ["x", "w"], ["y"])], [tensor])
        try Data(sample.model).write(to: folder.appendingPathComponent("m.onnx"))
        return try ONNXModel(contentsOf: folder.path + "/m.onnx").imported()
    }

    @Test func externalDataLieInTheFolderOrBelow() throws {
        #expect(try importing("weights").graph.nodes.count == 1)
        #expect(try importing("parts/weights", length: 64).graph.nodes.count == 1)
        #expect(try importing("link", link: ("link", "parts/weights")).graph.nodes.count == 1)
    }

    @Test(arguments: [
        "../secret", "ROOT/secret", "parts/../../secret", "..\\secret", "", "/etc/passwd", "missing", "parts",
    ])
    func otherPlacesAreRefused(_ location: String) {
        #expect(throws: ONNXError.self) { try importing(location) }
    }

    @Test func linksOutOfTheFolderAreRefused() {
        #expect(throws: ONNXError.self) { try importing("link", link: ("link", "../secret")) }
        #expect(throws: ONNXError.self) { try importing("out/secret", link: ("out", "..")) }
    }

    @Test(arguments: [(1, nil), (-1, nil), (1 << 62, nil), (0, 63), (0, 1 << 62), (0, -1)] as [(Int, Int?)])
    func rangesOutsideOfTheFileAreRefused(offset: Int, length: Int?) {
        #expect(throws: ONNXError.self) { try importing("weights", offset: offset, length: length) }
    }

    /// The name is quoted where it is named, and not repeated as it is in the advice.
    @Test(arguments: [("\u{2}", "NAME="), ("x\n", "NAME="), ("pixels", "pixels=")])
    func namesOfInputsKeepMessagesPlain(_ name: String, _ advice: String) {
        let message = ONNXError.dynamicInput(name: name, shape: "[?]").message
        #expect(message.isPlainMessage && message.contains("--shape " + advice))
    }
}
