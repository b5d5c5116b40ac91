import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaSystem
import ArgumentParser
import ModelBuilding

/// `alula convert`: pretrained weights become a frozen float model.
struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turns pretrained weights into a frozen model.",
        discussion: """
            SOURCE is a Hugging Face or timm folder (config.json with model.safetensors, tf_model.h5 or pytorch_model.bin), or one
            file: safetensors, Keras HDF5 (.h5), a PyTorch checkpoint (.bin, .pth, .pt), of which nothing is executed, or an .onnx
            model. Formats are told apart by content, architectures by tensor names and shapes; an ONNX model brings its own graph.
            The float model can be quantized and trained; with --optimize it is folded, fused and packed, ready to be run as it is.

            Example:

              alula convert efficientformer-l1-300 -o efficientformer-l1.alula
              alula convert weights.safetensors --config config.json --labels classes.txt -o model.alula
              alula convert tf_model.h5 --config config.json -o model.alula
              alula convert mobilevit.onnx --shape input=1x3x256x256 -o mobilevit.alula
            """)

    @Argument(help: "A folder or a file with pretrained weights.")
    var source: String

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The model to write.", valueName: "model.alula"))
    var output: String

    @Option(
        help:
            "The architecture, where names and shapes do not tell: \(Architectures.names.joined(separator: ", "))."
    )
    var arch: String?

    @Option(
        help: ArgumentHelp("The model's configuration; default: config.json of the folder.", valueName: "config.json"))
    var config: String?

    @Option(help: ArgumentHelp("Names of the classes: a text file with one a line, or JSON.", valueName: "file"))
    var labels: String?

    @Option(
        help: ArgumentHelp(
            "How pictures are prepared: a preprocessor_config.json; for recordings, alula.preprocess's JSON.",
            valueName: "file"))
    var preprocess: String?

    @Option(help: ArgumentHelp("ONNX: the batch size, where the model leaves it open; default: 1.", valueName: "n"))
    var batch: Int?

    @Option(
        help: ArgumentHelp(
            "ONNX: the shape of an input, where the model leaves it open; may be repeated.",
            valueName: "name=1x3x224x224"))
    var shape: [String] = []

    @Flag(help: "Write the model folded, fused and packed: it runs at once, but cannot be quantized or trained.")
    var optimize = false

    @OptionGroup var format: OutputOptions

    func run() throws {
        let start = alula_clock_nanoseconds()
        let weights = try WeightSource(source, configuration: config)
        if weights.isONNX { return try convertONNX(weights, start: start) }
        if batch != nil || !shape.isEmpty {
            throw ValidationError(
                "--batch and --shape are for ONNX models; an architecture's configuration says its shapes")
        }
        let (checkpoint, sourceNotes) = try weights.checkpoint()
        let family = try family(checkpoint, weights)
        let document = try weights.configuration.map { try readFile($0) }
        var (graph, report): ModelFamily.Model
        do throws(ModelError) { (graph, report) = try family.convert(document, arch, checkpoint) } catch {
            throw error.failure(weights: weights.weights, configuration: weights.configuration)
        }
        var notes = sourceNotes + report.notes
        var metadata = [ModelFile.Key.source: Convert.record(graph, architecture: report.architecture)]
        let names = try labels.map { try Labels.read($0) } ?? report.labels
        if !names.isEmpty {
            try checkLabels(names, graph)
            metadata[ModelFile.Key.labels] = JSON.strings(names).text
        }
        switch family.input {
        case .image: metadata[ModelFile.Key.preprocess] = try preprocessing(weights, graph, &notes).json
        case .signal:
            metadata[ModelFile.Key.task] = ModelFile.multiLabelTask
            metadata[ModelFile.Key.preprocess] = try signalPreprocessing(weights, graph, &notes)?.json
        }
        if optimize {
            graph = try naming(source) { try Pass.run(Pass.folding + Pass.floatOnly, on: graph) }
        }
        let file = ModelFile(graph: graph, metadata: metadata)
        try writing(output) { try file.write(to: output) }
        let seconds = Double(alula_clock_nanoseconds() - start) / 1e9
        if format.json {
            Console.write(json(report, notes, seconds, source: try weights.record()).text + "\n")
        } else {
            Console.write(text(report, notes, seconds))
        }
    }

    /// JSON for `alula.source`: what the model was made of, by the numbers themselves, so that the same weights give the same model whatever
    /// file they came in. The digest is that of every constant in the graph's order: name, type with shape, and elements.
    private static func record(_ graph: Graph, architecture: String) -> String {
        var hash = SHA256()
        for id in graph.constants {
            hash.update("\(graph[id].name) \(graph.type(id).text)\n")
            graph[id].constant?.data?.withUnsafeBytes { hash.update($0) }
        }
        return JSON.object([
            ("architecture", .string(architecture)), ("weights_sha256", .string(hash.finish())),
        ]).text
    }

    /// By `--arch`, by the tensors' names, or, so that missing tensors can be named, by the configuration.
    private func family(_ checkpoint: Checkpoint, _ weights: WeightSource) throws -> ModelFamily {
        if let arch {
            guard let family = Architectures.family(named: arch) else {
                throw Failure(
                    nil, "\(arch) is no architecture; known are \(Architectures.names.joined(separator: ", "))")
            }
            return family
        }
        if let family = Architectures.family(of: checkpoint) { return family }
        guard let path = weights.configuration else {
            throw Failure(weights.weights, "the tensor names are of no known architecture; --arch names one")
        }
        if let family = Architectures.family(configuredBy: try readFile(path)) { return family }
        throw Failure(path, "names no known architecture, and the tensor names are of none; --arch names one")
    }

    func checkLabels(_ names: [String], _ graph: Graph) throws {
        let classes = graph.outputs.first.map { graph.shape($0).last } ?? 0
        guard names.count == classes else {
            throw Failure(labels ?? config ?? source, "has \(names.count) labels, but the model has \(classes) classes")
        }
    }

    /// From `--preprocess`, the folder's own file, timm's part of its configuration, or the standard, in this order.
    func preprocessing(_ weights: WeightSource, _ graph: Graph, _ notes: inout [String]) throws
        -> ImagePreprocessor
    {
        let side = (height: graph.shape(graph.inputs[0])[1], width: graph.shape(graph.inputs[0])[2])
        if let path = preprocess ?? weights.preprocessor {
            let bytes = try readFile(path)
            let preprocessor = try naming(path) { try ImagePreprocessor(huggingFace: bytes) }
            if let crop = preprocessor.crop, crop.height != side.height || crop.width != side.width {
                throw Failure(
                    path, "crops to \(crop.width) x \(crop.height), but the model takes \(side.width) x \(side.height)")
            }
            return preprocessor
        }
        if let path = weights.configuration, let bytes = try? readFile(path),
            String(decoding: bytes, as: UTF8.self).contains("\"pretrained_cfg\""),
            let preprocessor = try? ImagePreprocessor(timm: bytes),
            preprocessor.crop.map({ $0.height == side.height && $0.width == side.width }) == true
        {
            return preprocessor
        }
        notes.append(
            "no preprocessor_config.json: pictures are resized to \(side.width) x \(side.height), ImageNet statistics")
        return try naming(source) { try .standard(height: side.height, width: side.width) }
    }

    /// From `--preprocess`, or the folder's own file, both in the form that `alula inspect` shows, else the standard.
    private func signalPreprocessing(_ weights: WeightSource, _ graph: Graph, _ notes: inout [String]) throws
        -> SignalPreprocessor?
    {
        let shape = graph.shape(graph.inputs[0])
        if let path = preprocess ?? weights.preprocessor {
            let text = String(decoding: try readFile(path), as: UTF8.self)
            let preprocessor = try naming(path) { try SignalPreprocessor(json: text) }
            guard preprocessor.leads.count == shape[3], preprocessor.length == shape[2] else {
                throw Failure(
                    path,
                    "gives \(preprocessor.length) samples of \(preprocessor.leads.count) leads, but the model takes \(shape[2]) of \(shape[3])"
                )
            }
            return preprocessor
        }
        let standard = SignalPreprocessor.standard(leads: shape[3], length: shape[2])
        notes.append(
            standard == nil
                ? "no --preprocess: \(shape[3]) leads have no usual names, so the model takes arrays only"
                : "no --preprocess: recordings are filtered to 0.5-40 Hz and resampled to 100 Hz, every lead is normalized"
        )
        return standard
    }

    // MARK: Reporting

    private func json(_ report: ModelReport, _ notes: [String], _ seconds: Double, source: JSON) -> JSON {
        .object([
            ("output", .string(output)), ("source", source), ("architecture", .string(report.architecture)),
            ("naming", .string(report.naming)),
            (
                "tensors",
                .object([
                    ("used", .integer(report.usedCount)), ("ignored", .integer(report.ignored.count)),
                    ("missing", .integer(0)),
                    ("unused", .integer(report.unused.count)),
                ])
            ),
            (
                "ignored",
                .array(report.ignored.map { .object([("name", .string($0.name)), ("reason", .string($0.reason))]) })
            ),
            ("unused", .strings(report.unused)),
            ("parameters", .integer(report.parameters)), ("macs", .integer(report.macs)),
            ("seconds", .rounded(seconds, 3)),
            ("optimized", .bool(optimize)), ("notes", .strings(notes)),
        ])
    }

    private func text(_ report: ModelReport, _ notes: [String], _ seconds: Double) -> String {
        var text = """
            \(output): \(report.architecture), \(Format.count(report.parameters)) parameters, \(Format.count(report.macs)) MACs
            tensors: \(report.usedCount) used, \(report.ignored.count) ignored, 0 missing, \(report.unused.count) unused \
            (\(Format.fixed(seconds, 1)) s)

            """
        for name in report.unused.prefix(10) { text += "  unused: \(name)\n" }
        if report.unused.count > 10 { text += "  and \(report.unused.count - 10) more\n" }
        for note in notes { text += "note: \(note)\n" }
        return text
    }
}
