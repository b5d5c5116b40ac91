import AlulaGraph
import AlulaTraining
import TestSupport
import Testing

@Suite struct AdaptationTests {
    private func options(_ batch: Int, _ change: (inout TrainingOptions) -> Void) -> TrainingOptions {
        var options = TrainingOptions()
        options.batchSize = batch
        change(&options)
        return options
    }

    private func train(_ session: TrainingSession, steps: Int) throws -> [Float] {
        try (0..<steps).map { _ in
            try Batch(4).give(to: session)
            try session.run()
            for index in session.values.indices { session.values[index] -= 0.1 * session.gradients[index] }
            return session.loss
        }
    }

    @Test func aNewHeadHasItsClassesAndLeavesTheRest() throws {
        let graph = try sampleNetwork()
        let changed = try graph.withNewHead(classes: 11, seed: 3)
        try changed.verify()
        #expect(changed.shape(changed.outputs[0]) == [1, 11])
        #expect(changed[changed.outputs[0]].name == "logits")
        for id in graph.constants where !graph[id].name.hasPrefix("head") {
            let twin = try #require(changed.constants.first { changed[$0].name == graph[id].name })
            #expect(
                graph[id].constant?.data?.array(of: UInt8.self) == changed[twin].constant?.data?.array(of: UInt8.self))
        }
        #expect(try graph.withNewHead(classes: 11, seed: 4).text == changed.text)
        #expect(throws: TrainingError.self) { try graph.withNewHead(classes: 0, seed: 1) }
    }

    @Test func adaptersStartAsNothingAndMergeToTheSame() throws {
        let graph = try sampleNetwork()
        let adapters = LowRankAdapters(rank: 2, alpha: 4, layers: [NamePattern("blocks"), NamePattern("head")])
        let input = Array(Batch(1).images)
        let adapted = try adapters.adding(to: graph, seed: 1)
        #expect(try run(adapted, input)["logits"] == run(graph, input)["logits"])
        let session = try TrainingSession(
            graph, options: options(4) { ($0.adapters, $0.freezesBatchNorm) = (adapters, true) })
        #expect(session.parameters.count == 8, "two for each of three blocks and the head")
        let losses = try train(session, steps: 20)
        #expect(losses.last! < 0.95 * losses[0])
        let trained = session.trainedGraph()
        #expect(trained.text == graph.text, "no trace of the adapters")
        try Batch(4).give(to: session)
        try session.run()
        let logits = try session.logits()
        for sample in 0..<4 {
            let own = try run(trained, Array(Batch(4).images[sample * 108..<(sample + 1) * 108]))
            #expect(relativeDifference(own["logits"]!, Array(logits[sample * 5..<sample * 5 + 5])) <= 1e-4)
        }
    }

    @Test func adaptersNeedLayers() throws {
        let error = #expect(throws: TrainingError.self) {
            try LowRankAdapters(layers: [NamePattern("nothing")]).adding(to: sampleNetwork(), seed: 1)
        }
        #expect(error?.message == "nothing: names no linear layer or 1x1 convolution")
    }
}

@Suite struct RecomputationTests {
    private func session(_ change: (inout TrainingOptions) -> Void) throws -> TrainingSession {
        var options = TrainingOptions()
        options.batchSize = 64
        change(&options)
        return try TrainingSession(sampleNetwork(), options: options)
    }

    private func gradients(_ session: TrainingSession) throws -> [UInt32] {
        try Batch(64).give(to: session)
        try session.run()
        return session.gradients.map(\.bitPattern)
    }

    @Test func recomputedValuesChangeNothingButMemory() throws {
        let (all, cheap) = (try session { _ in }, try session { $0.workingMemory = 0 })
        #expect(cheap.memoryUse.arena < all.memoryUse.arena)
        #expect(try gradients(all) == gradients(cheap))
    }

    @Test func theMemoryLimitIsKeptWithTheFewest() throws {
        let (most, least) = (
            try session { _ in }.memoryUse.total, try session { $0.workingMemory = 0 }.memoryUse.total
        )
        let limit = (most + least) / 2
        let own = try session { $0.memoryLimit = limit }
        #expect(own.memoryUse.total <= limit && own.memoryUse.total > least)
        #expect(try session { $0.memoryLimit = most }.memoryUse.total == most)
        let error = #expect(throws: TrainingError.self) { try session { $0.memoryLimit = least / 2 } }
        guard case .memoryLimit(let needed, least / 2) = try #require(error) else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(needed > least / 2)
    }
}
