import AlulaData

/// Where a run is: everything but tensors that it needs to go on as if it had not stopped.
package struct TrainingState: Sendable, Equatable {
    /// Epochs that are done, validation included.
    package var epoch = 0
    /// Optimizer steps made in the current epoch, and since the start.
    package var stepInEpoch = 0
    package var step = 0
    /// Sums over the current epoch's batches.
    package var lossSum = 0.0
    package var batches = 0
    package var correct = 0
    package var seconds = 0.0
    package var plateau = Plateau(patience: 0)
    package var bestEpoch = 0
    package var bestValue: Double?
    package var history: [EpochRecord] = []

    package init() {}

    package var json: JSON {
        .object([
            ("epoch", .integer(epoch)), ("step_in_epoch", .integer(stepInEpoch)), ("step", .integer(step)),
            ("loss_sum", .number(lossSum)), ("batches", .integer(batches)), ("correct", .integer(correct)),
            ("seconds", .number(seconds)), ("plateau_patience", .integer(plateau.patience)),
            ("plateau_best", plateau.best.map { .number($0) } ?? .null), ("plateau_waited", .integer(plateau.waited)),
            ("plateau_cuts", .integer(plateau.cuts)), ("best_epoch", .integer(bestEpoch)),
            ("best_value", bestValue.map { .number($0) } ?? .null),
            ("history", .array(history.map { .object($0.json) })),
        ])
    }

    /// Reads what `json` says; nil where something is missing or impossible.
    package init?(json text: String) {
        guard let members = JSONValue.object(parsing: Array(text.utf8)) else { return nil }
        func count(_ key: String) -> Int? { members[key]?.integer.flatMap { $0 >= 0 ? $0 : nil } }
        guard let epoch = count("epoch"), let stepInEpoch = count("step_in_epoch"), let step = count("step"),
            let lossSum = members["loss_sum"]?.number, let batches = count("batches"), let correct = count("correct"),
            let seconds = members["seconds"]?.number, let patience = count("plateau_patience"),
            let waited = count("plateau_waited"), let cuts = count("plateau_cuts"),
            let bestEpoch = count("best_epoch"), let history = members["history"]?.array
        else { return nil }
        (self.epoch, self.stepInEpoch, self.step, self.lossSum) = (epoch, stepInEpoch, step, lossSum)
        (self.batches, self.correct, self.seconds, self.bestEpoch) = (batches, correct, seconds, bestEpoch)
        plateau = Plateau(
            patience: patience, best: members["plateau_best"]?.number, waited: waited, cuts: cuts)
        bestValue = members["best_value"]?.number
        let records = history.compactMap { value in
            value.object.flatMap { EpochRecord($0, keys: ValidationResult.keys) }
        }
        guard records.count == history.count, records.count == epoch, bestEpoch <= epoch else { return nil }
        self.history = records
    }
}
