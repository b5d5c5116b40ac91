import Alula
import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import ArgumentParser

/// `alula run`: a model on pictures or arrays.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a model on pictures, arrays or raw bytes.",
        discussion: """
            INPUT is a JPEG or PNG picture, an .npy or .safetensors file (axis 0 counts samples; channels may come first), or - for
            raw tensor bytes on standard input.

            Example:

              alula run model.alula cat.jpg dog.png --top 3
              alula run model.alula batch.safetensors --output logits.safetensors --json
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Argument(help: "Pictures, .npy or .safetensors files, or - for standard input.")
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

    @OptionGroup var format: OutputOptions

    private struct Outcome {
        var file: String
        var index: Int
        /// By output: shape and values.
        var outputs: [[Float]]
    }

    func validate() throws {
        if top < 0 { throw ValidationError("--top must not be negative.") }
        if threads < 0 { throw ValidationError("--threads must not be negative.") }
        if input.filter({ $0 == "-" }).count > 1 { throw ValidationError("Standard input can be read once only.") }
    }

    func run() throws {
        let file = try Models.open(model)
        let labels = try Models.labels(file, path: model)
        let reader = try SampleReader(file, path: model)
        let session = try Models.session(
            try Models.runnable(file, path: model), execution.session(threads: threads), path: model)
        var outcomes: [Outcome] = []
        var stacked = [[UInt8]](repeating: [], count: session.outputCount)
        for path in input {
            let samples = try reader.open(path)
            for index in 0..<samples.count {
                try naming(path) { try samples.load(index).set(on: session) }
                session.run()
                let values = try naming(model) { try (0..<session.outputCount).map { try session.outputFloats($0) } }
                outcomes.append(Outcome(file: path, index: index, outputs: values))
                if output != nil { for place in stacked.indices { stacked[place] += session.output(place) } }
            }
        }
        if let output { try write(stacked, count: outcomes.count, session, to: output) }
        format.print(json(outcomes, session, labels), text: text(outcomes, labels))
    }

    private func write(_ stacked: [[UInt8]], count: Int, _ session: Session, to path: String) throws {
        try naming(path) {
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

    private func best(_ outcome: Outcome, _ labels: [String]) -> [(index: Int, label: String, score: Float)] {
        guard let logits = outcome.outputs.first else { return [] }
        let scores = softmax(logits)
        let order = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(top)
        return order.map { ($0, $0 < labels.count ? labels[$0] : String($0), scores[$0]) }
    }

    private func json(_ outcomes: [Outcome], _ session: Session, _ labels: [String]) -> JSON {
        let inputs = outcomes.map { outcome -> JSON in
            let outputs = outcome.outputs.enumerated().map { index, values -> JSON in
                .object([
                    ("name", .string(session.outputName(index))),
                    ("shape", .integers(session.outputType(index).shape.dimensions)), ("values", .floats(values)),
                ])
            }
            let top = best(outcome, labels).map { candidate -> JSON in
                .object([
                    ("index", .integer(candidate.index)), ("label", .string(candidate.label)),
                    ("score", .number(Double(candidate.score))),
                ])
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

    private func text(_ outcomes: [Outcome], _ labels: [String]) -> String {
        let files = Set(outcomes.filter { $0.index > 0 }.map(\.file))
        return outcomes.map { outcome in
            let title = files.contains(outcome.file) ? "\(outcome.file) [\(outcome.index)]" : outcome.file
            let rows = best(outcome, labels).map { candidate in
                [
                    "  " + candidate.label, Format.fixed(100 * Double(candidate.score), 1) + " %",
                    Format.bar(Double(candidate.score)),
                ]
            }
            return title + "\n" + Format.table(rows, leftColumns: [0, 2])
        }.joined(separator: "\n")
    }
}
