import Alula
import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaRuntime
import ArgumentParser

/// `alula run`: a model on pictures, recordings or arrays.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a model on pictures, ECG recordings, arrays or raw bytes.",
        discussion: """
            INPUT is a JPEG or PNG picture, a WFDB record (.hea), an .npy or .safetensors file (axis 0 counts samples; channels may
            come first), or - for raw tensor bytes on standard input. Longer recordings are cut into inputs one after another.

            Example:

              alula run model.alula cat.jpg dog.png --top 3
              alula run model.alula batch.safetensors --output logits.safetensors --json
              alula run ecg.alula record.hea --plot record.svg
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Argument(help: "Pictures, WFDB records, .npy or .safetensors files, or - for standard input.")
    var input: [String]

    @Option(help: "How many of the likeliest classes to show.")
    var top = 5

    @Option(help: "Threads; 0 for one a physical core.")
    var threads = 1

    @OptionGroup var execution: ExecutionOptions

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("Also write the outputs, stacked along axis 0.", valueName: "file.safetensors"))
    var output: String?

    @Option(help: ArgumentHelp("Also draw the picture or recording with the result.", valueName: "file.svg"))
    var plot: String?

    @OptionGroup var format: OutputOptions

    private struct Outcome {
        var file: String
        var index: Int
        /// By output: shape and values.
        var outputs: [[Float]]
        /// By class of the first output.
        var probabilities: [Double]
    }

    func validate() throws {
        if top < 0 { throw ValidationError("--top must not be negative.") }
        if threads < 0 { throw ValidationError("--threads must not be negative.") }
        if plot != nil, input.count != 1 { throw ValidationError("--plot draws one INPUT.") }
        if input.filter({ $0 == "-" }).count > 1 { throw ValidationError("Standard input can be read once only.") }
    }

    func run() throws {
        let file = try Models.open(model)
        let scoring = try Scoring(file, path: model)
        let reader = try SampleReader(file, path: model)
        let session = try Models.session(
            try Models.runnable(file, path: model), execution.session(threads: threads), path: model)
        var outcomes: [Outcome] = []
        var stacked = [[UInt8]](repeating: [], count: session.outputCount)
        for path in input {
            let samples = try reader.open(path)
            for note in samples.notes where !format.json { Console.note("note: " + note) }
            for index in 0..<samples.count {
                try naming(path) { try reader.sample(of: samples.load(index)).set(on: session) }
                session.run()
                let values = try naming(model) { try (0..<session.outputCount).map { try session.outputFloats($0) } }
                outcomes.append(
                    Outcome(
                        file: path, index: index, outputs: values,
                        probabilities: values.first.map(scoring.probabilities) ?? []))
                if output != nil { for place in stacked.indices { stacked[place] += session.output(place) } }
            }
        }
        if let output { try write(stacked, count: outcomes.count, session, to: output) }
        if let plot, let outcome = outcomes.first { try draw(outcome, scoring, to: plot) }
        format.print(json(outcomes, session, scoring), text: text(outcomes, scoring))
    }

    /// The first picture or recording with its best classes.
    private func draw(_ outcome: Outcome, _ scoring: Scoring, to path: String) throws {
        let results = best(outcome, scoring).enumerated().map { place, candidate in
            PlottedResult(
                label: candidate.label, probability: candidate.score,
                isPositive: scoring.isMultiLabel ? candidate.isPositive : place == 0)
        }
        let drawing = try naming(outcome.file) { try Drawing(path: outcome.file, results: results).svg() }
        try writing(path) { try AtomicFile.write(Array(drawing.utf8), to: path) }
    }

    private func write(_ stacked: [[UInt8]], count: Int, _ session: Session, to path: String) throws {
        try writing(path) {
            var writer = SafetensorsWriter(padding: false)
            for (index, bytes) in stacked.enumerated() {
                let type = session.outputType(index)
                var shape = type.shape.dimensions
                // [1,classes] becomes [samples,classes]; an output without a leading 1 gets an axis of its own.
                if shape.first == 1 { shape[0] = count } else { shape.insert(count, at: 0) }
                try writer.add(session.outputName(index), type.dataType, shape, TensorData(elements: bytes))
            }
            try writer.write(to: path)
        }
    }

    // MARK: Reporting

    private struct Candidate {
        var index: Int
        var label: String
        var score: Double
        var isPositive: Bool
    }

    /// The likeliest classes, best first.
    private func best(_ outcome: Outcome, _ scoring: Scoring) -> [Candidate] {
        let scores = outcome.probabilities
        let order = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(top)
        return order.map {
            Candidate(
                index: $0, label: scoring.label($0), score: scores[$0],
                isPositive: scoring.isMultiLabel && scoring.isPositive(scores[$0], $0))
        }
    }

    private func json(_ outcomes: [Outcome], _ session: Session, _ scoring: Scoring) -> JSON {
        let inputs = outcomes.map { outcome -> JSON in
            let outputs = outcome.outputs.enumerated().map { index, values -> JSON in
                .object([
                    ("name", .string(session.outputName(index))),
                    ("shape", .integers(session.outputType(index).shape.dimensions)), ("values", .floats(values)),
                ])
            }
            let top = best(outcome, scoring).map { candidate -> JSON in
                let positive: [(String, JSON)] =
                    scoring.isMultiLabel ? [("positive", .bool(candidate.isPositive))] : []
                return .object(
                    [
                        ("index", .integer(candidate.index)), ("label", .string(candidate.label)),
                        ("score", .number(Double(Float(candidate.score)))),
                    ] + positive)
            }
            return .object([
                ("file", .string(outcome.file)), ("index", .integer(outcome.index)), ("outputs", .array(outputs)),
                ("top", .array(top)),
            ])
        }
        return .object([
            ("inputs", .array(inputs)), ("model", .string(model)), ("isa", .string(session.instructionSet.name)),
            ("threads", .integer(session.threads)),
        ])
    }

    private func text(_ outcomes: [Outcome], _ scoring: Scoring) -> String {
        let files = Set(outcomes.filter { $0.index > 0 }.map(\.file))
        return outcomes.map { outcome in
            let title = files.contains(outcome.file) ? "\(outcome.file) [\(outcome.index)]" : outcome.file
            let rows = best(outcome, scoring).map { candidate in
                [
                    (candidate.isPositive ? "* " : "  ") + candidate.label,
                    Format.fixed(100 * candidate.score, 1) + " %",
                    Format.bar(candidate.score),
                ]
            }
            return title + "\n" + Format.table(rows, leftColumns: [0, 2])
        }.joined(separator: "\n")
    }
}
