import AlulaData
import AlulaGraph
import AlulaTraining
import Foundation
import Testing

/// Points of three classes around three corners.
private struct Points: Dataset {
    let classes = ["a", "b", "c"]
    let isMultiLabel = false
    let count: Int
    var poisoned: Int?

    func target(_ index: Int) -> Target { .class(index % 3) }
    func name(_ index: Int) -> String { "point \(index)" }
    func example(_ index: Int) throws(DataError) -> Example {
        var random = SplitMix64(seed: UInt64(index))
        func noise() -> Float { Float(random.next() >> 40) * 0x1p-24 - 0.5 }
        var values = (0..<4).map { Float($0 == index % 3 ? 1.5 : 0) + 2 * noise() }
        if index == poisoned { values[1] = .infinity }
        return .tensor(values)
    }
}

/// Softmax regression, its gradient by hand: a model whose every number is known.
private final class Regression {
    let owned = OwnedParameters([
        ("head.weight", [3, 4], Array(repeating: 0, count: 12)), ("head.bias", [3], [0, 0, 0]),
    ])
    /// A number that follows the batches, as a running mean does.
    var seen: [Float] = [0]
    private let accumulate: Int
    private var part = 0

    init(accumulate: Int = 1) { self.accumulate = accumulate }

    var core: TrainingCore {
        TrainingCore(
            parameters: owned.buffers, run: { [self] batch, _ in run(batch) },
            statistics: { [self] in [.init(name: "seen", values: seen)] }, setStatistics: { [self] in seen = $0[0] },
            graphs: { [self] in TrainedGraphs(float: try graph()) })
    }

    private func run(_ batch: BatchMaker.Batch) -> TrainingCore.Answer {
        let (weight, bias) = (owned.buffers[0], owned.buffers[1])
        if part == 0 {
            weight.gradient.update(repeating: 0)
            bias.gradient.update(repeating: 0)
        }
        part = (part + 1) % accumulate
        var (loss, logits): (Double, [Float]) = (0, [])
        for (input, target) in zip(batch.inputs, batch.targets) {
            let row = (0..<3).map { k in
                bias.values[k] + (0..<4).reduce(Float(0)) { $0 + weight.values[4 * k + $1] * input[$1] }
            }
            let powers = row.map { exp(Double($0)) }
            let sum = powers.reduce(0, +)
            logits += row
            for k in 0..<3 {
                let probability = powers[k] / sum
                loss -= Double(target[k]) * log(probability) / Double(batch.inputs.count)
                let slope = (Float(probability) - target[k]) / Float(batch.inputs.count * accumulate)
                bias.gradient[k] += slope
                for j in 0..<4 { weight.gradient[4 * k + j] += slope * input[j] }
            }
            seen[0] = 0.9 * seen[0] + 0.1 * input[0]
        }
        return TrainingCore.Answer(loss: loss, logits: logits)
    }

    private func graph() throws -> Graph {
        var graph = Graph()
        let input = graph.addInput("x", TensorType(.f32, Shape([1, 4])))
        let weight = graph.addConstant(
            "head.weight", TensorType(.f32, Shape([3, 4])), TensorData(elements: Array(owned.buffers[0].values)))
        let bias = graph.addConstant(
            "head.bias", TensorType(.f32, Shape([3])), TensorData(elements: Array(owned.buffers[1].values)))
        graph.setOutputs([try graph.add(.linear(Linear()), [input, weight, bias], name: "scores")])
        return graph
    }
}

private struct Setup {
    var recipe = Recipe()
    var training = Points(count: 90)
    let folder: ScratchFolder

    init(_ change: (inout Recipe) -> Void = { _ in }) throws {
        folder = try ScratchFolder()
        (recipe.epochs, recipe.batch, recipe.rate, recipe.weightDecay) = (4, 8, 0.05, 0.01)
        (recipe.mixup, recipe.labelSmoothing) = (0.2, 0.1)
        change(&recipe)
    }

    func trainer(_ model: Regression) throws -> Trainer {
        let seed = TrainingSeed(7)
        let classes = try ClassMap(model: ["a", "b", "c"], count: 3, isMultiLabel: false, data: training)
        let preparation = InputPreparation(nil, shape: [4])
        return try Trainer(
            model.core, recipe: recipe, seed: seed,
            batches: BatchMaker(training, classes, preparation, recipe: recipe, seed: seed),
            validation: Validation(Points(count: 60), classes, preparation, threads: 1),
            files: Trainer.Files(folder: folder.path), identity: "points")
    }

    /// Trains to the end with a stop after each of the given steps; a new model and trainer go on each time.
    func trained(stops: [Int]) throws -> (tensors: [[Float]], state: TrainingState) {
        var stops = stops[...]
        var isResumed = false
        while true {
            let model = Regression(accumulate: recipe.accumulate)
            let trainer = try self.trainer(model)
            let last = folder.file("last.checkpoint")
            if isResumed { try trainer.resume(from: try TrainingCheckpoint(contentsOf: last), path: last) }
            var observer = Trainer.Observer()
            observer.shouldStop = { stops.first.map { trainer.state.step >= $0 } ?? false }
            do {
                try trainer.run(observer)
                var state = trainer.state
                // Time is the one thing that differs.
                for index in state.history.indices {
                    (state.history[index].seconds, state.history[index].examplesPerSecond) = (0, 0)
                }
                return (model.core.tensors, state)
            } catch TrainerError.stopped {
                stops = stops.dropFirst()
                isResumed = true
            }
        }
    }
}

@Suite struct TrainerTests {
    @Test func learnsWhatCanBeLearned() throws {
        let setup = try Setup { ($0.epochs, $0.mixup) = (15, 0) }
        let model = Regression()
        let trainer = try setup.trainer(model)
        try trainer.run()
        let history = trainer.state.history
        #expect(history.count == 15 && trainer.state.step == 15 * (90 / 8))
        #expect(history[14].validationLoss! < 0.7 * history[0].validationLoss!)
        #expect(history[trainer.state.bestEpoch - 1]["accuracy"]! > 0.85)
        #expect(history[trainer.state.bestEpoch - 1]["accuracy"]! == history.compactMap { $0["accuracy"] }.max())
    }

    @Test(arguments: [
        ("adamw", 1, 0.0, "cosine"), ("sgd", 2, 0.9, "one-cycle"), ("adam", 3, 0.99, "plateau"),
    ])
    func interruptedRunsEndInTheSameNumbers(optimizer: String, accumulate: Int, ema: Double, schedule: String) throws {
        let setup = try Setup {
            ($0.optimizer, $0.accumulate, $0.ema) = (Optimizer.Method(rawValue: optimizer)!, accumulate, ema)
            ($0.schedule, $0.period, $0.clip) = (Schedule.Shape(rawValue: schedule)!, 1, 0.5)
        }
        let whole = try setup.trained(stops: [])
        let perEpoch = 90 / 8 / accumulate
        for stops in [[1], [perEpoch - 1, perEpoch, perEpoch + 1], [2, 3, 2 * perEpoch + 1, 3 * perEpoch]] {
            let parts = try setup.trained(stops: stops)
            #expect(parts.tensors == whole.tensors, "stops after \(stops)")
            #expect(parts.state == whole.state, "stops after \(stops)")
        }
    }

    @Test func theSeedDecidesEverything() throws {
        let setup = try Setup()
        #expect(try setup.trained(stops: []).tensors == setup.trained(stops: []).tensors)
    }

    @Test func theBestEpochsWeightsAreKept() throws {
        let setup = try Setup { ($0.epochs, $0.rate, $0.schedule, $0.optimizer) = (6, 3, .constant, .sgd) }
        let model = Regression()
        let trainer = try setup.trainer(model)
        var weights: [[Float]] = []
        var observer = Trainer.Observer()
        observer.epoch = { _ in weights.append(Array(model.owned.buffers[0].values)) }
        try trainer.run(observer)
        let graph = try trainer.bestGraphs().float
        let constant = try #require(graph.constants.first { graph[$0].name == "head.weight" })
        #expect(graph[constant].constant?.data?.array(of: Float.self) == weights[trainer.state.bestEpoch - 1])
        // Asking for the best does not change what is trained.
        #expect(Array(model.owned.buffers[0].values) == weights[5])
    }

    @Test func averagedWeightsAreWhatIsMeasuredAndKept() throws {
        let setup = try Setup { ($0.epochs, $0.ema) = (2, 0.99) }
        let model = Regression()
        let trainer = try setup.trainer(model)
        try trainer.run()
        let graph = try trainer.bestGraphs().float
        let constant = try #require(graph.constants.first { graph[$0].name == "head.weight" })
        #expect(graph[constant].constant?.data?.array(of: Float.self) != Array(model.owned.buffers[0].values))
    }

    @Test func patienceEndsTraining() throws {
        let setup = try Setup { ($0.epochs, $0.rate, $0.earlyStop, $0.schedule) = (50, 0, 3, .constant) }
        let trainer = try setup.trainer(Regression())
        try trainer.run()
        #expect(trainer.state.epoch == 4 && trainer.state.bestEpoch == 1)
    }

    @Test func divergenceNamesStepAndValue() throws {
        var setup = try Setup { ($0.mixup, $0.epochs) = (0, 1) }
        setup.training.poisoned = 11
        let trainer = try setup.trainer(Regression())
        let error = try #require(throws: TrainerError.self) { try trainer.run() }
        guard case .diverged(let step, let what, let layer) = error else {
            Issue.record("\(error)")
            return
        }
        #expect((1...11).contains(step) && what == "the loss" && layer.contains("scores"), "\(error.message)")
    }

    @Test func tooFewExamplesAreAnError() throws {
        let setup = try Setup { $0.batch = 91 }
        #expect(throws: TrainerError.tooFewExamples(count: 90, needed: 91)) { try setup.trainer(Regression()) }
    }

    @Test func damagedCheckpointsAreRefused() throws {
        let setup = try Setup { $0.epochs = 1 }
        try setup.trainer(Regression()).run()
        let path = setup.folder.file("last.checkpoint")
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for length in [0, 7, 100, bytes.count / 2, bytes.count - 1] {
            try bytes.prefix(length).write(to: URL(fileURLWithPath: path))
            #expect(throws: TrainingFileError.self, "\(length) bytes") { try TrainingCheckpoint(contentsOf: path) }
        }
        try bytes.write(to: URL(fileURLWithPath: path))
        var other = setup
        other.recipe.optimizer = .sgd
        var checkpoint = try TrainingCheckpoint(contentsOf: path)
        checkpoint.tensors.removeAll { $0.name == "parameter.head.bias" }
        let trainer = try setup.trainer(Regression())
        #expect(throws: TrainingFileError.self) { try trainer.resume(from: checkpoint, path: path) }
    }
}

@Suite struct BatchMakerTests {
    private func maker(_ change: (inout Recipe) -> Void) throws -> BatchMaker {
        var recipe = Recipe()
        recipe.batch = 6
        change(&recipe)
        let data = Points(count: 20)
        let classes = try ClassMap(model: [], count: 3, isMultiLabel: false, data: data)
        return BatchMaker(data, classes, InputPreparation(nil, shape: [4]), recipe: recipe, seed: TrainingSeed(1))
    }

    @Test func epochsShowEveryExampleAtMostOnceInAnOrderOfTheirOwn() throws {
        let maker = try maker { _ in }
        let (first, second) = (maker.batches(epoch: 0), maker.batches(epoch: 1))
        #expect(first.map(\.count) == [6, 6, 6] && Set(first.joined()).count == 18)
        #expect(first != second && first == maker.batches(epoch: 0))
    }

    @Test func targetsAreSmoothedAndTruthsAreNot() throws {
        let batch = try maker { $0.labelSmoothing = 0.3 }.batch([0, 1, 2, 3, 4, 5], epoch: 0, place: 0)
        #expect(batch.truths[1] == [0, 1, 0])
        for (found, wanted) in zip(batch.targets[1], [0.1, 0.8, 0.1] as [Float]) { #expect(abs(found - wanted) < 1e-6) }
    }

    @Test func mixedTargetsStayDistributions() throws {
        let batch = try maker { $0.mixup = 1 }.batch([0, 1, 2, 3, 4, 5], epoch: 0, place: 3)
        for target in batch.targets { #expect(abs(target.reduce(0, +) - 1) < 1e-6) }
        #expect(batch.targets != batch.truths)
    }
}

@Suite struct ClassMapTests {
    @Test func classesAreFoundByName() throws {
        let map = try ClassMap(model: ["c", "x", "a", "b"], count: 4, isMultiLabel: false, data: Points(count: 3))
        #expect(map.places == [2, 3, 0])
        #expect(map.vector(.class(0)) == [0, 0, 1, 0])
    }

    @Test func namelessModelsTakeTheDatasNames() throws {
        #expect(
            try ClassMap(model: [], count: 3, isMultiLabel: false, data: Points(count: 3)).labels == ["a", "b", "c"])
        #expect(try ClassMap(model: [], count: 5, isMultiLabel: false, data: Points(count: 3)).labels.isEmpty)
    }

    @Test func classesThatDoNotFitAreNamed() {
        #expect(throws: TrainerError.self) {
            try ClassMap(model: [], count: 2, isMultiLabel: false, data: Points(count: 3))
        }
        #expect(throws: TrainerError.self) {
            try ClassMap(model: ["a", "b"], count: 2, isMultiLabel: false, data: Points(count: 3))
        }
    }
}
