import AlulaRuntime

/// How a graph is trained: what `TrainingSession` needs to know beside the graph.
public struct TrainingOptions: Sendable {
    /// Samples of one step.
    public var batchSize = 32
    /// Steps whose gradients are averaged: `TrainingSession.run` does that many of `batchSize` samples each.
    public var accumulation = 1
    /// 0 means one for each physical core. The number of threads does not change a result.
    public var threads = 1
    /// Of dropout and stochastic depth.
    public var seed: UInt64 = 0
    public var loss = Loss.crossEntropy
    /// The output that the loss judges; nil: the first.
    public var output: String? = nil
    /// Parameters that stay as they are.
    public var frozen: [NamePattern] = []
    /// Low-rank adapters: they and what they name are trained, and nothing else.
    public var adapters: LowRankAdapters? = nil
    /// Batch norms use their stored statistics, and do not change them: for batches under 16.
    public var freezesBatchNorm = false
    /// How much of a batch's statistics goes into the stored ones.
    public var batchNormMomentum: Float = 0.1
    /// The share of features in front of the last layers that a step sets to 0 (Srivastava et al., 2014).
    public var dropout: Float = 0
    /// The share of samples that skip the last residual branch; earlier branches are skipped less, the first never (Huang et al., arXiv 1603.09382).
    public var stochasticDepth: Float = 0
    /// The most bytes that training may need, all buffers included. The fewest forward values that keep it are recomputed.
    public var memoryLimit: Int? = nil
    /// Without a memory limit: bytes that inputs and results of a step may take before values are computed again that take one pass over memory (norms,
    /// activations). EfficientFormer-L1 takes 415 MB for a batch of 8 with all of them kept, 236 MB with none, which costs 1 to 4 % of the time.
    public var workingMemory = 192 << 20
    /// Names of results that count as constant.
    package var stoppedGradients: Set<String> = []
    /// nil: the best of this CPU.
    public var instructionSet: InstructionSet? = nil

    public init() {}

    func check() throws(TrainingError) {
        let rates = [
            ("dropout", dropout), ("stochastic depth", stochasticDepth),
        ]
        for (name, rate) in rates where !(rate >= 0 && rate < 1) {
            throw .invalidOption(name: name, problem: "\(rate) is not within 0..<1")
        }
        guard batchNormMomentum >= 0, batchNormMomentum <= 1 else {
            throw .invalidOption(name: "batch norm momentum", problem: "\(batchNormMomentum) is not within 0...1")
        }
        guard (1...1 << 16).contains(accumulation) else {
            throw .invalidOption(name: "accumulation", problem: "\(accumulation) is not within 1...65536")
        }
    }
}
