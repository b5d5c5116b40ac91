import AlulaData
import AlulaTraining

/// What a finished run came to.
struct TrainingSummary {
    var output: String
    /// The int8 model, where the training was for one.
    var int8: String?
    var folder: String
    var checkpoint: String
    var report: String
    var state: TrainingState
    var parameters: Int
    var recipe: Recipe

    private var best: EpochRecord? { state.history.first { $0.epoch == state.bestEpoch } }

    func json(seconds: Double) -> JSON {
        .object([
            ("output", .string(output)), ("int8_output", .optional(int8)), ("epochs", .integer(state.epoch)),
            ("steps", .integer(state.step)),
            ("best_epoch", .integer(state.bestEpoch)), ("best", best.map { .object($0.json) } ?? .null),
            ("parameters", .integer(parameters)), ("seconds", .rounded(seconds, 3)), ("logdir", .string(folder)),
            ("checkpoint", .string(checkpoint)), ("report", .string(report)), ("recipe", recipe.json),
        ])
    }

    func text(seconds: Double) -> String {
        var text = "\(output): epoch \(state.bestEpoch) of \(state.epoch)"
        for figure in best?.figures ?? [] {
            text += ", \(TrainingPage.name(figure.key)) \(TrainingPage.value(figure.key, figure.value))"
        }
        if let int8 { text += "\n\(int8): its int8 form, which is what was measured" }
        return text + ", \(TrainingDisplay.duration(seconds))\n\(report): curves, confusion, examples\n"
    }
}
