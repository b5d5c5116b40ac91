import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaRuntime
import ArgumentParser

/// `alula evaluate`: how good a model is on labelled data.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures a model on labelled data.",
        discussion: """
            DATA is one of \(DataLocation.forms). Models that pick one class get accuracy and a confusion matrix; models that decide
            about every class get F1 by the model's thresholds (0.5 without), and areas under the ROC and precision-recall curves. A
            recording longer than the model's input is cut into windows, and has the mean of their probabilities.

            Example:

              alula evaluate model.int8.alula --data cifar100:cifar-100-binary --compare model.alula
              alula evaluate ecg.alula --data ptbxl:ptb-xl --split val --save-thresholds ecg.tuned.alula
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Option(help: ArgumentHelp("Labelled data: \(DataLocation.forms).", valueName: "data"))
    var data: DataLocation

    @Option(help: "The part of the data: train, val, test or all.")
    var split = DataSplit.test

    @Option(help: "Measure on this many samples, chosen by --seed. Default: on all.")
    var samples: Int?

    @Option(help: "Chooses the samples when --samples is given.")
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "Measure this model on the same data too, and how often both agree.", valueName: "other.alula"))
    var compare: String?

    @Option(help: ArgumentHelp("Also write the results as a page for people.", valueName: "page.html"))
    var html: String?

    @Option(
        help: ArgumentHelp(
            "Also write the model with, for every class, the threshold of the best F1 on this data.",
            valueName: "out.alula"))
    var saveThresholds: String?

    @Option(help: "PTB-XL: statements of a smaller likelihood, in percent, do not count.")
    var minLikelihood = 0.0

    @Option(help: "Threads; 0 for one a physical core.")
    var threads = 1

    @OptionGroup var execution: ExecutionOptions

    @OptionGroup var format: OutputOptions

    func validate() throws {
        if let samples, samples < 1 { throw ValidationError("--samples must be at least 1.") }
        if threads < 0 { throw ValidationError("--threads must not be negative.") }
    }

    func run() throws {
        var evaluations = [try Evaluation(model, execution.session(threads: threads))]
        if let compare { evaluations.append(try Evaluation(compare, execution.session(threads: threads))) }
        var dataset = try data.dataset(evaluations[0].reader, split: split, minimumLikelihood: minLikelihood)
        guard !dataset.classes.isEmpty else { throw Failure(data.path, "has no labels to measure by") }
        if let samples { dataset = Subset(dataset, choosing: samples, seed: seed) }
        for index in evaluations.indices { try evaluations[index].prepare(dataset, data.path) }

        var agreement = 0
        var progress = Progress("evaluating", total: dataset.count)
        for index in 0..<dataset.count {
            let decisions = try naming(dataset.name(index)) {
                let example = try dataset.example(index)
                return try evaluations.indices.map { try evaluations[$0].add(example, dataset.target(index)) }
            }
            if decisions.count == 2, decisions[0] == decisions[1] { agreement += 1 }
            progress.advance()
        }
        progress.finish()

        let results = evaluations.map { $0.result() }
        if let saveThresholds { try save(evaluations[0], to: saveThresholds) }
        if let html {
            let page = EvaluationPage(title: model, data: description, samples: dataset.count, results: results)
            try writing(html) { try AtomicFile.write(Array(page.text.utf8), to: html) }
        }
        let share = compare == nil ? nil : Double(agreement) / Double(dataset.count)
        let counts = (samples: dataset.count, inputs: evaluations[0].inputs)
        format.print(json(results, share, counts), text: text(results, share, counts))
    }

    private var description: String { "\(data.path), split \(split.rawValue)" }

    private func save(_ evaluation: Evaluation, to path: String) throws {
        guard let thresholds = evaluation.bestThresholds else {
            throw Failure(model, "picks one class, so that thresholds mean nothing")
        }
        var file = evaluation.file
        file.metadata[ModelFile.Key.task] = ModelFile.multiLabelTask
        file.metadata[ModelFile.Key.thresholds] = JSON.array(thresholds.map { .number($0) }).text
        try writing(path) { try file.write(to: path) }
    }

    // MARK: Reporting

    private typealias Counts = (samples: Int, inputs: Int)

    private func json(_ results: [EvaluationResult], _ agreement: Double?, _ counts: Counts) -> JSON {
        var members: [(String, JSON)] = [
            ("model", .string(model)), ("data", .string(data.path)), ("split", .string(split.rawValue)),
            ("samples", .integer(counts.samples)), ("inputs", .integer(counts.inputs)),
        ]
        members += results[0].json
        if results.count == 2, let compare, let agreement {
            members.append(("compare", .object([("model", .string(compare))] + results[1].json)))
            members.append(("agreement", .number(agreement)))
        }
        if let html { members.append(("html", .string(html))) }
        if let saveThresholds { members.append(("thresholds_output", .string(saveThresholds))) }
        return .object(members)
    }

    private func text(_ results: [EvaluationResult], _ agreement: Double?, _ counts: Counts) -> String {
        let windows = counts.inputs == counts.samples ? "" : ", \(counts.inputs) windows,"
        var text = "\(model) on \(counts.samples) samples\(windows) of \(description)\n" + results[0].summary
        text += results[0].classTable(limit: 30)
        if results.count == 2, let compare, let agreement {
            text += "\(compare)\n" + results[1].summary
            text += "the two agree on \(Format.fixed(100 * agreement, 2)) % of the samples\n"
        }
        if let html { text += "\(html): the same as a page\n" }
        if let saveThresholds { text += "\(saveThresholds): the model with the thresholds of the best F1 by class\n" }
        return text
    }
}
