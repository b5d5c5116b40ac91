/// Everything about a training that is chosen, but the model, the data, the seed and where files go.
///
/// Read from and written as one JSON object of the keys in `Recipe.fields`; what is absent keeps its default.
package struct Recipe: Sendable, Equatable {
    // Length
    package var epochs = 30
    package var batch = 64
    package var accumulate = 1
    package var earlyStop = 0
    package var monitor = Monitor.auto

    // Optimizer
    package var optimizer = Optimizer.Method.adamw
    package var rate = 1e-3
    package var weightDecay = 0.02
    package var momentum = 0.9
    package var nesterov = false
    package var beta1 = 0.9
    package var beta2 = 0.999
    package var epsilon = 1e-8
    package var layerDecay = 1.0
    package var clip = 0.0
    package var ema = 0.0

    // Schedule
    package var schedule = Schedule.Shape.cosine
    package var leastRate = 0.0
    package var warmup = 0.0
    package var warmupStart = 0.01
    package var factor = 0.1
    package var period = 10

    // Loss
    package var loss = Loss.auto
    package var labelSmoothing = 0.0
    package var focalGamma = 2.0
    package var balance = false
    package var distillWeight = 0.5
    package var distillTemperature = 2.0

    // Pictures
    package var cropPadding = 0.0
    package var cropScale = 1.0
    package var flip = false
    package var randAugment = 0
    package var magnitude = 9.0
    package var colorJitter = 0.0
    package var erasing = 0.0
    package var mixup = 0.0
    package var cutmix = 0.0

    // Recordings
    package var noise = 0.0
    package var wander = 0.0
    package var scaling = 0.0
    package var leadDropout = 0.0
    package var shift = 0.0
    package var timeMask = 0.0

    // The model while it trains
    package var dropout = 0.0
    package var dropPath = 0.0
    package var freezeBN = false
    package var freeze: [String] = []
    package var lora = 0
    package var qat = false

    package init() {}

    package enum Loss: String, CaseIterable, Sendable {
        /// Cross-entropy for models that pick one class, BCE for those that decide about each.
        case auto
        case crossEntropy = "cross-entropy"
        case bce
        case focal
    }

    /// What an epoch is judged by.
    package enum Monitor: String, CaseIterable, Sendable {
        /// Accuracy for models that pick one class, macro AUROC for those that decide about each.
        case auto
        case loss
        case accuracy
        case macroF1 = "macro-f1"
        case macroAUROC = "macro-auroc"

        /// Whether a smaller figure is a better one.
        package var prefersLess: Bool { self == .loss }
    }

    package var scheduleOptions: Schedule {
        var schedule = Schedule()
        (schedule.shape, schedule.rate, schedule.leastRate) = (self.schedule, rate, leastRate)
        (schedule.warmup, schedule.warmupStart) = (warmup, warmupStart)
        (schedule.factor, schedule.period) = (factor, period)
        return schedule
    }

    package var optimizerOptions: Optimizer.Options {
        var options = Optimizer.Options()
        (options.method, options.momentum, options.nesterov) = (optimizer, Float(momentum), nesterov)
        (options.beta1, options.beta2, options.epsilon) = (Float(beta1), Float(beta2), Float(epsilon))
        options.weightDecay = Float(weightDecay)
        return options
    }
}
