import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

/// Two f32 layers that run as one step in bands of rows, against the same layers one after the other.
@Suite struct FloatPairTests {
    private func constant(_ graph: inout Graph, _ shape: Shape, _ random: inout RandomNumbers) -> ValueID {
        let values = random.floats(shape.elementCount, in: -0.2...0.2)
        return graph.addConstant("c\(graph.values.count)", TensorType(.f32, shape), TensorData(elements: values))
    }

    private func mlp(rows: Int, width: Int, hidden: Int) throws -> Graph {
        var random = RandomNumbers(seed: 7)
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.f32, [rows, width]))
        let first = [x, constant(&graph, [hidden, width], &random), constant(&graph, [hidden], &random)]
        let between = try graph.add(.linear(Linear(activation: .gelu)), first)
        let second = [between, constant(&graph, [width, hidden], &random), constant(&graph, [width], &random)]
        graph.setOutputs([
            try graph.add(.binary(Binary(.add)), [try graph.add(.linear(Linear()), second), x])
        ])
        return graph
    }

    private func convolutions(size: Int, depthwise: Bool) throws -> Graph {
        var random = RandomNumbers(seed: 8)
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.f32, [1, size, size, 3]))
        var first = Conv2D(padding: Padding(1), activation: .relu)
        first.stride = Pair(2)
        let between = try graph.add(
            .conv2D(first), [x, constant(&graph, [24, 3, 3, 3], &random), constant(&graph, [24], &random)])
        var second = Conv2D(padding: Padding(1))
        if depthwise { second.groups = 24 }
        let weight: Shape = depthwise ? [24, 3, 3, 1] : [40, 3, 3, 24]
        graph.setOutputs([try graph.add(.conv2D(second), [between, constant(&graph, weight, &random)])])
        return graph
    }

    private func output(_ graph: Graph, _ options: SessionOptions) throws -> [UInt8] {
        let session = try Session(graph, options: options)
        var random = RandomNumbers(seed: 5)
        let values = random.floats(session.inputType(0).shape.elementCount, in: -2...2)
        try session.setInput(0, bytes: values.withUnsafeBytes { Array($0) })
        session.run()
        return session.output(0)
    }

    private func expectOneStep(_ graph: Graph, named name: String, hidden: Int) throws {
        let expected = try output(graph, SessionOptions(instructionSet: .scalar, keepsAllValues: true))
        let apart = try Session(graph, options: SessionOptions(keepsAllValues: true)).memory.arena
        let together = try Session(graph)
        #expect(together.steps.filter { $0.operatorName == name }.count == 1)
        // What lies between the layers, in f32, is not among it.
        #expect(together.memory.arena <= apart - 4 * hidden)
        for set in InstructionSet.available {
            for threads in 1...3 {
                let options = SessionOptions(threads: threads, instructionSet: set)
                #expect(try output(graph, options) == expected, "\(set.name), \(threads) threads")
            }
        }
    }

    @Test(arguments: [(200, 48, 192), (333, 20, 900)]) func mlpsGiveTheBytesOfTheLayersOneByOne(
        rows: Int, width: Int, hidden: Int
    ) throws {
        try expectOneStep(try mlp(rows: rows, width: width, hidden: hidden), named: "mlp", hidden: rows * hidden)
    }

    @Test(arguments: [false, true]) func convolutionsGiveTheBytesOfTheLayersOneByOne(depthwise: Bool) throws {
        try expectOneStep(try convolutions(size: 160, depthwise: depthwise), named: "conv_pair", hidden: 80 * 80 * 24)
    }
}
