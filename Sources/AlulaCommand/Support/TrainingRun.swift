import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaSystem
import AlulaTraining
import Foundation

/// One run of `alula finetune`: what it trains, on what, and where it writes.
final class TrainingRun {
    let files: Trainer.Files
    private let options: Finetune
    private let folder: String
    private let model: ModelFile
    private let data: TrainingData
    private let classes: ClassMap
    private let preparation: InputPreparation
    private let recipe: Recipe
    private let trainer: Trainer
    private let batches: BatchMaker
    private let validation: Validation?
    private let parameters: Int
    private let resumedAt: Int?

    /// Logs of a run that goes on.
    struct Logs {
        var metrics: MetricsLog
        var events: EventFile
    }

    init(_ options: Finetune) throws {
        let path = options.model
        var model = try Models.open(path)
        guard !model.graph.isQuantized else {
            throw Failure(path, "is quantized; train the float model it was made of")
        }
        guard !model.graph.isPacked else {
            throw Failure(path, "was converted with --optimize; train the model that alula convert writes without it")
        }
        guard model.graph.outputs.count == 1 else {
            throw Failure(path, "has \(model.graph.outputs.count) outputs; models with one are trained")
        }
        let reader = try SampleReader(model, path: path)
        let data = try TrainingData(
            options.data, separate: options.validation, share: options.holdOut,
            minimumLikelihood: options.minLikelihood, reader)
        let seed = TrainingSeed(options.seed)
        try TrainingRun.replaceHead(&model, options, data, seed)
        let classes = try TrainingRun.classes(model, options, data)
        let preprocessor = try naming(path) { try model.inputPreprocessor() }
        let preparation = InputPreparation(preprocessor, shape: Array(reader.type.shape.dimensions.dropFirst()))

        let checkpoint = try options.resume.map { try reading($0) { try TrainingCheckpoint(contentsOf: $0) } }
        let recipe = try options.recipe.resolved(checkpoint?.recipe, isSignal: preparation.isSignal)
        let identity = try RunIdentity(options, data)
        if let checkpoint, let resume = options.resume { try identity.check(checkpoint.identity, path: resume) }

        let folder =
            options.logdir ?? options.resume.map { TrainingRun.folder(of: $0) }
            ?? TrainingRun.folder(beside: options.output)
        let files = Trainer.Files(folder: folder)
        let batches = BatchMaker(
            data.training, classes, preparation, recipe: recipe, seed: seed,
            threads: options.threads > 0 ? options.threads : Int(alula_physical_cores()))
        let validation = data.validation.map { Validation($0, classes, preparation, threads: options.threads) }
        let teacher = try options.distill.map {
            try TrainingRun.teacher($0, model, path: path, threads: options.threads)
        }
        var wishes = CoreOptions()
        (wishes.isMultiLabel, wishes.threads, wishes.seed) = (classes.isMultiLabel, options.threads, seed)
        (wishes.memoryLimit, wishes.teacher, wishes.hasNewHead) = (options.memoryLimit, teacher, options.newHead != nil)
        wishes.targets = { (0..<data.training.count).map { classes.vector(data.training.target($0)) } }
        wishes.calibrationInputs = { try TrainingRun.calibrationInputs(data.training, preparation, seed) }
        let core = try naming(path) { try TrainingCore(model.graph, recipe: recipe, wishes) }
        let trainer = try naming(options.data.path) {
            try Trainer(
                core, recipe: recipe, seed: seed, batches: batches, validation: validation, files: files,
                identity: identity.text, saveInterval: options.saveEvery)
        }
        if let checkpoint, let resume = options.resume {
            try reading(resume) { try trainer.resume(from: checkpoint, path: $0) }
        }
        parameters = core.parameters.reduce(0) { $0 + $1.values.count }
        resumedAt = checkpoint?.state.step
        (self.options, self.folder, self.files, self.model, self.data) = (options, folder, files, model, data)
        (self.classes, self.preparation, self.recipe, self.trainer) = (classes, preparation, recipe, trainer)
        (self.batches, self.validation) = (batches, validation)
    }

    /// The folder that a checkpoint lies in.
    private static func folder(of checkpoint: String) -> String {
        checkpoint.lastIndex(of: "/").map { String(checkpoint[..<$0]) } ?? "."
    }

    /// `out.alula` becomes `out.run`.
    private static func folder(beside output: String) -> String { stem(output) + ".run" }

    private static func stem(_ output: String) -> String {
        output.hasSuffix(".alula") ? String(output.dropLast(6)) : output
    }

    // MARK: Preparing

    private static func replaceHead(
        _ model: inout ModelFile, _ options: Finetune, _ data: TrainingData, _ seed: TrainingSeed
    ) throws {
        guard let count = options.newHead else { return }
        guard count >= data.training.classes.count else {
            throw Failure(options.data.path, "has \(data.training.classes.count) classes, --new-head \(count)")
        }
        model.graph = try naming(options.model) {
            try model.graph.withNewHead(classes: count, seed: seed.seed(.weights))
        }
        // What the old classes were means nothing for the new ones.
        model.metadata[ModelFile.Key.labels] = nil
        model.metadata[ModelFile.Key.thresholds] = nil
        model.metadata[ModelFile.Key.task] = data.training.isMultiLabel ? ModelFile.multiLabelTask : nil
        if data.namesCount, count == data.training.classes.count {
            model.metadata[ModelFile.Key.labels] = JSON.strings(data.training.classes).text
        }
    }

    private static func teacher(_ path: String, _ student: ModelFile, path studentPath: String, threads: Int) throws
        -> Teacher
    {
        let file = try Models.open(path)
        let teacher = try naming(path) { try Teacher(file.graph, threads: threads) }
        let shape = Array(student.graph.shape(student.graph.inputs[0]).dimensions.dropFirst())
        guard teacher.inputShape == shape else {
            throw Failure(
                path,
                "takes \(Shape(teacher.inputShape).description), but the model that learns from it \(Shape(shape).description)"
            )
        }
        guard teacher.classCount == student.graph.shape(student.graph.outputs[0]).elementCount else {
            throw Failure(path, "has \(teacher.classCount) classes, but the model that learns from it another number")
        }
        guard file.metadata[ModelFile.Key.preprocess] == student.metadata[ModelFile.Key.preprocess] else {
            throw Failure(path, "prepares its inputs in another way than \(studentPath) (alula.preprocess)")
        }
        return teacher
    }

    private static func classes(_ model: ModelFile, _ options: Finetune, _ data: TrainingData) throws -> ClassMap {
        let scoring = try Scoring(model, path: options.model)
        let count = model.graph.shape(model.graph.outputs[0]).elementCount
        return try naming(options.data.path) {
            try ClassMap(
                model: scoring.labels, count: count, isMultiLabel: scoring.isMultiLabel, data: data.training,
                namesCount: data.namesCount)
        }
    }

    /// Training examples as they are, the same for every run of a seed.
    private static func calibrationInputs(
        _ dataset: any Dataset, _ preparation: InputPreparation, _ seed: TrainingSeed
    ) throws -> [[Float]] {
        let chosen = Subset(dataset, choosing: 256, seed: seed.seed(.order))
        return try (0..<chosen.count).map { index in
            try naming(chosen.name(index)) { try preparation.input(try chosen.example(index)) }
        }
    }

    // MARK: Running

    var introduction: String {
        var text = "\(options.model): \(Format.count(parameters)) parameters to train"
        text += ", \(data.training.count) examples, \(classes.count) classes"
        text += data.validation.map { ", measured on \($0.count) others\n" } ?? ", nothing to measure on\n"
        if let resumedAt { text += "goes on after step \(resumedAt), epoch \(trainer.state.epoch + 1)\n" }
        return text
    }

    func openLogs() throws -> Logs {
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw Failure(folder, "cannot be made a folder")
        }
        return try reading(folder) { folder in
            Logs(
                metrics: try MetricsLog(folder + "/metrics.jsonl", history: trainer.state.history),
                events: try EventFile(folder: folder, resumedAt: resumedAt))
        }
    }

    func train(_ logs: Logs) throws {
        let display = TrainingDisplay(batch: recipe.batch * recipe.accumulate)
        var observer = Trainer.Observer()
        observer.shouldStop = { alula_console_interrupt() != 0 }
        observer.measured = display.measured
        observer.step = { report in
            display.step(report)
            // Fifty points an epoch are enough for a curve.
            guard report.step % max(1, report.stepsPerEpoch / 50) == 0 else { return }
            try? logs.events.add(
                [("step/loss", report.loss), ("step/lr", report.rate), ("step/gradient_norm", report.gradientNorm)],
                step: report.step)
        }
        observer.epoch = { [recipe, json = options.json] record in
            display.clear()
            try logs.metrics.add(record)
            var scalars = [("train/loss", record.trainLoss), ("lr", record.rate)]
            if let accuracy = record.trainAccuracy { scalars.append(("train/accuracy", accuracy)) }
            if let loss = record.validationLoss { scalars.append(("val/loss", loss)) }
            scalars += record.figures.map { ("val/" + $0.key, $0.value) }
            scalars.append(("examples_per_second", record.examplesPerSecond))
            try logs.events.add(scalars, step: record.step)
            Console.write(
                json ? JSON.object(record.json).text + "\n" : TrainingDisplay.line(record, of: recipe.epochs))
        }
        defer { display.clear() }
        do { try trainer.run(observer) } catch let error as ExampleError {
            throw Failure(error.name, cause(of: error.underlying))
        } catch let error as TrainingFileError { throw Failure(error.path, error.cause) } catch let error
            as TrainerError
        {
            if case .stopped = error { throw error }
            throw Failure(options.model, error.message)
        }
    }

    /// Writes the model of the best epoch, its int8 form where it was trained for it, and the report.
    func finish(_ logs: Logs) throws -> TrainingSummary {
        logs.metrics.close()
        logs.events.close()
        let graphs = try reading(options.model) { _ in try trainer.bestGraphs() }
        let float = file(graphs.float)
        try naming(options.output) { try float.write(to: options.output) }
        let int8 = try graphs.int8.map { graph in
            let path = TrainingRun.stem(options.output) + ".int8.alula"
            var file = file(graph)
            try naming(path) {
                try Golden.add(to: &file, seed: 0)
                try file.write(to: path)
            }
            return path
        }
        let report = folder + "/report.html"
        let page = try page(graphs.measured)
        try naming(report) { try AtomicFile.write(Array(page.text.utf8), to: report) }
        return TrainingSummary(
            output: options.output, int8: int8, folder: folder, checkpoint: files.last, report: report,
            state: trainer.state,
            parameters: parameters, recipe: recipe)
    }

    private func file(_ graph: Graph) -> ModelFile {
        var file = ModelFile(graph: graph, metadata: model.metadata)
        // Whatever was measured or promised of the old weights.
        file.metadata[ModelFile.Key.golden] = nil
        file.metadata[ModelFile.Key.arena] = nil
        file.metadata[ModelFile.Key.trained] = trained
        if !classes.labels.isEmpty { file.metadata[ModelFile.Key.labels] = JSON.strings(classes.labels).text }
        return file
    }

    /// What the model file says of its training.
    private var trained: String {
        let data = options.data.path.split(separator: "/").last.map(String.init) ?? ""
        return JSON.object([
            ("data", .string(data)), ("examples", .integer(self.data.training.count)),
            ("epoch", .integer(trainer.state.bestEpoch)), ("seed", .string(String(options.seed))),
            ("recipe", recipe.json),
        ]).text
    }

    private func page(_ graph: Graph) throws -> TrainingPage {
        let state = trainer.state
        var facts = [
            ("Model", "\(options.model), \(Format.count(parameters)) parameters trained"),
            (
                "Data",
                "\(options.data.path): \(data.training.count) examples to train on, \(data.validation?.count ?? 0) to measure on, \(classes.count) classes"
            ),
            ("Result", options.output),
            ("Time", TrainingDisplay.duration(state.history.reduce(0) { $0 + $1.seconds }) + " of training"),
        ]
        if options.seed != 0 { facts.append(("Seed", String(options.seed))) }
        return TrainingPage(
            title: "Training of \(options.output.split(separator: "/").last ?? "")", facts: facts,
            history: state.history,
            bestEpoch: state.bestEpoch, confusion: try confusion(graph),
            samples: try TrainingSamples.drawn(batches, preparation, names: names), areSignals: preparation.isSignal,
            recipe: Recipe.fields.map(\.key).compactMap { key in recipe.text(key).map { (key, $0) } })
    }

    private var names: [String] {
        (0..<classes.count).map { $0 < classes.labels.count ? classes.labels[$0] : String($0) }
    }

    private func confusion(_ graph: Graph) throws -> (names: [String], counts: [Int], supports: [Int])? {
        guard let result = try validation?.measure(graph) else { return nil }
        if let single = result.single {
            return (names, single.confusion, single.classes.map(\.support))
        }
        guard let multiple = result.multiple else { return nil }
        let count = multiple.classCount
        var counts = [Int](repeating: 0, count: count * count)
        for example in 0..<multiple.count {
            for truth in 0..<count where multiple.labels[truth][example] {
                for decision in 0..<count where multiple.scores[decision][example] >= 0.5 {
                    counts[truth * count + decision] += 1
                }
            }
        }
        return (classes.places.map { names[$0] }, counts, multiple.labels.map { $0.count { $0 } })
    }
}

/// Runs `body`; an error of a training file names its own path.
func reading<Result>(_ path: String, _ body: (String) throws -> Result) throws -> Result {
    try naming(path) {
        do { return try body(path) } catch let error as TrainingFileError { throw Failure(error.path, error.cause) }
    }
}
