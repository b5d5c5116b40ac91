import AlulaData
import AlulaGraph
import AlulaSystem
import AlulaTraining
import ArgumentParser

/// `alula finetune`: trains a float model further.
struct Finetune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trains a float model on labelled data.",
        discussion: """
            DATA is one of \(DataLocation.forms). A recipe says how; every value of it can be changed here, by its option or by --set. Checkpoints,
            metrics.jsonl, TensorBoard's event file and report.html go to a folder beside the result, or to --logdir. Ctrl-C saves and stops; --resume
            goes on as if the run had not stopped, also after it was killed.

            Example:

              alula create edgevit-xxs -o fresh.alula --classes 100 --input 32x32
              alula finetune fresh.alula --data cifar100:cifar-100-binary --recipe cifar-scratch -o trained.alula
              alula finetune fresh.alula --data cifar100:cifar-100-binary -o trained.alula --resume trained.run/last.checkpoint
            """)

    @Argument(help: "A float model, as alula convert or alula create writes it.")
    var model: String

    @Option(help: ArgumentHelp("Labelled data: \(DataLocation.forms).", valueName: "data"))
    var data: DataLocation

    @Option(
        name: [.customShort("o"), .long], help: ArgumentHelp("The trained model to write.", valueName: "out.alula"))
    var output: String

    @OptionGroup(title: "Recipe") var recipe: RecipeOptions

    @Option(help: ArgumentHelp("Measures every epoch on these data instead of a part of --data.", valueName: "data"))
    var validation: DataLocation?

    @Option(
        help: "Share of each class that is held out to measure epochs, where the data have no part for it; 0 for none.")
    var holdOut = 0.1

    @Option(help: "PTB-XL: statements of a smaller likelihood, in percent, do not count.")
    var minLikelihood = 0.0

    @Option(help: ArgumentHelp("Replaces the last layer by a fresh one for this many classes.", valueName: "classes"))
    var newHead: Int?

    @Option(help: ArgumentHelp("Also learns from this model's answers.", valueName: "teacher.alula"))
    var distill: String?

    @Option(help: ArgumentHelp("Where logs and checkpoints go. Default: beside the result.", valueName: "dir"))
    var logdir: String?

    @Option(help: ArgumentHelp("Goes on from a checkpoint; the recipe is the checkpoint's.", valueName: "checkpoint"))
    var resume: String?

    @Option(help: ArgumentHelp("Write a checkpoint at least this often.", valueName: "seconds"))
    var saveEvery = 300.0

    @Option(help: "Decides the order of examples, their changes, dropped branches and a fresh head.")
    var seed: UInt64 = 0

    @Option(help: "Threads; 0 for one a physical core.")
    var threads = 0

    @Option(
        help: ArgumentHelp(
            "The most memory of a training step; layers are computed twice to stay below.", valueName: "bytes"))
    var memoryLimit: Int?

    @Flag(help: "Print one JSON object an epoch on standard output, a line each, and the result as the last one.")
    var json = false

    func validate() throws {
        if holdOut < 0 || holdOut >= 1 { throw ValidationError("--hold-out lies in 0..<1.") }
        if let newHead, newHead < 1 { throw ValidationError("--new-head must be at least 1.") }
        if threads < 0 { throw ValidationError("--threads must not be negative.") }
        if saveEvery < 0 { throw ValidationError("--save-every must not be negative.") }
        if let memoryLimit, memoryLimit < 1 { throw ValidationError("--memory-limit must be at least 1.") }
        if resume != nil, recipe.changesMoreThanEpochs {
            throw ValidationError("--resume goes on with the checkpoint's recipe; only --epochs may change.")
        }
        if output.hasSuffix("/") { throw ValidationError("-o names a file.") }
    }

    func run() throws {
        let start = alula_clock_nanoseconds()
        let run = try TrainingRun(self)
        let logs = try run.openLogs()
        if !json { Console.write(run.introduction) }
        alula_console_watch_interrupts()
        do { try run.train(logs) } catch let error as TrainerError {
            guard case .stopped = error else { throw error }
            let signal = alula_console_interrupt()
            if json {
                Console.write(
                    JSON.object([("stopped", .bool(true)), ("checkpoint", .string(run.files.last))]).text + "\n")
            }
            Console.fail("alula: \(error.message); go on with --resume \(run.files.last)", code: 128 + signal)
        }
        let result = try run.finish(logs)
        let seconds = Double(alula_clock_nanoseconds() - start) / 1e9
        Console.write(json ? result.json(seconds: seconds).text + "\n" : result.text(seconds: seconds))
    }
}
