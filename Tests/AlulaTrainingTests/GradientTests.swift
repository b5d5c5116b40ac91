import AlulaGraph
import AlulaRuntime
import AlulaTraining
import Foundation
import TestSupport
import Testing

/// A case with a loss, its backward part, and what they give in f64.
struct DifferentiatedCase {
    let forward: Graph
    let training: Graph
    let gradientCount: Int

    init(_ test: GradientCase) throws {
        var graph = test.graph
        var random = RandomNumbers(seed: 5)
        // Σ y · r with random r: every element of every result matters by itself.
        var loss = ValueID.none
        for y in graph.outputs {
            let shape = graph.shape(y)
            let weights = graph.addConstant(
                "r\(graph.values.count)", TensorType(.f32, shape),
                TensorData(elements: random.floats(shape.elementCount)))
            let product = try graph.add(.binary(Binary(.mul)), [y, weights])
            let flat = try graph.add(.reshape(Reshape([shape.elementCount])), [product])
            let sum = try graph.add(.reduce(Reduce(.sum, axes: [0], keepsAxes: true)), [flat])
            loss = loss.isNone ? sum : try graph.add(.binary(Binary(.add)), [loss, sum])
        }
        let parameters = test.parameters.map { graph.inputs[$0] }
        let result = try GradientEmitter.differentiate(graph, loss: loss, parameters: parameters)
        graph.setOutputs([loss])
        forward = graph
        var training = result.graph
        let gradients = result.gradients.compactMap { $0 }
        gradientCount = gradients.count
        training.setOutputs([loss] + gradients)
        try training.verify()
        self.training = training
    }
}

@Suite struct GradientTests {
    /// Functions that are flat or kinked have gradients too, but not for central differences across the step.
    @Test(arguments: GradientCase.all) func agreesWithCentralDifferences(test: GradientCase) throws {
        let own = try DifferentiatedCase(test)
        let inputs = test.inputs.map { $0.map { Double($0) } }
        let outputs = Reference(own.training, inputs: inputs).outputs
        let isFlat = ["floor", "ceil", "round", "sign"].contains { test.name == "unary " + $0 }
        guard !isFlat else {
            #expect(own.gradientCount == 0)
            return
        }
        try #require(outputs.count == test.parameters.count + (test.name == "select" ? 0 : 1))
        // select's condition is flat.
        let checked = test.name == "select" ? [1, 2] : test.parameters
        for (position, input) in checked.enumerated() {
            let gradient = outputs[1 + position].values
            var (worst, largest) = (0.0, 1e-3)
            for element in inputs[input].indices {
                let loss = { (change: Double) -> Double in
                    var moved = inputs
                    moved[input][element] += change
                    return Reference(own.forward, inputs: moved).outputs[0].values[0]
                }
                let h = 1e-4
                // Fourth order: the error of second order is not below 1e-6 for steep functions.
                let difference = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
                worst = max(worst, abs(difference - gradient[element]))
                largest = max(largest, abs(gradient[element]))
            }
            #expect(worst <= 1e-6 * largest, "input \(input): \(worst) of \(largest)")
        }
    }

    static func outputs(_ test: GradientCase, _ graph: Graph, _ options: SessionOptions) throws -> [[Float]] {
        let session = try Session(graph, options: options)
        for (index, input) in test.inputs.enumerated() { try session.setInput(index, floats: input) }
        session.run()
        return try (0..<session.outputCount).map { try session.outputFloats($0) }
    }

    @Test(arguments: GradientCase.all) func kernelsAgreeWithTheDefinition(test: GradientCase) throws {
        let own = try DifferentiatedCase(test)
        let expected = Reference(own.training, inputs: test.inputs).outputs
        for (index, output) in try Self.outputs(test, own.training, SessionOptions()).enumerated() {
            let largest = expected[index].values.reduce(1) { max($0, abs($1)) }
            let worst = zip(output, expected[index].values).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
            #expect(
                output.count == expected[index].values.count && worst <= 3e-5 * largest, "output \(index): \(worst)")
        }
    }

    @Test(arguments: GradientCase.all) func instructionSetsAndThreadsGiveTheSameBytes(test: GradientCase) throws {
        let own = try DifferentiatedCase(test)
        let expected = try Self.outputs(test, own.training, SessionOptions(instructionSet: .scalar))
            .map { $0.map(\.bitPattern) }
        for set in InstructionSet.available {
            for threads in 1...3 {
                let options = SessionOptions(threads: threads, instructionSet: set)
                let outputs = try Self.outputs(test, own.training, options)
                #expect(outputs.map { $0.map(\.bitPattern) } == expected, "\(set.name), \(threads) threads")
            }
        }
    }

    /// Batch norms subtract the mean, so what a bias adds in front of them changes nothing: its gradient is left out, not computed as noise.
    @Test func biasesInFrontOfBatchNormsHaveNone() throws {
        let test = GradientCase("bias", [[2, 3, 3, 4], [5, 1, 1, 4], [5], [5], [5]]) { graph, ids in
            let x = try graph.add(.conv2D(Conv2D()), [ids[0], ids[1], ids[2]])
            let statistics = try graph.addAll(.batchStatistics(BatchStatistics()), [x])
            return [try graph.add(.batchNorm(BatchNorm(activation: .gelu)), [x, ids[3], ids[4]] + statistics)]
        }
        let own = try DifferentiatedCase(test)
        #expect(own.gradientCount == 4)
        var inputs = test.inputs.map { $0.map { Double($0) } }
        let loss = Reference(own.forward, inputs: inputs).outputs[0].values[0]
        inputs[2][1] += 0.5
        #expect(abs(Reference(own.forward, inputs: inputs).outputs[0].values[0] - loss) <= 1e-9)
    }

    @Test func whatHasNoGradientSaysWhy() throws {
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.f32, [4]))
        let best = try graph.addAll(.topK(TopK(count: 1, axis: 0)), [x])
        let error = #expect(throws: TrainingError.self) {
            try GradientEmitter.differentiate(graph, loss: best[0], parameters: [x])
        }
        #expect(error?.message.contains("top_k") == true)
    }
}
