import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import EdgeViT
import TestSupport
import Testing

/// int8 on drawn weights: nothing but the spreading stays f32, the result is near, and the same everywhere.
@Suite struct QuantizedTests {
    @Test func int8IsNearAndTheSameOnEveryInstructionSet() throws {
        let configuration = small()
        let graph = try EdgeViT.build(configuration, EdgeViT.checkpoint(configuration, .sample, seed: 4)).graph
        let float = try Pass.run(Pass.folding, on: graph)
        var calibration = try Calibration(float, method: .minMax)
        for seed in 0..<8 { try calibration.observe([picture(configuration, seed: seed)]) }
        let int8 = try Pass.run([Pass.pack], on: Quantizer.quantize(float, calibration))
        for kind in ["batch_norm", "= mul(", "= softmax("] { #expect(!int8.text.contains(kind), "\(kind)") }

        let input = picture(configuration, seed: 3)
        let expected = try #require(try run(float, input)["logits"])
        let logits = try #require(try run(int8, input)["logits"])
        let noise = zip(logits, expected).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        let power = expected.reduce(0) { $0 + Double($1 * $1) }
        // Eight random channels, four blocks in a row: nothing averages the rounding out.
        #expect(power / noise > 20, "at least 13 dB: \(logits) against \(expected)")
        for instructionSet in InstructionSet.allCases where instructionSet.isAvailable {
            for threads in [1, 2, 3] {
                let options = SessionOptions(threads: threads, instructionSet: instructionSet)
                #expect(try run(int8, input, options)["logits"] == logits, "\(instructionSet), \(threads) threads")
            }
        }
    }
}
