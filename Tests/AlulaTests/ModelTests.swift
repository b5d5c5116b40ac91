import Alula
import AlulaGraph
import Foundation
import Testing

@Suite struct ModelTests {
    private let path = FileManager.default.temporaryDirectory.appendingPathComponent("model-\(UUID().uuidString).alula")

    /// A model that passes positive numbers through.
    private func model(labels: String? = #"["wren","robin","avocet"]"#) throws -> Model {
        let graph = try Graph(text: "alula 1\ninput %x : f32[1,3]\n%y = relu(%x) : f32[1,3]\noutput %y : f32[1,3]\n")
        var file = ModelFile(graph: graph)
        file.metadata[ModelFile.Key.labels] = labels
        try file.write(to: path.path)
        defer { try? FileManager.default.removeItem(at: path) }
        return try Model(contentsOf: path)
    }

    @Test func predictsAndNamesTheBest() throws {
        let prediction = try model().predict(Tensor(shape: [1, 3], values: [-1, 2, 1]))
        #expect(prediction["y"]?.values == [0, 2, 1])
        let top = prediction.top(2)
        #expect(top.map(\.label) == ["robin", "avocet"])
        #expect(top[0].score > top[1].score)
        #expect(abs(prediction.top(3).map(\.score).reduce(0, +) - 1) < 1e-6)
    }

    @Test func describesItself() throws {
        let model = try model()
        #expect(model.inputs.map(\.name) == ["x"] && model.inputs[0].shape == [1, 3] && !model.inputs[0].isQuantized)
        #expect(model.outputs.map(\.name) == ["y"])
        #expect(model.labels == ["wren", "robin", "avocet"])
    }

    @Test func theLeadingOneMayBeLeftOut() throws {
        #expect(try model().predict(Tensor(shape: [3], values: [1, 2, 3])).outputs[0].tensor.values == [1, 2, 3])
    }

    @Test func wrongTensorsAreRefused() throws {
        let model = try model()
        #expect(throws: AlulaError.inputShape(name: "x", expected: [1, 3], given: [4], values: 4)) {
            try model.predict(Tensor(shape: [4], values: [1, 2, 3, 4]))
        }
        #expect(throws: AlulaError.inputShape(name: "x", expected: [1, 3], given: [1, 3], values: 1)) {
            try model.predict(Tensor(shape: [1, 3], values: [1]))
        }
        #expect(throws: AlulaError.inputCount(expected: 1, given: 0)) { try model.predict([]) }
    }

    @Test func brokenLabelsAreRefused() throws {
        #expect(throws: AlulaError.self) { try model(labels: "wren") }
    }

    @Test func aMissingFileIsNamed() throws {
        #expect(throws: AlulaError.self) { try Model(path: "/no/such/model.alula") }
        let error = #expect(throws: AlulaError.self) { try Model(path: "/no/such/model.alula") }
        #expect(error?.message.hasPrefix("/no/such/model.alula: ") == true)
    }

    @Test func severalThreadsShareOneModel() async throws {
        let model = try model()
        let results = try await withThrowingTaskGroup(of: (Float, [Float]).self) { group in
            for index in 0..<64 {
                group.addTask {
                    let value = Float(index)
                    let prediction = try model.predict(Tensor(shape: [1, 3], values: [value, -value, value + 1]))
                    return (value, prediction.outputs[0].tensor.values)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.count == 64)
        for (value, found) in results { #expect(found == [value, 0, value + 1]) }
    }
}
