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

    /// In [0, 1), a multiple of 2^-24.
    mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }

    mutating func uniform(_ low: Float, _ high: Float) -> Float { low + (high - low) * unit() }

    /// Nearly normal, within ±6 deviations: the sum of twelve uniform numbers needs no logarithm or cosine.
    mutating func normal(_ deviation: Float) -> Float {
        var sum: Float = -6
        for _ in 0..<12 { sum += unit() }
        return sum * deviation
    }
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
            let elements = (0..<count).map { _ in
                switch initialization {
                case .training: trainingNumber(tensor, &numbers)
                case .sample: sampleNumber(tensor, &numbers)
                }
            }
            return CheckpointTensor(tensor.name, .f32, tensor.shape, TensorData(elements: elements))
        }
    }

    private static func trainingNumber(_ tensor: TensorSpecification, _ numbers: inout SeededNumbers) -> Float {
        switch tensor.kind {
        case .linearWeight: return truncatedNormal(&numbers)
        case .convolutionWeight:
            if tensor.name.contains(".mlp.") { return truncatedNormal(&numbers) }
            let bound = 1 / Float(tensor.shape.dropFirst().reduce(1, *)).squareRoot()
            return numbers.uniform(-bound, bound)
        case .normGamma, .runningVariance: return 1
        case .layerScale: return 1e-5
        case .bias, .normBeta, .attentionBiases, .runningMean, .batchCount, .attentionBiasIndices: return 0
        }
    }

    private static func truncatedNormal(_ numbers: inout SeededNumbers) -> Float {
        while true {
            let value = numbers.normal(0.02)
            if abs(value) <= 0.04 { return value }
        }
    }

    private static func sampleNumber(_ tensor: TensorSpecification, _ numbers: inout SeededNumbers) -> Float {
        switch tensor.kind {
        case .convolutionWeight, .linearWeight:
            return numbers.normal(1 / Float(tensor.shape.dropFirst().reduce(1, *)).squareRoot())
        case .bias, .normBeta, .runningMean: return numbers.normal(0.1)
        case .normGamma: return numbers.uniform(0.8, 1.2)
        case .runningVariance: return numbers.uniform(0.6, 1.4)
        case .layerScale: return numbers.uniform(0.2, 0.6)
        case .attentionBiases: return numbers.normal(0.5)
        case .batchCount, .attentionBiasIndices: return 0
        }
    }
}
