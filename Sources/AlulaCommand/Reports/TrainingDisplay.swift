import AlulaSystem
import AlulaTraining

/// Shows a training run while it goes on: a line that is drawn over on a terminal, and a line an epoch.
final class TrainingDisplay {
    private let isLive = Console.isErrorATerminal
    private let start = alula_clock_nanoseconds()
    private var firstStep: Int?
    private var lastDrawn: UInt64 = 0
    private let batch: Int

    /// - Parameter batch: examples a step of the optimizer.
    init(batch: Int) { self.batch = batch }

    func step(_ report: Trainer.StepReport) {
        let now = alula_clock_nanoseconds()
        let first = firstStep ?? report.step - 1
        firstStep = first
        guard isLive, now - lastDrawn > 200_000_000 || report.stepInEpoch == report.stepsPerEpoch else { return }
        lastDrawn = now
        let seconds = Double(now - start) / 1e9
        let done = report.step - first
        let perStep = seconds / Double(max(1, done))
        let left = perStep * Double(report.epochs * report.stepsPerEpoch - report.step)
        let filled = 20 * report.stepInEpoch / max(1, report.stepsPerEpoch)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 20 - filled)
        let line =
            "epoch \(report.epoch)/\(report.epochs) \(bar) \(report.stepInEpoch)/\(report.stepsPerEpoch)"
            + "  loss \(Format.fixed(report.loss, 3))  lr \(TrainingPage.rate(report.rate))"
            + "  \(Format.fixed(Double(batch) / perStep, 0))/s  \(TrainingDisplay.duration(left)) left"
        Console.writeError("\r\u{1B}[K" + line)
    }

    func measured(_ count: Int, _ total: Int) {
        let now = alula_clock_nanoseconds()
        guard isLive, now - lastDrawn > 200_000_000 else { return }
        lastDrawn = now
        Console.writeError("\r\u{1B}[Kmeasuring \(count)/\(total)")
    }

    /// Clears the line that is drawn over.
    func clear() { if isLive { Console.writeError("\r\u{1B}[K") } }

    /// An epoch for a person.
    static func line(_ record: EpochRecord, of epochs: Int) -> String {
        var parts = ["epoch \(record.epoch)/\(epochs)", "lr \(TrainingPage.rate(record.rate))"]
        parts.append("loss \(Format.fixed(record.trainLoss, 4))")
        if let accuracy = record.trainAccuracy { parts.append("acc \(Format.fixed(100 * accuracy, 1)) %") }
        if let loss = record.validationLoss { parts.append("val loss \(Format.fixed(loss, 4))") }
        parts += record.figures.map { "\(TrainingPage.name($0.key)) \(TrainingPage.value($0.key, $0.value))" }
        parts.append("\(Format.fixed(record.seconds, 1)) s, \(Format.fixed(record.examplesPerSecond, 0))/s")
        return parts.joined(separator: "  ") + (record.isBest ? "  *" : "") + "\n"
    }

    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e8 else { return "?" }
        let whole = Int(seconds.rounded())
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
        return whole >= 3600
            ? "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))" : "\(whole / 60):\(two(whole % 60))"
    }
}
