import AlulaGraph
import ModelBuilding

extension EfficientFormer {
    /// A checkpoint of drawn weights under Hugging Face's names, complete with the tensors that carry no information.
    ///
    /// Training starts as in the original code: linear layers and the convolutions of MLPs from a normal distribution of deviation 0.02
    /// cut at two deviations, other convolutions as PyTorch does, biases 0, layer scales 1e-5.
    public static func checkpoint(
        _ configuration: EfficientFormerConfiguration, _ initialization: ModelInitialization, seed: UInt64
    ) throws(ModelError) -> Checkpoint {
        let tokens = configuration.tokens
        return Checkpoint(
            drawing: try specification(configuration), initialization, seed: seed, training: trainingDistribution
        ) { tensor, index in
            guard tensor.kind == .attentionBiasIndices else { return 0 }
            return attentionBiasIndex(index / tokens, index % tokens, side: configuration.resolution)
        }
    }

    private static func trainingDistribution(
        _ tensor: TensorSpecification, _ fanIn: Int
    ) -> SeededNumbers.Distribution {
        switch tensor.kind {
        case .linearWeight: return .normal(0.02, cut: 0.04)
        case .convolutionWeight:
            if tensor.name.contains(".mlp.") { return .normal(0.02, cut: 0.04) }
            return .torchConvolution(fanIn: fanIn)
        case .normGamma, .runningVariance: return .constant(1)
        case .layerScale: return .constant(1e-5)
        default: return .constant(0)
        }
    }
}
