import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaRuntime
import AlulaSystem
import ArgumentParser

/// `alula quantize`: a float model becomes an int8 model.
struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turns a float model into an int8 model.",
        discussion: """
            DATA is one of \(DataLocation.forms); labels are not needed. Pictures may lie in one folder or in one a class; axis 0
            of tensors counts samples. The same model, data and options always give the same file.

            Example:

              alula quantize model.alula -o model.int8.alula --calibrate images:photos --samples 128
            """)

    @Argument(help: "A float model, as alula convert writes it.")
    var model: String

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The int8 model to write.", valueName: "out.alula"))
    var output: String

    @Option(
        help: ArgumentHelp("Samples that show the range of every value: \(DataLocation.forms).", valueName: "data")
    )
    var calibrate: DataLocation

    @Option(help: "The part of the data: train, val, test or all.")
    var split = DataSplit.all

    @Option(help: "How many samples to look at, at most.")
    var samples = 128

    enum Method: String, ExpressibleByArgument, CaseIterable { case minmax, percentile, mse }

    @Option(
        help:
            "How ranges are chosen: everything seen, all but the rarest (see --percentile), or the least squared error."
    )
    var method = Method.minmax

    @Option(help: "The share of values, in percent, that stays inside the range.")
    var percentile = 99.99

    @Option(help: "Picks the samples when there are more than --samples, and the golden input.")
    var seed: UInt64 = 0

    @Option(
        parsing: .upToNextOption, help: ArgumentHelp("Results whose operators stay f32, by name.", valueName: "name"))
    var keepFloat: [String] = []

    @Flag(
        help: "The int8 model takes the bytes of pictures: their normalization becomes part of the first convolution.")
    var pixels = false

    @Option(help: "Threads; 0 for one a physical core. The result does not depend on it.")
    var threads = 0

    @OptionGroup var format: OutputOptions

    /// Samples that per-layer quality is measured on.
    private static let comparedSamples = 8

    func validate() throws {
        if samples < 1 { throw ValidationError("--samples must be at least 1.") }
        if threads < 0 { throw ValidationError("--threads must not be negative.") }
        guard percentile > 50, percentile <= 100 else {
            throw ValidationError("--percentile lies above 50 and is at most 100.")
        }
        guard seed <= UInt64(Int64.max) else { throw ValidationError("--seed is at most \(Int64.max).") }
    }

    func run() throws {
        let start = alula_clock_nanoseconds()
        let file = try Models.open(model)
        guard !file.graph.isQuantized else { throw Failure(model, "is quantized already") }
        guard !file.graph.isPacked else {
            throw Failure(
                model, "was converted with --optimize; quantize the model that alula convert writes without it")
        }
        var result = file
        var float = try naming(model) { try Pass.run(Pass.folding, on: file.graph) }
        if pixels {
            let preprocessor = try imagePreprocessor(file)
            float = try naming(model) { try float.takingPixels(preprocessor.normalization) }
            result.metadata[ModelFile.Key.preprocess] = try preprocessor.withoutNormalization().json
        }
        let reader = try SampleReader(result, path: model)
        let loaders = try loaders(reader)
        try checkKeptNames(float)

        let calibration = try calibrated(float, loaders)
        var options = Quantizer.Options()
        options.keepFloat = Set(keepFloat)
        options.takesPixels = pixels
        result.graph = try naming(model) {
            try Pass.run([Pass.pack], on: try Quantizer.quantize(float, calibration, options: options))
        }
        try naming(model) { try Golden.add(to: &result, seed: seed) }
        let sensitivity = try compared(float, result.graph, loaders)
        try writing(output) { try result.write(to: output) }

        let seconds = Double(alula_clock_nanoseconds() - start) / 1e9
        let sizes = (before: try size(model), after: try size(output))
        format.print(
            json(sensitivity, sizes, calibration.samples, seconds),
            text: text(sensitivity, sizes, calibration.samples, seconds))
    }

    /// Readers of at most `--samples` inputs, in the order of the data; each gives those of one example. Where there are fewer recordings
    /// than samples, each gives as many of its windows as its share is; `--seed` picks them.
    private func loaders(_ reader: SampleReader) throws -> [() throws -> [Sample]] {
        let chosen = Subset(try calibrate.dataset(reader, split: split), choosing: samples, seed: seed)
        return (0..<chosen.count).map { index in
            let share = samples / chosen.count + (index < samples % chosen.count ? 1 : 0)
            return {
                try naming(chosen.name(index)) {
                    let windows = try reader.windows(of: chosen.example(index))
                    let order = ExampleOrder(count: windows.count, seed: seed &+ UInt64(index))
                    let picked = order.indices(epoch: 0, prefix: min(share, windows.count)).sorted()
                    return try picked.map { try reader.sample(of: windows.load($0)) }
                }
            }
        }
    }

    private func imagePreprocessor(_ file: ModelFile) throws -> ImagePreprocessor {
        guard case .image(let preprocessor)? = try naming(model, { try file.inputPreprocessor() }) else {
            throw Failure(model, "--pixels: the model does not say how to prepare pictures (alula.preprocess)")
        }
        return preprocessor
    }

    private func checkKeptNames(_ graph: Graph) throws {
        let names = Set(graph.nodes.flatMap { $0.outputs.map { graph[$0].name } })
        if let unknown = keepFloat.first(where: { !names.contains($0) }) {
            throw Failure(
                model,
                "--keep-float: no operator gives \(unknown) (alula inspect --after fuse-residual shows the names)")
        }
    }

    private func calibrated(_ graph: Graph, _ loaders: [() throws -> [Sample]]) throws -> Calibration {
        let method: CalibrationMethod =
            switch method {
            case .minmax: .minMax
            case .percentile: .percentile(percentile / 100)
            case .mse: .meanSquaredError
            }
        var calibration = try naming(model) { try Calibration(graph, method: method, threads: threads) }
        var progress = Progress("calibrating", total: loaders.count)
        for loader in loaders {
            for sample in try loader() {
                let values = try floats(sample)
                try naming(calibrate.path) { try calibration.observe([values]) }
            }
            progress.advance()
        }
        progress.finish()
        return calibration
    }

    private func compared(_ float: Graph, _ quantized: Graph, _ loaders: [() throws -> [Sample]]) throws -> Sensitivity
    {
        var sensitivity = try naming(model) { try Sensitivity(float, quantized, threads: threads) }
        for loader in loaders.prefix(Quantize.comparedSamples) {
            guard let sample = try loader().first else { continue }
            let values = try floats(sample)
            try naming(model) { try sensitivity.observe([values]) }
        }
        return sensitivity
    }

    private func floats(_ sample: Sample) throws -> [Float] {
        guard case .floats(let values) = sample else {
            throw Failure(calibrate.path, "holds u8 numbers, but the float model takes f32")
        }
        return values
    }

    private func size(_ path: String) throws -> Int {
        try naming(path) { try Bytes(mapping: path).count }
    }

    // MARK: Reporting

    private func json(_ sensitivity: Sensitivity, _ sizes: (before: Int, after: Int), _ samples: Int, _ seconds: Double)
        -> JSON
    {
        .object([
            ("output", .string(output)), ("samples", .integer(samples)), ("method", .string(method.rawValue)),
            ("bytes_before", .integer(sizes.before)), ("bytes_after", .integer(sizes.after)),
            ("seconds", .rounded(seconds, 3)),
            ("logits_sqnr_db", sensitivity.outputLayers.first.map { .rounded($0.decibels, 2) } ?? .null),
            (
                "layers",
                .array(
                    sensitivity.layers.map {
                        .object([
                            ("name", .string($0.name)), ("operator", .string($0.operatorName)),
                            ("sqnr_db", .rounded($0.decibels, 2)),
                        ])
                    })
            ),
        ])
    }

    private func text(_ sensitivity: Sensitivity, _ sizes: (before: Int, after: Int), _ samples: Int, _ seconds: Double)
        -> String
    {
        let worst = sensitivity.layers.sorted { $0.decibels < $1.decibels }.prefix(5)
        let rows = worst.map { ["  " + $0.name, $0.operatorName, Format.fixed($0.decibels, 1) + " dB"] }
        let logits = sensitivity.outputLayers.map { "\($0.name) \(Format.fixed($0.decibels, 1)) dB" }.joined(
            separator: ", ")
        return """
            \(output): \(Format.bytes(sizes.before)) -> \(Format.bytes(sizes.after)), \(samples) samples, \(Format.fixed(seconds, 1)) s
            signal to quantization noise: \(logits)
            layers with the most noise:

            """ + Format.table(rows, leftColumns: [0, 1])
    }
}
