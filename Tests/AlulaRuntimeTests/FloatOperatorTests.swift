import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

@Suite struct FloatOperatorTests {
    static func outputs(_ test: FloatCase, _ options: SessionOptions = SessionOptions()) throws -> [[Float]] {
        let session = try Session(test.graph, options: options)
        for (index, input) in test.inputs.enumerated() { try session.setInput(index, floats: input) }
        session.run()
        return try (0..<session.outputCount).map { try session.outputFloats($0) }
    }

    @Test(arguments: FloatCase.all) func agreesWithTheDefinition(test: FloatCase) throws {
        let reference = Reference(test.graph, inputs: test.inputs)
        for (index, output) in try Self.outputs(test).enumerated() {
            let expected = reference.outputs[index].values
            #expect(output.count == expected.count)
            let largest = expected.reduce(1) { max($0, abs($1)) }
            for (position, value) in output.enumerated() where !(abs(Double(value) - expected[position]) <= 2e-5 * largest) {
                Issue.record("output \(index) at \(position): \(value), not \(expected[position])")
                break
            }
        }
    }

    @Test(arguments: FloatCase.all) func instructionSetsAndThreadsGiveTheSameBytes(test: FloatCase) throws {
        let expected = try Self.outputs(test, SessionOptions(instructionSet: .scalar)).map { $0.map(\.bitPattern) }
        for set in InstructionSet.available {
            for threads in 1...3 {
                let outputs = try Self.outputs(test, SessionOptions(threads: threads, instructionSet: set))
                #expect(outputs.map { $0.map(\.bitPattern) } == expected, "\(set.name), \(threads) threads")
            }
        }
    }

    @Test(arguments: FloatCase.all) func keepingAllValuesChangesNothing(test: FloatCase) throws {
        let reference = Reference(test.graph, inputs: test.inputs)
        let session = try Session(test.graph, options: SessionOptions(keepsAllValues: true))
        for (index, input) in test.inputs.enumerated() { try session.setInput(index, floats: input) }
        session.run()
        #expect(try (0..<session.outputCount).map { try session.outputFloats($0) } == Self.outputs(test))
        for node in test.graph.nodes {
            for id in node.outputs {
                let expected = reference[id].values
                let largest = expected.reduce(1) { max($0, abs($1)) }
                let values = try #require(try session.valueFloats(id))
                #expect(zip(values, expected).allSatisfy { abs(Double($0) - $1) <= 2e-5 * largest })
            }
        }
    }
}
