import AlulaGraph
import AlulaRuntime
import AlulaTraining
import MSWTransformer
import TestSupport
import Testing

@Suite struct BatchingTests {
    /// Each sample of a batch gives what it gives alone.
    private func check(_ graph: Graph, count: Int) throws {
        var random = RandomNumbers(seed: 4)
        let size = graph.shape(graph.inputs[0]).elementCount
        let inputs = (0..<count).map { _ in random.floats(size) }
        let session = try Session(graph.batched(count))
        try session.setInput(0, floats: inputs.flatMap { $0 })
        session.run()
        let all = try session.outputFloats(0)
        let single = try Session(graph)
        for (sample, input) in inputs.enumerated() {
            try single.setInput(0, floats: input)
            single.run()
            let expected = try single.outputFloats(0)
            let own = Array(all[sample * expected.count..<(sample + 1) * expected.count])
            #expect(relativeDifference(own, expected) <= 1e-6, "sample \(sample)")
        }
    }

    private func graph(_ shape: Shape, _ build: (inout Graph, ValueID) throws -> ValueID) throws -> Graph {
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.f32, shape))
        graph.setOutputs([try build(&graph, x)])
        return graph
    }

    private func constant(_ graph: inout Graph, _ shape: Shape) -> ValueID {
        var random = RandomNumbers(seed: UInt64(graph.values.count))
        return graph.addConstant(
            "c\(graph.values.count)", TensorType(.f32, shape),
            TensorData(elements: random.floats(shape.elementCount)))
    }

    @Test func aWholeModel() throws {
        var configuration = MSWTransformerConfiguration()
        (configuration.leads, configuration.length, configuration.patch) = (3, 118, 5)
        (configuration.dim, configuration.heads, configuration.windows) = (16, 2, [5, 7])
        try check(MSWTransformer.build(configuration, SharedFixtures.own("msw_model")).graph, count: 3)
    }

    @Test func imageLayers() throws { try check(sampleNetwork(), count: 4) }

    /// As exporters write attention: reshaped, transposed, split, with a table for windows.
    @Test func attentionWrittenOut() throws {
        try check(
            graph([1, 6, 12]) { graph, x in
                let packed = try graph.add(.reshape(Reshape([1, 6, 3, 2, 2])), [x])
                let moved = try graph.add(.transpose(Transpose([2, 0, 3, 1, 4])), [packed])
                let parts = try graph.addAll(.split(Split(axis: 0, sizes: [1, 1, 1])), [moved])
                let q = try graph.add(.reshape(Reshape([1, 2, 6, 2])), [parts[0]])
                let k = try graph.add(.reshape(Reshape([1, 2, 6, 2])), [parts[1]])
                let scores = try graph.add(.matmul(MatMul(transposeB: true)), [q, k])
                let biased = try graph.add(.binary(Binary(.add)), [scores, constant(&graph, [1, 2, 6, 6])])
                let weights = try graph.add(.softmax(Softmax(axis: 3)), [biased])
                let v = try graph.add(.reshape(Reshape([1, 2, 6, 2])), [parts[2]])
                return try graph.add(.matmul(MatMul()), [weights, v])
            }, count: 3)
    }

    @Test func windowsWithTheirOwnTables() throws {
        try check(
            graph([1, 6, 4]) { graph, x in
                let windows = try graph.add(.reshape(Reshape([3, 2, 4])), [x])
                let sum = try graph.add(.binary(Binary(.add)), [windows, constant(&graph, [3, 2, 1])])
                return try graph.add(.reshape(Reshape([1, 6, 4])), [sum])
            }, count: 2)
    }

    @Test func classTokensAreRepeated() throws {
        try check(
            graph([1, 3, 4]) { graph, x in
                try graph.add(.concat(Concat(axis: 1)), [constant(&graph, [1, 1, 4]), x])
            }, count: 3)
    }

    @Test func whatMixesSamplesIsRefused() throws {
        let mixing = try graph([1, 4]) { graph, x in try graph.add(.reduce(Reduce(.sum, axes: [0])), [x]) }
        let error = #expect(throws: TrainingError.self) { try mixing.batched(2) }
        #expect(error?.message.contains("reduces the axis of the samples") == true)
        let wide = try graph([2, 4]) { graph, x in try graph.add(.unary(Unary(.relu)), [x]) }
        #expect(throws: TrainingError.self) { try wide.batched(2) }
    }
}
