import AlulaGraph

/// A sequence of numbers that is the same on every platform: SplitMix64 (Steele et al., OOPSLA 2014) and arithmetic that IEEE 754 fixes.
package struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package enum Distribution {
        case constant(Float)
        case uniform(Float, Float)
        /// Of this deviation around 0; numbers further out than `cut` are drawn again.
        case normal(Float, cut: Float)
    }

    package mutating func draw(_ distribution: Distribution) -> Float {
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
public enum ModelInitialization: Sendable {
    /// As the architecture's paper or original code starts training.
    case training
    /// Every number differs from 0 and 1, running statistics included, with activations of moderate size: for tests and demonstrations.
    case sample
}

extension SeededNumbers.Distribution {
    /// What PyTorch draws the weights and the bias of a convolution from, for that many products a result.
    package static func torchConvolution(fanIn: Int) -> Self {
        let bound = 1 / Float(fanIn).squareRoot()
        return .uniform(-bound, bound)
    }

    package static func sample(_ tensor: TensorSpecification) -> Self {
        switch tensor.kind {
        case .convolutionWeight, .linearWeight: .normal(1 / Float(tensor.fanIn).squareRoot(), cut: .infinity)
        case .bias, .convolutionBias, .normBeta, .runningMean, .positions: .normal(0.1, cut: .infinity)
        case .normGamma: .uniform(0.8, 1.2)
        case .runningVariance: .uniform(0.6, 1.4)
        case .layerScale: .uniform(0.2, 0.6)
        case .attentionBiases, .fusion: .normal(0.5, cut: .infinity)
        case .batchCount, .attentionBiasIndices: .constant(0)
        }
    }
}

extension Checkpoint {
    /// Tensors of drawn numbers, complete with those that carry no information. The same seed gives the same numbers everywhere.
    ///
    /// - Parameters:
    ///   - training: the distribution of one tensor where training starts; `fanIn` is that of the layer's weight, also for its bias.
    ///   - integers: the numbers of the tables that follow from the configuration.
    package init(
        drawing specifications: [TensorSpecification], _ initialization: ModelInitialization, seed: UInt64,
        training: (_ tensor: TensorSpecification, _ fanIn: Int) -> SeededNumbers.Distribution,
        integers: (TensorSpecification, _ index: Int) -> Int = { _, _ in 0 }
    ) {
        self.init()
        var numbers = SeededNumbers(seed: seed)
        var fanIn = 1
        for tensor in specifications {
            let drawn: CheckpointTensor
            switch tensor.kind {
            case .batchCount, .attentionBiasIndices:
                let elements = (0..<tensor.elementCount).map { Int64(integers(tensor, $0)) }
                drawn = CheckpointTensor(tensor.name, .i64, tensor.shape, TensorData(elements: elements))
            default:
                if tensor.kind == .convolutionWeight || tensor.kind == .linearWeight { fanIn = tensor.fanIn }
                let distribution =
                    initialization == .sample
                    ? SeededNumbers.Distribution.sample(tensor) : training(tensor, fanIn)
                let elements = (0..<tensor.elementCount).map { _ in numbers.draw(distribution) }
                drawn = CheckpointTensor(tensor.name, .f32, tensor.shape, TensorData(elements: elements))
            }
            do { try add(drawn) } catch { preconditionFailure(error.message) }
        }
    }
}
