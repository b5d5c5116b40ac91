import AlulaGraph

/// A sequence of numbers that is the same on every platform: SplitMix64 (Steele et al., OOPSLA 2014) and arithmetic that IEEE 754 fixes.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    enum Distribution {
        case constant(Float)
        case uniform(Float, Float)
        /// Of this deviation around 0; numbers further out than `cut` are drawn again.
        case normal(Float, cut: Float)
    }

    mutating func draw(_ distribution: Distribution) -> Float {
        switch distribution {
        case .constant(let value): return value
        case .uniform(let low, let high): return low + (high - low) * unit()
        case .normal(let deviation, let cut):
            while true {
                // Nearly normal, within ±6 deviations: the sum of twelve uniform numbers needs no logarithm or cosine.
                var sum: Float = -6
                for _ in 0..<12 { sum += unit() }
                let value = sum * deviation
                if abs(value) <= cut { return value }
            }
        }
    }

    /// In [0, 1), a multiple of 2^-24.
    private mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }
}

/// How fresh weights are drawn.
public enum EfficientFormerInitialization: Sendable {
    /// As the original code starts training: linear layers and the convolutions of MLPs from a normal distribution of deviation 0.02
    /// cut at two deviations, other convolutions as PyTorch does, biases 0, layer scales 1e-5.
    case training
    /// Every number differs from 0 and 1, running statistics included, with activations of moderate size: for tests and demonstrations.
    case sample
}

extension EfficientFormer {
    /// A checkpoint of drawn weights under Hugging Face's names, complete with the tensors that carry no information.
    public static func checkpoint(
        _ configuration: EfficientFormerConfiguration, _ initialization: EfficientFormerInitialization, seed: UInt64
    ) throws(EfficientFormerError) -> Checkpoint {
        var numbers = SeededNumbers(seed: seed)
        var checkpoint = Checkpoint()
        for specification in try specification(configuration) {
            let tensor = draw(specification, initialization, configuration, &numbers)
            do { try checkpoint.add(tensor) } catch { preconditionFailure(error.message) }
        }
        return checkpoint
    }

    private static func draw(
        _ tensor: TensorSpecification, _ initialization: EfficientFormerInitialization,
        _ configuration: EfficientFormerConfiguration, _ numbers: inout SeededNumbers
    ) -> CheckpointTensor {
        let count = tensor.shape.reduce(1, *)
        switch tensor.kind {
        case .batchCount:
            return CheckpointTensor(tensor.name, .i64, tensor.shape, TensorData(elements: [Int64(0)]))
        case .attentionBiasIndices:
            let tokens = configuration.tokens
            let indices = (0..<count).map { pair in
                Int64(attentionBiasIndex(pair / tokens, pair % tokens, side: configuration.resolution))
            }
            return CheckpointTensor(tensor.name, .i64, tensor.shape, TensorData(elements: indices))
        default:
            let distribution =
                switch initialization {
                case .training: trainingDistribution(tensor)
                case .sample: sampleDistribution(tensor)
                }
            let elements = (0..<count).map { _ in numbers.draw(distribution) }
            return CheckpointTensor(tensor.name, .f32, tensor.shape, TensorData(elements: elements))
        }
    }

    private static func trainingDistribution(_ tensor: TensorSpecification) -> SeededNumbers.Distribution {
        switch tensor.kind {
        case .linearWeight: return .normal(0.02, cut: 0.04)
        case .convolutionWeight:
            if tensor.name.contains(".mlp.") { return .normal(0.02, cut: 0.04) }
            let bound = 1 / fanIn(tensor).squareRoot()
            return .uniform(-bound, bound)
        case .normGamma, .runningVariance: return .constant(1)
        case .layerScale: return .constant(1e-5)
        case .bias, .normBeta, .attentionBiases, .runningMean, .batchCount, .attentionBiasIndices: return .constant(0)
        }
    }

    private static func sampleDistribution(_ tensor: TensorSpecification) -> SeededNumbers.Distribution {
        switch tensor.kind {
        case .convolutionWeight, .linearWeight: .normal(1 / fanIn(tensor).squareRoot(), cut: .infinity)
        case .bias, .normBeta, .runningMean: .normal(0.1, cut: .infinity)
        case .normGamma: .uniform(0.8, 1.2)
        case .runningVariance: .uniform(0.6, 1.4)
        case .layerScale: .uniform(0.2, 0.6)
        case .attentionBiases: .normal(0.5, cut: .infinity)
        case .batchCount, .attentionBiasIndices: .constant(0)
        }
    }

    /// Products that one result sums.
    private static func fanIn(_ tensor: TensorSpecification) -> Float { Float(tensor.shape.dropFirst().reduce(1, *)) }
}
