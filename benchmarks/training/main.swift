import AlulaGraph
import AlulaRuntime
import AlulaTraining
import EdgeViT
import EfficientFormer

// train-bench MODEL BATCH THREADS STEPS [keep] [profile] [steps]
//
// Images a second of whole training steps: forward, backward, AdamW. MODEL is efficientformer-l1 (224 x 224, 1000 classes) or edgevit-xxs-cifar (32 x 32, first patch 2,
// 100 classes), with drawn weights. `keep` keeps all forward values; `profile` says where a step's time goes by kernel, `steps` by node. torch_step.py does the same in PyTorch.

func model(_ name: String) throws -> Graph {
    if name == "edgevit-xxs-cifar" {
        var configuration = try EdgeViTConfiguration(architecture: "edgevit-xxs")
        (configuration.height, configuration.width, configuration.classes, configuration.patch) = (32, 32, 100, 2)
        return try EdgeViT.build(configuration, EdgeViT.checkpoint(configuration, .training, seed: 1)).graph
    }
    let configuration = try EfficientFormerConfiguration(architecture: name)
    return try EfficientFormer.build(configuration, EfficientFormer.checkpoint(configuration, .training, seed: 1)).graph
}

func report(_ session: TrainingSession, _ profile: Profile) {
    var kernels: [String: UInt64] = [:]
    for (step, nanoseconds) in zip(session.steps, profile.nanoseconds) {
        kernels["\(step.operatorName): \(step.kernel), \(step.instructionSet.name)", default: 0] += nanoseconds
    }
    let total = max(1, kernels.values.reduce(0, +))
    for (name, time) in kernels.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) where time * 1000 > total {
        print("\(time / UInt64(max(1, profile.runs)) / 1000) us, \(time * 1000 / total) per mille: \(name)")
    }
}

/// Each step that takes a quarter of a thousandth of the time or more, with its rate if it multiplies.
func reportSteps(_ session: TrainingSession, _ profile: Profile) {
    let total = max(1, profile.nanoseconds.reduce(0, +))
    let runs = UInt64(max(1, profile.runs))
    for (step, nanoseconds) in zip(session.steps, profile.nanoseconds) where nanoseconds * 4000 > total {
        let rate = step.macs > 0 ? ", \(UInt64(step.macs) * runs / max(1, nanoseconds)) GMAC/s" : ""
        print("\(nanoseconds / runs / 1000) us: \(step.resultName) \(step.operatorName) \(step.kernel), \(step.bytesWritten) bytes\(rate)")
    }
}

let arguments = CommandLine.arguments
guard arguments.count >= 5, let batch = Int(arguments[2]), let threads = Int(arguments[3]),
    let steps = Int(arguments[4])
else {
    print("usage: train-bench MODEL BATCH THREADS STEPS [keep] [profile]")
    throw TrainingError.noParameters
}
var options = TrainingOptions()
(options.batchSize, options.threads) = (batch, threads)
if arguments.contains("keep") { options.workingMemory = .max }
let session = try TrainingSession(model(arguments[1]), options: options)
let parameters = session.parameterBuffers
var adamW = Optimizer.Options()
adamW.weightDecay = 0.05
let optimizer = Optimizer(adamW, for: parameters)
var random = SplitMix64(seed: 3)
let input = (0..<session.inputShape().elementCount).map { _ in Float(random.next() >> 40) * 0x1p-23 - 1 }
let classes = (0..<batch).map { $0 * 37 % session.outputCount }
let isProfiled = arguments.contains("profile") || arguments.contains("steps")
var profile = session.makeProfile()
let clock = ContinuousClock()
var best = Duration.seconds(3600)
for step in 0...steps {
    let begin = clock.now
    try session.setInput(0, input)
    try session.setTargets(classes: classes, smoothing: 0.1)
    if isProfiled, step > 0 { session.run(profile: &profile) } else { try session.run() }
    optimizer.step(parameters, rate: 1e-3)
    if step > 0 { best = min(best, clock.now - begin) }
}
let seconds = best / .seconds(1)
print("\(arguments[1]), batch \(batch), \(threads) threads: \(Double(batch) / seconds) images/s, loss \(session.loss)")
print("\(session.memoryUse)")
if arguments.contains("profile") { report(session, profile) }
if arguments.contains("steps") { reportSteps(session, profile) }
