import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import AlulaTraining
import TestSupport
import Testing

@Suite struct QuantizationAwareTests {
    private func prepared() throws -> (folded: Graph, aware: QuantizationAwareGraph) {
        let folded = try Pass.run(Pass.folding, on: sampleNetwork())
        var calibration = try Calibration(folded, method: .minMax)
        for seed in 0..<8 { try calibration.observe([Batch(1, seed: UInt64(seed)).images]) }
        return (folded, try QuantizationAwareGraph(folded, calibration))
    }

    private func session(_ aware: QuantizationAwareGraph, batch: Int) throws -> TrainingSession {
        var options = TrainingOptions()
        options.batchSize = batch
        aware.prepare(&options)
        return try TrainingSession(aware.graph, options: options)
    }

    /// Every u8 value of the int8 graph against the value of the same name that was rounded to the same numbers: after training, for several inputs.
    @Test func theInt8GraphComputesWhatTrainingDid() throws {
        let (_, aware) = try prepared()
        let training = try session(aware, batch: 8)
        var losses: [Float] = []
        for _ in 0..<10 {
            try Batch(8).give(to: training)
            try training.run()
            losses.append(training.loss)
            for index in training.values.indices { training.values[index] -= 0.05 * training.gradients[index] }
        }
        #expect(losses.last! < losses[0])

        let trained = training.trainedGraph()
        let int8 = try aware.quantized(trained)
        let (rounded, quantized) = (
            try Session(trained, options: SessionOptions(keepsAllValues: true)),
            try Session(int8, options: SessionOptions(keepsAllValues: true))
        )
        // The bytes in front of each dequantize, by the name of what was rounded.
        var twins: [(ValueID, ValueID)] = []
        for node in trained.nodes {
            guard case .quantize = node.op else { continue }
            let name = trained[node.inputs[0]].name
            let twin = int8.values.indices.first {
                int8.values[$0].name == name && int8.values[$0].constant == nil
                    && int8.values[$0].type == trained.type(node.outputs[0])
            }
            if let twin { twins.append((node.outputs[0], ValueID(twin))) }
        }
        #expect(twins.count >= 5)
        var (equal, all) = (0, 0)
        for seed in 20..<30 {
            let input = Batch(1, seed: UInt64(seed)).images
            try rounded.setInput(0, floats: input)
            try quantized.setInput(0, floats: input)
            rounded.run()
            quantized.run()
            for (own, other) in twins {
                let a = try #require(rounded.withValue(own) { Array($0) })
                let b = try #require(quantized.withValue(other) { Array($0) })
                let steps = zip(a, b).map { abs(Int($0) - Int($1)) }
                #expect(steps.max()! <= 1, "\(int8[other].name)")
                equal += steps.filter { $0 == 0 }.count
                all += steps.count
            }
        }
        #expect(equal * 100 >= all * 98, "\(equal) of \(all) are equal")
    }

    /// Straight through: the gradient is that of the float graph as far as nothing is clipped, for a rounding that is fine.
    @Test func gradientsPassRounding() throws {
        let (folded, aware) = try prepared()
        let own = try session(aware, batch: 4)
        var options = TrainingOptions()
        options.batchSize = 4
        let float = try TrainingSession(folded, options: options)
        for session in [own, float] {
            try Batch(4, seed: 3).give(to: session)
            try session.run()
        }
        // Scales of branches become u8 constants, whose numbers stay.
        #expect(own.parameters.count == float.parameters.filter { !$0.name.hasSuffix("scale") }.count)
        for parameter in own.parameters {
            let twin = try #require(float.parameters.first { $0.name == parameter.name })
            let (a, b) = (Array(own.gradients[parameter.range]), Array(float.gradients[twin.range]))
            #expect(relativeDifference(a, b) <= 0.15, "\(parameter.name)")
            #expect(a.contains { $0 != 0 })
        }
    }
}
