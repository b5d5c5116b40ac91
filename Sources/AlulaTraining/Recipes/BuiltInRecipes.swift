extension Recipe {
    /// A recipe by name, with where it comes from.
    package static let builtIn: [(name: String, origin: String, recipe: Recipe)] = [
        ("ecg", "AdamW, one cycle; what trained MSW-Transformer best on 1,763 records of PTB-XL (models/trained)", ecg),
        (
            "ecg-paper",
            "Adam at 1e-4, a tenth every 10 epochs, early stopping on the validation loss, noise and scaling", ecgPaper
        ),
        (
            "cifar-finetune", "AdamW with warm-up and cosine for pretrained image models on pictures of their own size",
            cifarFinetune
        ),
        (
            "cifar-scratch",
            "AdamW, one cycle, crop, flip, a RandAugment operation, mixup or CutMix for untrained image models at 32 x 32 (models/trained)",
            cifarScratch
        ),
    ]

    package static func named(_ name: String) -> Recipe? { builtIn.first { $0.name == name }?.recipe }

    private static func make(_ change: (inout Recipe) -> Void) -> Recipe {
        var recipe = Recipe()
        change(&recipe)
        return recipe
    }

    private static let ecg = make {
        ($0.epochs, $0.batch, $0.rate, $0.schedule) = (40, 32, 1e-3, .oneCycle)
        ($0.weightDecay, $0.clip, $0.dropout, $0.dropPath) = (0.05, 1, 0.1, 0.1)
        ($0.noise, $0.scaling, $0.shift, $0.leadDropout, $0.timeMask) = (0.05, 0.2, 0.1, 0.1, 0.2)
    }

    private static let ecgPaper = make {
        ($0.epochs, $0.batch, $0.optimizer, $0.rate) = (50, 32, .adam, 1e-4)
        ($0.schedule, $0.factor, $0.period, $0.weightDecay) = (.step, 0.1, 10, 0)
        ($0.earlyStop, $0.monitor) = (10, .loss)
        ($0.noise, $0.scaling) = (0.05, 0.2)
    }

    private static let cifarFinetune = make {
        ($0.epochs, $0.batch, $0.rate, $0.weightDecay) = (20, 32, 2e-4, 0.05)
        ($0.warmup, $0.clip, $0.labelSmoothing) = (1, 1, 0.1)
        ($0.cropPadding, $0.flip, $0.mixup) = (0.125, true, 0.2)
        ($0.dropPath, $0.ema) = (0.05, 0.999)
    }

    private static let cifarScratch = make {
        ($0.epochs, $0.batch, $0.rate, $0.schedule) = (75, 128, 2e-3, .oneCycle)
        ($0.weightDecay, $0.labelSmoothing, $0.dropPath) = (0.1, 0.1, 0.1)
        ($0.cropPadding, $0.flip, $0.randAugment, $0.magnitude) = (0.125, true, 1, 7)
        ($0.mixup, $0.cutmix) = (0.8, 1)
    }
}
