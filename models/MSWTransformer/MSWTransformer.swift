import AlulaGraph
import ModelBuilding

/// MSW-Transformer, a classifier of 12-lead electrocardiograms by attention in shifted windows of several sizes side by side
/// (arXiv 2306.12098).
public enum MSWTransformer {
    /// Names of the presets.
    public static var architectures: [String] { MSWTransformerConfiguration.presetNames }

    /// Classes of a fresh model: PTB-XL's diagnostic superclasses.
    static let defaultClasses = 5

    /// Whether the tensor names are those of an MSW-Transformer.
    public static func recognizes(_ checkpoint: Checkpoint) -> Bool {
        checkpoint["patch_embed.proj.weight"] != nil && checkpoint["fusion.proj.0.weight"] != nil
    }

    /// The configuration for a checkpoint: that of `config.json` where there is one, else read off the tensors. A named architecture
    /// replaces patch, width, heads, layers and windows in either case.
    public static func configuration(
        json: [UInt8]? = nil, architecture: String? = nil, for checkpoint: Checkpoint
    ) throws(ModelError) -> MSWTransformerConfiguration {
        guard let json else {
            if let architecture { return try MSWTransformerConfiguration(architecture: architecture) }
            return try MSWTransformerConfiguration(inferringFrom: checkpoint)
        }
        var configuration = try MSWTransformerConfiguration(json: json)
        if let architecture { try configuration.apply(architecture: architecture) }
        return configuration
    }

    /// The unfused float graph of a checkpoint, and what became of its tensors.
    ///
    /// Input `signal` is f32 `[1,1,samples,leads]`, z-scored by lead; the output is `logits`. With `stageOutputs` the tokens, each scale's
    /// features and their fusion follow.
    public static func build(
        _ configuration: MSWTransformerConfiguration, _ checkpoint: Checkpoint, stageOutputs: Bool = false
    ) throws(ModelError) -> (graph: Graph, report: ModelReport) {
        guard recognizes(checkpoint) else {
            throw .unrecognized(example: checkpoint.tensors.first?.name ?? "", family: "MSW-Transformer")
        }
        let builder = try builder(configuration, WeightReader(checkpoint), stageOutputs: stageOutputs)
        try builder.layers.weights.finish()
        return (builder.layers.graph, report(configuration, builder))
    }

    /// The tensors that a configuration asks for, in the order of computation, and the size of the model. The graph has no numbers.
    public static func outline(
        _ configuration: MSWTransformerConfiguration
    ) throws(ModelError) -> (tensors: [TensorSpecification], graph: Graph, report: ModelReport) {
        let builder = try builder(configuration, WeightReader(), stageOutputs: false)
        return (builder.layers.weights.specifications, builder.layers.graph, report(configuration, builder))
    }

    /// A checkpoint of drawn weights. Training starts with linear layers, positions and relative biases from a normal distribution of
    /// deviation 0.02 cut at two deviations, as in Swin; convolutions as PyTorch does; all scales with the same weight.
    public static func checkpoint(
        _ configuration: MSWTransformerConfiguration, _ initialization: ModelInitialization, seed: UInt64
    ) throws(ModelError) -> Checkpoint {
        Checkpoint(drawing: try outline(configuration).tensors, initialization, seed: seed) { tensor, fanIn in
            switch tensor.kind {
            case .linearWeight, .positions, .attentionBiases: .normal(0.02, cut: 0.04)
            case .convolutionWeight, .convolutionBias: .torchConvolution(fanIn: fanIn)
            case .normGamma: .constant(1)
            case .fusion: .constant(configuration.fusion == .softmax ? 0 : 1)
            default: .constant(0)
            }
        }
    }

    /// The family for programs that convert and create models.
    public static var family: ModelFamily {
        ModelFamily(
            name: "msw-transformer", architectures: architectures, input: .signal,
            settings: [
                "abs_pos", "dim", "dropout", "fusion", "heads", "layers", "mask", "mlp_ratio", "norm_eps", "patch",
                "qkv_bias", "rel_bias", "share", "shift", "windows",
            ],
            recognizes: recognizes,
            convert: { (json, architecture, checkpoint) throws(ModelError) in
                try build(configuration(json: json, architecture: architecture, for: checkpoint), checkpoint)
            },
            create: { (request) throws(ModelError) in
                var configuration = try MSWTransformerConfiguration(keys: request.keys)
                configuration.classes = request.classes ?? defaultClasses
                if let rate = request.rate { configuration.setRate(rate) }
                if let (leads, length) = request.input { (configuration.leads, configuration.length) = (leads, length) }
                return try build(configuration, checkpoint(configuration, .training, seed: request.seed))
            },
            recognizesGraph: { recognizes($0) },
            export: { (graph, labels) throws(ModelError) in try export(graph, labels: labels) })
    }

    // MARK: Building

    private static func builder(
        _ configuration: MSWTransformerConfiguration, _ weights: WeightReader<PlainName>, stageOutputs: Bool
    ) throws(ModelError) -> MSWTransformerBuilder {
        try configuration.validate()
        let classes = configuration.classes ?? weights.shape("head.weight")?.first ?? defaultClasses
        var builder = MSWTransformerBuilder(configuration, classes: max(1, classes), weights: weights)
        try builder.build(stageOutputs: stageOutputs)
        return builder
    }

    private static func report(
        _ configuration: MSWTransformerConfiguration, _ builder: MSWTransformerBuilder
    ) -> ModelReport {
        ModelReport(
            architecture: configuration.architecture, naming: "Alula", builder.layers, labels: configuration.labels,
            notes: configuration.notes)
    }
}
