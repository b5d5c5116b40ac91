import AlulaTraining
import ArgumentParser

/// The options that choose a recipe and change it.
struct RecipeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "\(Recipe.builtIn.map(\.name).joined(separator: ", ")), or a JSON file. Default: ecg for recordings, cifar-finetune else.",
            valueName: "name|file"))
    var recipe: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Changes any key of the recipe, such as crop_padding=0.1.", valueName: "key=value"))
    var changes: [String] = []

    @Option(help: "Passes over the training data.") var epochs: String?
    @Option(help: "Examples a batch.") var batch: String?
    @Option(help: "Batches whose gradients make one step.") var accumulate: String?
    @Option(help: "sgd, adam or adamw.") var optimizer: String?
    @Option(help: "The highest learning rate.") var lr: String?
    @Option(help: "constant, cosine, step, exponential, one-cycle or plateau.") var schedule: String?
    @Option(help: "Epochs during which the rate rises.") var warmup: String?
    @Option(help: "Of matrices and filters.") var weightDecay: String?
    @Option(help: "Factor of the rate for every block further from the head.") var layerDecay: String?
    @Option(help: "Largest norm of all gradients together.") var clip: String?
    @Option(help: "Decay of the averaged weights that are kept.") var ema: String?
    @Option(help: "auto, cross-entropy, bce or focal.") var loss: String?
    @Option(help: "Share of a target that is spread over all classes.") var labelSmoothing: String?
    @Option(help: "Parameter of mixup's Beta distribution.") var mixup: String?
    @Option(help: "Parameter of CutMix's Beta distribution.") var cutmix: String?
    @Option(help: "Share of the last features that is dropped.") var dropout: String?
    @Option(help: "How often the deepest residual branch is left out.") var dropPath: String?
    @Option(help: "Epochs without progress after which training ends.") var earlyStop: String?
    @Option(help: "auto, loss, accuracy, macro-f1 or macro-auroc.") var monitor: String?
    @Option(help: "Rank of low-rank adapters that are trained instead of the weights.") var lora: String?

    @Option(
        help: ArgumentHelp("Weights that stay as they are: a name's start, or a pattern with *.", valueName: "pattern"))
    var freeze: [String] = []

    @Flag(help: "Batch norms keep their running statistics.") var freezeBn = false
    @Flag(help: "Trains through the rounding of int8.") var qat = false

    enum Augmentation: String, ExpressibleByArgument, CaseIterable { case none, standard, strong }

    @Option(help: "Replaces the recipe's random changes of inputs by none, standard or strong ones.")
    var augment: Augmentation?

    /// Keys and values in the order in which they are set.
    private var overrides: [(key: String, value: String)] {
        let named: [(String, String?)] = [
            ("epochs", epochs), ("batch", batch), ("accumulate", accumulate), ("optimizer", optimizer), ("lr", lr),
            ("schedule", schedule), ("warmup", warmup), ("weight_decay", weightDecay), ("layer_decay", layerDecay),
            ("clip", clip), ("ema", ema), ("loss", loss), ("label_smoothing", labelSmoothing), ("mixup", mixup),
            ("cutmix", cutmix), ("dropout", dropout), ("drop_path", dropPath), ("early_stop", earlyStop),
            ("monitor", monitor), ("lora", lora), ("freeze", freeze.isEmpty ? nil : freeze.joined(separator: ",")),
            ("freeze_bn", freezeBn ? "true" : nil), ("qat", qat ? "true" : nil),
        ]
        return named.compactMap { key, value in value.map { (key, $0) } }
    }

    /// Wrong values are wrong usage, whatever the recipe.
    func validate() throws {
        var recipe = Recipe()
        try apply(to: &recipe, isSignal: false)
        if let name = self.recipe, Recipe.named(name) == nil, !name.contains("."), !name.contains("/") {
            throw ValidationError(
                "--recipe \(name): recipes are \(Recipe.builtIn.map(\.name).joined(separator: ", ")), or a JSON file.")
        }
    }

    /// Whether anything but the number of epochs is asked for.
    var changesMoreThanEpochs: Bool {
        recipe != nil || augment != nil || !changes.isEmpty || overrides.contains { $0.key != "epochs" }
    }

    /// The recipe as the command line wants it; where a run goes on, its own one is what is changed.
    func resolved(_ resumed: Recipe?, isSignal: Bool) throws -> Recipe {
        if var resumed {
            try apply(to: &resumed, isSignal: isSignal)
            return resumed
        }
        var result = Recipe()
        let name = recipe ?? (isSignal ? "ecg" : "cifar-finetune")
        if let builtIn = Recipe.named(name) {
            result = builtIn
        } else {
            let bytes = try readFile(name)
            do throws(RecipeError) { result = try Recipe(json: bytes) } catch { throw Failure(name, error.message) }
        }
        try apply(to: &result, isSignal: isSignal)
        return result
    }

    func apply(to recipe: inout Recipe, isSignal: Bool) throws {
        if let augment { recipe.augment(augment, isSignal: isSignal) }
        var all = overrides
        for change in changes {
            let parts = change.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ValidationError("--set takes KEY=VALUE, not '\(change)'.") }
            all.append((String(parts[0]), String(parts[1])))
        }
        for (key, value) in all {
            do throws(RecipeError) { try recipe.set(key, value) } catch { throw ValidationError(error.message + ".") }
        }
    }
}

extension Recipe {
    fileprivate mutating func augment(_ strength: RecipeOptions.Augmentation, isSignal: Bool) {
        (cropPadding, cropScale, flip, randAugment, colorJitter, erasing) = (0, 1, false, 0, 0, 0)
        (mixup, cutmix, noise, wander, scaling, leadDropout, shift, timeMask) = (0, 0, 0, 0, 0, 0, 0, 0)
        guard strength != .none else { return }
        if isSignal {
            (noise, scaling) = (0.05, 0.2)
            if strength == .strong { (wander, leadDropout, shift, timeMask) = (0.2, 0.1, 0.1, 0.3) }
        } else {
            (cropPadding, flip) = (0.125, true)
            if strength == .strong { (randAugment, erasing, mixup, cutmix) = (2, 0.25, 0.8, 1) }
        }
    }
}
