import AlulaData
import AlulaGraph
import AlulaSystem

/// Trains a model by a recipe: epochs of batches, a measurement after each, and checkpoints from which a run goes on as if it had never
/// been interrupted.
package final class Trainer {
    /// Where checkpoints are kept.
    package struct Files {
        package var last: String
        package var best: String

        package init(folder: String) { (last, best) = (folder + "/last.checkpoint", folder + "/best.checkpoint") }
    }

    /// What a trainer tells while it works, and asks.
    package struct Observer {
        /// After every step of the optimizer: the epoch from 1, steps made in it, its length, and the step's loss and rate.
        package var step: (StepReport) -> Void = { _ in }
        /// After every epoch.
        package var epoch: (EpochRecord) throws -> Void = { _ in }
        /// After every example that is measured: how many, of how many.
        package var measured: (Int, Int) -> Void = { _, _ in }
        /// Whether to save and stop.
        package var shouldStop: () -> Bool = { false }

        package init() {}
    }

    package struct StepReport {
        package var epoch: Int
        package var epochs: Int
        package var stepInEpoch: Int
        package var stepsPerEpoch: Int
        /// Since the start, from 1.
        package var step: Int
        package var loss: Double
        package var rate: Double
        package var gradientNorm: Double
    }

    package let recipe: Recipe
    package private(set) var state = TrainingState()
    package let stepsPerEpoch: Int
    private let core: TrainingCore
    private let batches: BatchMaker
    /// Without one, the last epoch counts as the best.
    private let validation: Validation?
    private let seed: TrainingSeed
    private let files: Files
    private let identity: String
    /// Seconds after which a checkpoint is written even within an epoch.
    private let saveInterval: Double
    private let optimizer: Optimizer
    private var average: WeightAverage?
    private var lastSave = alula_clock_nanoseconds()

    package init(
        _ core: TrainingCore, recipe: Recipe, seed: TrainingSeed, batches: BatchMaker, validation: Validation?,
        files: Files, identity: String, saveInterval: Double = 300
    ) throws {
        (self.core, self.recipe, self.seed, self.batches) = (core, recipe, seed, batches)
        (self.validation, self.files, self.identity, self.saveInterval) = (validation, files, identity, saveInterval)
        stepsPerEpoch = batches.dataset.count / recipe.batch / recipe.accumulate
        guard stepsPerEpoch > 0 else {
            throw TrainerError.tooFewExamples(
                count: batches.dataset.count, needed: recipe.batch * recipe.accumulate)
        }
        let scales = LayerDecay.scales(names: core.parameters.map(\.name), decay: Float(recipe.layerDecay))
        optimizer = Optimizer(recipe.optimizerOptions, for: core.parameters, rateScales: scales)
        if recipe.ema > 0 { average = WeightAverage(decay: Float(recipe.ema), of: core.tensors) }
        state.plateau = Plateau(patience: recipe.period)
    }

    // MARK: Training

    /// Trains until the recipe's end, or until its patience ends.
    package func run(_ observer: Observer = Observer()) throws {
        while state.epoch < recipe.epochs, !isOutOfPatience {
            try trainEpoch(observer)
            try finishEpoch(observer)
        }
    }

    private var isOutOfPatience: Bool {
        recipe.earlyStop > 0 && state.epoch > 0 && state.epoch - state.bestEpoch >= recipe.earlyStop
    }

    private func trainEpoch(_ observer: Observer) throws {
        guard state.stepInEpoch < stepsPerEpoch else { return }
        let groups = batches.batches(epoch: state.epoch)
        while state.stepInEpoch < stepsPerEpoch {
            let start = alula_clock_nanoseconds()
            let report = try step(groups)
            state.seconds += Double(alula_clock_nanoseconds() - start) / 1e9
            observer.step(report)
            if observer.shouldStop() { try stop() }
            if Double(alula_clock_nanoseconds() - lastSave) / 1e9 > saveInterval { try save(to: files.last) }
        }
    }

    /// One step of the optimizer: `accumulate` batches.
    private func step(_ groups: [[Int]]) throws -> StepReport {
        var (loss, last): (Double, BatchMaker.Batch?) = (0, nil)
        for part in 0..<recipe.accumulate {
            let place = state.stepInEpoch * recipe.accumulate + part
            let batch = try batches.batch(groups[place], epoch: state.epoch, place: place)
            let answer = try core.run(batch, state.step * recipe.accumulate + part)
            loss += answer.loss
            state.correct += correctAnswers(answer.logits, batch)
            last = batch
        }
        loss /= Double(recipe.accumulate)
        let position = Schedule.Position(step: state.step, stepsPerEpoch: stepsPerEpoch, epochs: recipe.epochs)
        let rate = recipe.scheduleOptions.rate(at: position, plateauCuts: state.plateau.cuts)
        let norm = GradientNorm.value(core.parameters)
        guard loss.isFinite, norm.isFinite else {
            throw diverged(loss.isFinite ? "a gradient" : "the loss", last?.inputs ?? [])
        }
        optimizer.step(
            core.parameters, rate: Float(rate), gradientScale: GradientNorm.scale(norm: norm, limit: recipe.clip))
        updateAverage()
        state.step += 1
        state.stepInEpoch += 1
        state.lossSum += loss
        state.batches += recipe.accumulate
        return StepReport(
            epoch: state.epoch + 1, epochs: recipe.epochs, stepInEpoch: state.stepInEpoch,
            stepsPerEpoch: stepsPerEpoch, step: state.step, loss: loss, rate: rate, gradientNorm: norm)
    }

    private func updateAverage() {
        guard average != nil else { return }
        let statistics = core.statistics().map(\.values)
        average?.update(core.parameters.map { UnsafeBufferPointer($0.values) }, statistics)
    }

    /// How many examples of a batch have the class decided that they belong to.
    private func correctAnswers(_ logits: [Float], _ batch: BatchMaker.Batch) -> Int {
        guard !batches.classes.isMultiLabel else { return 0 }
        let count = batches.classes.count
        return batch.truths.indices.count { index in
            let own = logits[index * count..<(index + 1) * count]
            guard let top = own.max(), let place = own.firstIndex(of: top) else { return false }
            return batch.truths[index][place - own.startIndex] == 1
        }
    }

    private func diverged(_ what: String, _ inputs: [[Float]]) -> TrainerError {
        let layer =
            (try? core.graphs()).flatMap { Divergence.firstValue(in: $0.float, inputs: inputs) }
            ?? Divergence.firstParameter(core.parameters) ?? "the loss itself"
        return .diverged(step: state.step + 1, what: what, layer: layer)
    }

    private func finishEpoch(_ observer: Observer) throws {
        guard let validation else { return try finishEpoch(nil, observer) }
        var measured = 0
        let graphs = try average.map { try core.graphs(with: $0.values) } ?? core.graphs()
        let result = try validation.measure(graphs.measured) {
            measured += 1
            observer.measured(measured, validation.dataset.count)
            return !observer.shouldStop()
        }
        guard let result else { return try stop() }
        guard result.loss.isFinite else {
            let layer = Divergence.firstParameter(core.parameters) ?? "the outputs"
            throw TrainerError.diverged(step: state.step, what: "the validation loss", layer: layer)
        }
        try finishEpoch(result, observer)
    }

    private func finishEpoch(_ result: ValidationResult?, _ observer: Observer) throws {
        let judged = result.map { $0.monitored(recipe.monitor) } ?? (0, true)
        guard let (value, prefersLess) = judged else {
            throw TrainerError.unsuitable("these data have no \(recipe.monitor.rawValue) to judge epochs by")
        }
        let isBest = result == nil || (state.bestValue.map { prefersLess ? value < $0 : value > $0 } ?? true)
        let examples = state.batches * recipe.batch
        let position = Schedule.Position(
            step: max(0, state.step - 1), stepsPerEpoch: stepsPerEpoch, epochs: recipe.epochs)
        let record = EpochRecord(
            epoch: state.epoch + 1, step: state.step,
            rate: recipe.scheduleOptions.rate(at: position, plateauCuts: state.plateau.cuts),
            trainLoss: state.lossSum / Double(stepsPerEpoch),
            trainAccuracy: batches.classes.isMultiLabel ? nil : Double(state.correct) / Double(max(1, examples)),
            validation: result, seconds: state.seconds,
            examplesPerSecond: state.seconds > 0 ? Double(examples) / state.seconds : 0, isBest: isBest)
        state.epoch += 1
        if isBest { (state.bestEpoch, state.bestValue) = (state.epoch, value) }
        if recipe.schedule == .plateau { _ = state.plateau.add(prefersLess ? value : -value) }
        state.history.append(record)
        (state.stepInEpoch, state.lossSum, state.batches, state.correct, state.seconds) = (0, 0, 0, 0, 0)
        // The best first: a run that ends in between makes both again.
        if isBest { try save(to: files.best) }
        try save(to: files.last)
        try observer.epoch(record)
    }

    private func stop() throws {
        try save(to: files.last)
        throw TrainerError.stopped(epoch: state.epoch + 1, step: state.step)
    }

    // MARK: Checkpoints

    private func save(to path: String) throws {
        var tensors = zip(named("parameter.", "statistic."), core.tensors).map {
            TrainingCheckpoint.Tensor($0.0, $0.1, $1)
        }
        for (slot, means) in optimizer.slots.enumerated() {
            tensors += zip(core.parameters, means).map { .init("optimizer.\(slot)." + $0.name, $0.shape, $1) }
        }
        if let average {
            tensors += zip(named("average.", "average."), average.values).map { .init($0.0, $0.1, $1) }
        }
        try TrainingCheckpoint(recipe: recipe, state: state, identity: identity, tensors: tensors).write(to: path)
        lastSave = alula_clock_nanoseconds()
    }

    /// Names and shapes in a checkpoint of parameters, then statistics.
    private func named(_ parameter: String, _ statistic: String) -> [(name: String, shape: [Int])] {
        core.parameters.map { (parameter + $0.name, $0.shape) }
            + core.statistics().map { (statistic + $0.name, [$0.values.count]) }
    }

    /// Goes on where a checkpoint was written.
    ///
    /// - Parameter path: the checkpoint's, for messages.
    package func resume(from checkpoint: TrainingCheckpoint, path: String) throws {
        let tensors = NamedTensors(checkpoint, path: path)
        guard checkpoint.state.stepInEpoch <= stepsPerEpoch else {
            throw TrainingFileError(path, "is of a run with more steps an epoch")
        }
        if checkpoint.state.bestEpoch > 0 { _ = try best(of: checkpoint.state) }
        let values = try tensors.values(named("parameter.", "statistic."))
        let slots = try (0..<recipe.optimizer.slotCount).map { slot in
            try tensors.values(core.parameters.map { ("optimizer.\(slot)." + $0.name, $0.shape) })
        }
        if average != nil {
            average?.restore(
                updates: checkpoint.state.step, values: try tensors.values(named("average.", "average.")))
        }
        core.load(values)
        optimizer.restore(steps: checkpoint.state.step, slots: slots)
        state = checkpoint.state
    }

    /// The checkpoint of the best epoch; an error where the file is another epoch's.
    private func best(of state: TrainingState) throws -> TrainingCheckpoint {
        let checkpoint = try TrainingCheckpoint(contentsOf: files.best)
        // A run that was killed between two files, and goes on from the older one, makes the newer one again.
        guard checkpoint.state.bestEpoch >= state.bestEpoch, checkpoint.identity == identity else {
            throw TrainingFileError(files.best, "is not of this run's best epoch, \(state.bestEpoch)")
        }
        return checkpoint
    }

    /// What is trained, with the weights of the best epoch: averaged ones where the recipe averages.
    package func bestGraphs() throws -> TrainedGraphs {
        let tensors = NamedTensors(try best(of: state), path: files.best)
        let names = average == nil ? named("parameter.", "statistic.") : named("average.", "average.")
        return try core.graphs(with: try tensors.values(names))
    }
}

/// Tensors of a checkpoint by name.
private struct NamedTensors {
    private let tensors: [String: TrainingCheckpoint.Tensor]
    private let path: String

    init(_ checkpoint: TrainingCheckpoint, path: String) {
        tensors = Dictionary(checkpoint.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        self.path = path
    }

    func values(_ wanted: [(name: String, shape: [Int])]) throws -> [[Float]] {
        try wanted.map { name, shape in
            guard let tensor = tensors[name], tensor.shape == shape else {
                throw TrainingFileError(path, "has no tensor \(name) of shape \(Shape(shape).description)")
            }
            return tensor.values
        }
    }
}
