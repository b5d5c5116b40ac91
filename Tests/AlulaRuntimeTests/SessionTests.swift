import AllocationCounter
import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

@Suite struct SessionTests {
    /// A block with convolution, attention, normalization and copies.
    private static let block = FloatCase.combinations.first { $0.name == "transformer block" }!

    private func session(_ test: FloatCase = block, _ options: SessionOptions = SessionOptions()) throws -> Session {
        let session = try Session(test.graph, options: options)
        for (index, input) in test.inputs.enumerated() { try session.setInput(index, floats: input) }
        return session
    }

    // MARK: Memory

    @Test func runsAllocateNothing() throws {
        try #require(allocation_counter_works(), "the allocation counter needs glibc and no sanitizer")
        for threads in 1...2 {
            for test in FloatCase.all {
                let session = try session(test, SessionOptions(threads: threads))
                var profile = session.makeProfile()
                session.run(profile: &profile)
                let before = allocation_count_of_this_thread()
                session.run()
                session.run(profile: &profile)
                #expect(allocation_count_of_this_thread() == before, "\(test.name), \(threads) threads")
            }
        }
        #expect(allocation_count_of_pool_threads() == 0)
    }

    /// Without this the test above could not fail.
    @Test func theAllocationCounterCounts() throws {
        try #require(allocation_counter_works(), "the allocation counter needs glibc and no sanitizer")
        let before = allocation_count_of_this_thread()
        let array = [UInt8](repeating: 1, count: Int.random(in: 5000...6000))
        #expect(array[0] == 1)
        #expect(allocation_count_of_this_thread() > before)
    }

    @Test func memoryLimitIsExact() throws {
        let needed = try session().memory.total
        _ = try session(Self.block, SessionOptions(memoryLimit: needed))
        #expect(throws: RuntimeError.memoryLimit(needed: needed, limit: needed - 1)) {
            try session(Self.block, SessionOptions(memoryLimit: needed - 1))
        }
    }

    @Test func packedWeightsAreNotCopied() throws {
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.f32, [4, 32]))
        let geometry = WeightGeometry([64, 32])
        let data = TensorData(elements: [Float](repeating: 1, count: 64 * 32))
        let weight = graph.addConstant("w", TensorType(.f32, [64, 32]), layout: geometry.packedLayout(.f32), data)
        graph.setOutputs([try graph.add(.linear(Linear()), [x, weight])])
        let session = try Session(graph)
        #expect(session.memory.weights == 64 * 32 * 4)
        #expect(session.memory.heap < 2048)
    }

    @Test func elementwiseChainsWorkInPlace() throws {
        var graph = Graph()
        var x = graph.addInput("x", TensorType(.f32, [1024]))
        for function in [UnaryFunction.exp, .negate, .sigmoid, .tanh] { x = try graph.add(.unary(Unary(function)), [x]) }
        graph.setOutputs([x])
        #expect(try Session(graph).memory.arena == 4096)
        #expect(try Session(graph, options: SessionOptions(keepsAllValues: true)).memory.arena == 5 * 4096)
    }

    @Test func viewsNeedNoStep() throws {
        let test = FloatCase.all.first { $0.name == "transpose of size 1" }!
        #expect(try session(test).steps.map(\.operatorName) == ["output"])
    }

    // MARK: Running

    @Test func aSecondRunGivesTheSame() throws {
        for test in FloatCase.combinations {
            let session = try session(test)
            session.run()
            let first = (0..<session.outputCount).map { session.output($0) }
            for (index, input) in test.inputs.enumerated() { try session.setInput(index, floats: input) }
            session.run()
            #expect((0..<session.outputCount).map { session.output($0) } == first)
        }
    }

    @Test func manyThreadsOnFewCoresFinish() throws {
        let session = try session(Self.block, SessionOptions(threads: 7))
        let expected = try self.session()
        expected.run()
        for _ in 0..<50 {
            for (index, input) in Self.block.inputs.enumerated() { try session.setInput(index, floats: input) }
            session.run()
            #expect(session.output(0) == expected.output(0))
        }
    }

    @Test func stepsAccountForTheGraphsWork() throws {
        let session = try session()
        #expect(session.steps.reduce(0) { $0 + $1.macs } == Self.block.graph.macs)
        #expect(session.steps.map(\.operatorName) == ["layer_norm", "linear", "attention", "linear", "linear", "linear", "mean"])
    }

    @Test func profilesAddUpRuns() throws {
        let session = try session()
        var profile = session.makeProfile()
        for _ in 0..<3 { session.run(profile: &profile) }
        #expect(profile.runs == 3)
        #expect(profile.nanoseconds.count == session.steps.count)
        #expect(profile.nanoseconds.allSatisfy { $0 < 60_000_000_000 })
    }

    // MARK: Refusals

    @Test func threadsMustBePossible() {
        #expect(throws: RuntimeError.invalidThreads(count: -1, limit: 64)) { try session(Self.block, SessionOptions(threads: -1)) }
        #expect(throws: RuntimeError.invalidThreads(count: 65, limit: 64)) { try session(Self.block, SessionOptions(threads: 65)) }
    }

    @Test func missingInstructionSetsAreNamed() {
        for set in InstructionSet.allCases where !set.isAvailable {
            #expect(throws: RuntimeError.instructionSetUnavailable(name: set.name)) {
                try session(Self.block, SessionOptions(instructionSet: set))
            }
        }
    }

    @Test func inputsOfAnotherSizeAreRefused() throws {
        let session = try session()
        #expect(throws: RuntimeError.wrongSize(name: "x0", expected: 864, given: 3)) { try session.setInput(0, floats: [1, 2, 3]) }
        #expect(throws: RuntimeError.wrongSize(name: "x0", expected: 864, given: 1)) { try session.setInput(0, bytes: [0, 0, 0, 0]) }
    }

    @Test func gatherIndicesMustExist() throws {
        for index: Int32 in [-1, 3, .max] {
            var graph = Graph()
            let x = graph.addInput("x", TensorType(.f32, [3, 2]))
            let indices = graph.addConstant("i", TensorType(.i32, [2]), TensorData(elements: [0, index]))
            graph.setOutputs([try graph.add(.gather(Gather(axis: 0)), [x, indices])])
            #expect(throws: RuntimeError.invalidConstant(name: "i", problem: "index \(index) is outside of axis 0 of [3,2]")) {
                try Session(graph)
            }
        }
    }

    @Test func unsupportedCombinationsNameTheNode() throws {
        var graph = Graph()
        let x = graph.addInput("x", TensorType(.u8, [8], Quantization(scale: 1, zeroPoint: 0)))
        graph.setOutputs(graph.addNode(.unary(Unary(.gelu)), [x], types: [TensorType(.u8, [8], Quantization(scale: 1, zeroPoint: 0))], names: ["y"]))
        #expect(throws: RuntimeError.unsupported(operator: "gelu", value: "y", problem: "int8 needs a table")) { try Session(graph) }
    }
}
