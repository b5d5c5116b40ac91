import AlulaGraph
import AlulaRuntime
import AlulaTraining
import TestSupport
import Testing

/// A small network with everything that training treats in a special way: batch norms, residual branches, a head.
func sampleNetwork(classes: Int = 5, seed: UInt64 = 1) throws -> Graph {
    var random = RandomNumbers(seed: seed)
    var graph = Graph()
    let constant = { (graph: inout Graph, name: String, shape: Shape, range: ClosedRange<Float>) in
        graph.addConstant(
            name, TensorType(.f32, shape), TensorData(elements: random.floats(shape.elementCount, in: range)))
    }
    let norm = { (graph: inout Graph, x: ValueID, name: String) throws -> ValueID in
        let c = Shape([graph.shape(x).last])
        let operands = [
            constant(&graph, name + ".weight", c, 0.5...1.5), constant(&graph, name + ".bias", c, -0.5...0.5),
            constant(&graph, name + ".mean", c, -0.1...0.1), constant(&graph, name + ".variance", c, 0.5...1.5),
        ]
        return try graph.add(.batchNorm(BatchNorm()), [x] + operands)
    }
    let image = graph.addInput("image", TensorType(.f32, [1, 6, 6, 3]))
    let stem = [
        constant(&graph, "stem.weight", [8, 3, 3, 3], -0.3...0.3), constant(&graph, "stem.bias", [8], -0.1...0.1),
    ]
    var x = try graph.add(.conv2D(Conv2D(stride: Pair(2), padding: Padding(1))), [image] + stem)
    x = try graph.add(.unary(Unary(.gelu)), [norm(&graph, x, "stem.norm")])
    for block in 0..<3 {
        let name = "blocks.\(block)"
        let weight = constant(&graph, name + ".weight", [8, 1, 1, 8], -0.4...0.4)
        let hidden = try norm(&graph, graph.add(.conv2D(Conv2D()), [x, weight]), name + ".norm")
        let scale = constant(&graph, name + ".scale", [8], 0.5...1)
        let branch = try graph.add(.binary(Binary(.mul)), [graph.add(.unary(Unary(.relu)), [hidden]), scale])
        x = try graph.add(.binary(Binary(.add)), [x, branch])
    }
    let pooled = try graph.add(.reduce(Reduce(.mean, axes: [1, 2])), [x])
    let head = [
        constant(&graph, "head.weight", [classes, 8], -0.5...0.5), constant(&graph, "head.bias", [classes], -0.1...0.1),
    ]
    graph.setOutputs([try graph.add(.linear(Linear()), [pooled] + head, name: "logits")])
    return graph
}

struct Batch {
    var images: [Float]
    var classes: [Int]

    init(_ count: Int, seed: UInt64 = 9, classes: Int = 5) {
        var random = RandomNumbers(seed: seed)
        images = random.floats(count * 6 * 6 * 3)
        self.classes = (0..<count).map { _ in Int.random(in: 0..<classes, using: &random) }
    }

    func give(to session: TrainingSession) throws {
        try session.setInput(0, images)
        try session.setTargets(classes: classes, smoothing: 0.1)
    }
}

@Suite struct TrainingSessionTests {
    private func options(_ batch: Int, _ change: (inout TrainingOptions) -> Void = { _ in }) -> TrainingOptions {
        var options = TrainingOptions()
        options.batchSize = batch
        change(&options)
        return options
    }

    /// A few steps of gradient descent; losses and all parameters at the end.
    private func train(_ session: TrainingSession, steps: Int, batch: Batch) throws -> ([Float], [Float]) {
        var losses: [Float] = []
        for _ in 0..<steps {
            try batch.give(to: session)
            try session.run()
            losses.append(session.loss)
            for index in session.values.indices { session.values[index] -= 0.05 * session.gradients[index] }
        }
        return (losses, Array(session.values))
    }

    @Test func theLossFalls() throws {
        let session = try TrainingSession(sampleNetwork(), options: options(8))
        let (losses, _) = try train(session, steps: 30, batch: Batch(8))
        #expect(losses.last! < 0.7 * losses[0])
    }

    @Test func threadsAndInstructionSetsGiveTheSameBytes() throws {
        let make = { (threads: Int, set: InstructionSet?) in
            let session = try TrainingSession(
                sampleNetwork(),
                options: options(6) {
                    ($0.threads, $0.instructionSet, $0.dropout, $0.stochasticDepth) = (threads, set, 0.2, 0.3)
                })
            return try train(session, steps: 3, batch: Batch(6)).1.map(\.bitPattern)
        }
        let expected = try make(1, .scalar)
        for set in InstructionSet.available {
            for threads in 1...3 { #expect(try make(threads, set) == expected, "\(set.name), \(threads) threads") }
        }
    }

    @Test func seedsDecideWhatIsDropped() throws {
        let run = { (seed: UInt64) in
            let session = try TrainingSession(
                sampleNetwork(), options: options(6) { ($0.seed, $0.dropout, $0.stochasticDepth) = (seed, 0.3, 0.4) })
            return try train(session, steps: 2, batch: Batch(6)).0
        }
        #expect(try run(1) == run(1))
        #expect(try run(1) != run(2))
    }

    /// Batch 4 twice has the gradient of batch 8 where samples do not see each other.
    @Test func accumulationAveragesGradients() throws {
        let batch = Batch(8)
        let whole = try TrainingSession(sampleNetwork(), options: options(8) { $0.freezesBatchNorm = true })
        try batch.give(to: whole)
        #expect(try whole.run())
        let halves = try TrainingSession(
            sampleNetwork(), options: options(4) { ($0.freezesBatchNorm, $0.accumulation) = (true, 2) })
        for half in 0..<2 {
            try halves.setInput(0, Array(batch.images[half * 4 * 108..<(half + 1) * 4 * 108]))
            try halves.setTargets(classes: Array(batch.classes[half * 4..<half * 4 + 4]), smoothing: 0.1)
            #expect(try halves.run() == (half == 1))
        }
        #expect(relativeDifference(Array(halves.gradients), Array(whole.gradients)) <= 1e-5)
    }

    @Test func frozenParametersAreNotTrained() throws {
        let graph = try sampleNetwork()
        let session = try TrainingSession(
            graph, options: options(4) { $0.frozen = [NamePattern("stem"), NamePattern("*.scale")] })
        #expect(!session.parameters.contains { $0.name.hasPrefix("stem") || $0.name.hasSuffix("scale") })
        _ = try train(session, steps: 2, batch: Batch(4))
        let trained = session.trainedGraph()
        for id in graph.constants {
            let name = graph[id].name
            let same =
                graph[id].constant!.data!.array(of: Float.self) == trained[id].constant!.data!.array(of: Float.self)
            let isFrozen =
                name == "stem.weight" || name == "stem.bias" || name == "stem.norm.weight" || name.hasSuffix("scale")
            if isFrozen { #expect(same, "\(name)") }
            if name == "head.weight" || name.hasSuffix("mean") { #expect(!same, "\(name)") }
        }
        let error = #expect(throws: TrainingError.self) {
            try TrainingSession(graph, options: options(4) { $0.frozen = [NamePattern("stam")] })
        }
        #expect(error?.message == "stam: names no parameter")
    }

    /// A graph whose statistics are frozen computes the same trained and untrained.
    @Test func theTrainedGraphComputesWhatTrainingDid() throws {
        let session = try TrainingSession(sampleNetwork(), options: options(4) { $0.freezesBatchNorm = true })
        _ = try train(session, steps: 3, batch: Batch(4))
        try Batch(4).give(to: session)
        try session.run()
        let logits = try session.logits()
        for sample in 0..<4 {
            let outputs = try run(session.trainedGraph(), Array(Batch(4).images[sample * 108..<(sample + 1) * 108]))
            #expect(relativeDifference(outputs["logits"]!, Array(logits[sample * 5..<sample * 5 + 5])) <= 1e-4)
        }
    }

    @Test func residualBranchesAreFoundByStructure() throws {
        let graph = try sampleNetwork()
        let branches = graph.residualBranches()
        #expect(branches.map(\.branch) == [1, 1, 1])
        #expect(graph.headLayers(of: graph.outputs[0]).count == 1)
    }

    @Test func optionsAreChecked() throws {
        for change in [
            { $0.dropout = 1 }, { $0.stochasticDepth = -0.1 }, { $0.batchSize = 0 }, { $0.accumulation = 0 },
            { $0.output = "nothing" }, { $0.loss = Loss(.binaryCrossEntropy(positiveWeights: [1])) },
        ] as [(inout TrainingOptions) -> Void] {
            #expect(throws: TrainingError.self) { try TrainingSession(sampleNetwork(), options: options(4, change)) }
        }
        let session = try TrainingSession(sampleNetwork(), options: options(4))
        #expect(throws: TrainingError.wrongSize(name: "image", expected: 432, given: 3)) {
            try session.setInput(0, [1, 2, 3])
        }
        #expect(throws: TrainingError.self) { try session.setTargets(classes: [0, 1, 2, 5]) }
    }
}

@Suite struct NamePatternTests {
    @Test func matchesAsAShellDoes() {
        #expect(NamePattern("stages.0").matches("stages.0.weight"))
        #expect(NamePattern("*.bias").matches("stages.0.bias"))
        #expect(!NamePattern("*.bias").matches("stages.0.bias.x"))
        #expect(NamePattern("a*b*c").matches("axxbxxbc"))
        #expect(NamePattern("a?c").matches("abc") && !NamePattern("a?c").matches("ac"))
    }
}
