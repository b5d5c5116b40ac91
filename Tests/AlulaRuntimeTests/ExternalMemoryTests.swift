import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

/// Inputs and outputs in memory of the caller's, and layers whose weights are not constant.
@Suite struct ExternalMemoryTests {
    private func floats(_ memory: Memory) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(
            start: memory.start.assumingMemoryBound(to: Float.self), count: memory.count / MemoryLayout<Float>.stride)
    }

    @Test func inputsAreReadAndOutputsWrittenInPlace() throws {
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.f32, [2, 8]))
        let relu = try graph.add(.unary(Unary(.relu)), [x])
        // A view that is an output, and one whose operand is needed elsewhere as well.
        let view = try graph.add(.reshape(Reshape([16])), [relu])
        let sum = try graph.add(.binary(Binary(.add)), [x, x])
        let other = try graph.add(.reshape(Reshape([4, 4])), [sum])
        let last = try graph.add(.unary(Unary(.negate)), [sum])
        graph.setOutputs([view, other, last, x])
        let memory = try (0..<3).map { _ in try Memory(count: 64) }
        let session = try Session(
            graph, options: SessionOptions(threads: 2),
            external: zip([x, view, other], memory).map { ExternalValue(id: $0, address: $1.start) })
        for run in 0..<3 {
            let numbers = (0..<16).map { Float($0 - 5 + run) }
            for (index, number) in numbers.enumerated() { floats(memory[0])[index] = number }
            session.run()
            #expect(Array(floats(memory[0])) == numbers, "an external input stays")
            #expect(Array(floats(memory[1])) == numbers.map { max($0, 0) })
            #expect(Array(floats(memory[2])) == numbers.map { 2 * $0 })
            #expect(try session.outputFloats(2) == numbers.map { -2 * $0 })
            #expect(try session.outputFloats(3) == numbers)
            #expect(try session.outputFloats(0) == Array(floats(memory[1])))
        }
    }

    /// The same layer with constant weights, and with weights that are fed.
    @Test(arguments: [
        ([2, 5, 6, 8], [20, 3, 3, 8], 1), ([1, 5, 6, 12], [18, 1, 3, 4], 3), ([2, 5, 6, 19], [19, 3, 3, 1], 19),
    ]) func weightsMayChangeFromRunToRun(_ x: [Int], _ weight: [Int], _ groups: Int) throws {
        var random = RandomNumbers(seed: 5)
        let op = Operator.conv2D(Conv2D(stride: Pair(2, 1), padding: Padding(1), groups: groups, activation: .gelu))
        let (count, biasCount) = (Shape(weight).elementCount, weight[0])
        var fed = Graph()
        let ids = [("x", x), ("w", weight), ("b", [biasCount])].map { fed.addInput($0, TensorType(.f32, Shape($1))) }
        fed.setOutputs([try fed.add(op, ids)])
        let session = try Session(fed, options: SessionOptions(threads: 2))
        for _ in 0..<2 {
            let (image, weights) = (random.floats(Shape(x).elementCount), random.floats(count))
            let biases = random.floats(biasCount)
            var graph = Graph()
            let input = graph.addInput("x", TensorType(.f32, Shape(x)))
            let constants = [("w", weight, weights), ("b", [biasCount], biases)].map {
                graph.addConstant($0, TensorType(.f32, Shape($1)), TensorData(elements: $2))
            }
            graph.setOutputs([try graph.add(op, [input] + constants)])
            for (index, numbers) in [image, weights, biases].enumerated() {
                try session.setInput(index, floats: numbers)
            }
            session.run()
            let single = try Session(graph)
            try single.setInput(0, floats: image)
            single.run()
            #expect(try session.outputFloats(0).map(\.bitPattern) == single.outputFloats(0).map(\.bitPattern))
        }
    }
}
