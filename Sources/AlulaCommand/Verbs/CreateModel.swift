import AlulaData
import AlulaGraph
import ArgumentParser
import ModelBuilding

/// Two sizes with an x between them: height and width of an image, or leads and samples of a signal.
struct InputSize: ExpressibleByArgument {
    var first: Int
    var second: Int

    init?(argument: String) {
        let parts = argument.split(separator: "x", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = Int(parts[0]), let second = Int(parts[1]), first > 0, second > 0 else {
            return nil
        }
        (self.first, self.second) = (first, second)
    }
}

/// `key=value` of a configuration; a value that is no JSON is a word.
struct ConfigurationSetting: ExpressibleByArgument {
    var key: String
    var value: ConfigurationValue

    init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else { return nil }
        let text = argument[argument.index(after: sign)...]
        key = String(argument[..<sign])
        let document = Array("{\"value\":\(text)}".utf8)
        value = (try? ConfigurationValue.object(parsing: document))?["value"] ?? .string(String(text))
    }
}

/// `alula create ARCH`: a model to train.
struct CreateModel: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Makes a fresh float model with the weights that its training starts from.",
        discussion: """
            ARCH is one of \(Architectures.names.joined(separator: ", ")). The word "model" may be left out.

            Example:

              alula create edgevit-xxs -o edgevit.alula --classes 100 --input 32x32
              alula create msw-transformer-tiny -o ecg.alula --classes 5 --input 12x1000
              alula create msw-transformer -o ecg500.alula --rate 500
              alula create edgevit-xxs -o small.alula --classes 100 --input 32x32 --set patch_size=2

            --set changes what the architecture is made of, in the words of its config.json:

            \(Architectures.settings)
            """)

    @Argument(help: ArgumentHelp("The architecture.", valueName: "arch"))
    var architecture: String

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The model to write.", valueName: "model.alula"))
    var output: String

    @Option(help: "How many classes the model tells apart. Default: as published.")
    var classes: Int?

    @Option(
        help: ArgumentHelp(
            "Height and width of pictures, or leads and samples of signals. Default: as published.", valueName: "size"))
    var input: InputSize?

    @Option(
        help: ArgumentHelp(
            "Samples a second of signals; patches and the default input last as long at any rate. Default: 100.",
            valueName: "hz"))
    var rate: Double?

    @Option(help: ArgumentHelp("Names of the classes: a text file with one a line, or JSON.", valueName: "file"))
    var labels: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp(
            "Changes a key of the architecture's configuration, such as windows=[5,10].", valueName: "key=value"))
    var settings: [ConfigurationSetting] = []

    @Option(help: "Determines the weights.")
    var seed: UInt64 = 0

    @OptionGroup var format: OutputOptions

    func validate() throws {
        guard Architectures.family(named: architecture) != nil else {
            throw ValidationError(
                "\(architecture) is no architecture; known are \(Architectures.names.joined(separator: ", ")).")
        }
        let known = Architectures.family(named: architecture)?.settings ?? []
        for setting in settings where !known.contains(setting.key) {
            let list = known.isEmpty ? "none" : known.joined(separator: ", ")
            throw ValidationError("--set has no key \(setting.key) for \(architecture); known: \(list).")
        }
        if let classes, classes < 1 { throw ValidationError("--classes must be at least 1.") }
        if let rate {
            guard (20...10_000).contains(rate) else { throw ValidationError("--rate lies in 20…10000.") }
            guard Architectures.family(named: architecture)?.input == .signal else {
                throw ValidationError("--rate is for models of signals.")
            }
        }
    }

    func run() throws {
        guard let family = Architectures.family(named: architecture) else { return }
        var request = ModelFamily.Request(
            architecture: architecture, classes: classes, input: input.map { ($0.first, $0.second) }, rate: rate,
            seed: seed)
        for setting in settings { request.settings[setting.key] = setting.value }
        let model: ModelFamily.Model
        do throws(ModelError) { model = try family.create(request) } catch { throw Failure(output, error.message) }
        var metadata: [String: String] = [:]
        let shape = model.graph.shape(model.graph.inputs[0])
        switch family.input {
        case .image:
            metadata[ModelFile.Key.preprocess] =
                try naming(output) { try ImagePreprocessor.standard(height: shape[1], width: shape[2]) }.json
        case .signal:
            metadata[ModelFile.Key.task] = ModelFile.multiLabelTask
            metadata[ModelFile.Key.preprocess] =
                SignalPreprocessor.standard(leads: shape[3], length: shape[2], rate: rate ?? 100)?.json
        }
        if let labels {
            let names = try Labels.read(labels)
            guard names.count == model.graph.shape(model.graph.outputs[0]).last else {
                throw Failure(labels, "has \(names.count) labels, but the model has another number of classes")
            }
            metadata[ModelFile.Key.labels] = JSON.strings(names).text
        }
        let file = ModelFile(graph: model.graph, metadata: metadata)
        try writing(output) { try file.write(to: output) }
        let report = model.report
        let keys: [(String, JSON)] = [
            ("output", .string(output)), ("architecture", .string(report.architecture)),
            ("parameters", .integer(report.parameters)), ("macs", .integer(report.macs)),
        ]
        format.print(
            .object(keys),
            text: """
                \(output): \(report.architecture), \(Format.count(report.parameters)) parameters, \
                \(Format.count(report.macs)) MACs, untrained

                """)
    }
}
