import AlulaData

/// What one epoch came to.
package struct EpochRecord: Sendable, Equatable {
    /// From 1.
    package var epoch: Int
    /// Optimizer steps made since the start.
    package var step: Int
    /// The rate of the epoch's last step.
    package var rate: Double
    package var trainLoss: Double
    /// The share of training examples, as they were changed, whose class was decided; nil where every class is decided on its own.
    package var trainAccuracy: Double?
    /// Nil where there are no validation data.
    package var validationLoss: Double?
    /// Figures of the validation data by key, in the order in which they are shown.
    package var figures: [Figure]
    /// Of the training part of the epoch.
    package var seconds: Double
    package var examplesPerSecond: Double
    /// Whether no earlier epoch was better.
    package var isBest: Bool

    package struct Figure: Sendable, Equatable {
        package var key: String
        package var value: Double

        package init(_ key: String, _ value: Double) { (self.key, self.value) = (key, value) }
    }

    package subscript(key: String) -> Double? { figures.first { $0.key == key }?.value }

    /// Names and values; `docs/cli.md` lists them.
    package var json: [(String, JSON)] {
        var members: [(String, JSON)] = [
            ("epoch", .integer(epoch)), ("step", .integer(step)), ("lr", .number(rate)),
            ("train_loss", .number(trainLoss)),
        ]
        if let trainAccuracy { members.append(("train_accuracy", .number(trainAccuracy))) }
        if let validationLoss { members.append(("val_loss", .number(validationLoss))) }
        members += figures.map { ("val_" + $0.key, .number($0.value)) }
        return members + [
            ("seconds", .rounded(seconds, 3)), ("examples_per_second", .rounded(examplesPerSecond, 2)),
            ("best", .bool(isBest)),
        ]
    }

    package init(
        epoch: Int, step: Int, rate: Double, trainLoss: Double, trainAccuracy: Double?, validation: ValidationResult?,
        seconds: Double, examplesPerSecond: Double, isBest: Bool
    ) {
        (self.epoch, self.step, self.rate) = (epoch, step, rate)
        (self.trainLoss, self.trainAccuracy) = (trainLoss, trainAccuracy)
        (validationLoss, figures) = (validation?.loss, validation?.figures ?? [])
        (self.seconds, self.examplesPerSecond, self.isBest) = (seconds, examplesPerSecond, isBest)
    }

    /// Reads what `json` says; nil where something is missing.
    init?(_ members: [String: JSONValue], keys: [String]) {
        guard let epoch = members["epoch"]?.integer, let step = members["step"]?.integer,
            let rate = members["lr"]?.number, let trainLoss = members["train_loss"]?.number,
            let seconds = members["seconds"]?.number,
            let speed = members["examples_per_second"]?.number, let isBest = members["best"]?.bool
        else { return nil }
        (self.epoch, self.step, self.rate, self.trainLoss) = (epoch, step, rate, trainLoss)
        (validationLoss, self.seconds) = (members["val_loss"]?.number, seconds)
        (examplesPerSecond, self.isBest) = (speed, isBest)
        trainAccuracy = members["train_accuracy"]?.number
        figures = keys.compactMap { key in members["val_" + key]?.number.map { Figure(key, $0) } }
    }
}
