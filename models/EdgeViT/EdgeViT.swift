import AlulaGraph
import ModelBuilding

/// EdgeViT, a family of image classifiers that attend to a sparse sample of tokens and mix the rest by convolutions (arXiv 2205.03436).
public enum EdgeViT {
    /// Names of the published architectures.
    public static var architectures: [String] { EdgeViTConfiguration.presetNames }

    /// `module.`, where torch's data-parallel wrapper was saved, or nothing.
    static func prefix(_ checkpoint: Checkpoint) -> String {
        let wrapper = "module."
        let isWrapped = !checkpoint.tensors.isEmpty && checkpoint.tensors.allSatisfy { $0.name.hasPrefix(wrapper) }
        return isWrapped ? wrapper : ""
    }

    /// Whether the tensor names are those of an EdgeViT.
    public static func recognizes(_ checkpoint: Checkpoint) -> Bool {
        checkpoint[prefix(checkpoint) + "patch_embed1.proj.weight"] != nil
            && checkpoint.tensors.contains { $0.name.contains(".SelfAttn.") }
    }

    /// The configuration for a checkpoint: that of `config.json` where there is one, else read off the tensors. A named architecture
    /// replaces depths, widths and heads in either case.
    public static func configuration(
        json: [UInt8]? = nil, architecture: String? = nil, for checkpoint: Checkpoint
    ) throws(ModelError) -> EdgeViTConfiguration {
        guard let json else {
            if let architecture { return try EdgeViTConfiguration(architecture: architecture) }
            return try EdgeViTConfiguration(inferringFrom: checkpoint)
        }
        var configuration = try EdgeViTConfiguration(json: json)
        if let architecture { try configuration.apply(architecture: architecture) }
        return configuration
    }

    /// The unfused float graph of a checkpoint, and what became of its tensors.
    ///
    /// Input `image` is f32 NHWC, normalized, of the size that the configuration fixes; the output is `logits`. Constants carry the
    /// release's names. With `stageOutputs` the outputs of patch embeddings, both halves of blocks and the final norm follow.
    public static func build(
        _ configuration: EdgeViTConfiguration, _ checkpoint: Checkpoint, stageOutputs: Bool = false
    ) throws(ModelError) -> (graph: Graph, report: ModelReport) {
        guard recognizes(checkpoint) else {
            throw .unrecognized(example: checkpoint.tensors.first?.name ?? "", family: "EdgeViT")
        }
        let prefix = prefix(checkpoint)
        let weights = WeightReader<PlainName>(checkpoint) { prefix + $0.canonical }
        return try build(configuration, weights, stageOutputs: stageOutputs)
    }

    /// The tensors that a configuration asks for, in the order of computation, and the size of the model; classes that the configuration
    /// leaves open are 1000. The graph has no numbers.
    public static func outline(
        _ configuration: EdgeViTConfiguration
    ) throws(ModelError) -> (tensors: [TensorSpecification], graph: Graph, report: ModelReport) {
        let builder = try builder(configuration, WeightReader(), stageOutputs: false)
        return (builder.layers.weights.specifications, builder.layers.graph, report(configuration, builder))
    }

    /// A checkpoint of drawn weights. Training starts as in the release: linear layers from a normal distribution of deviation 0.02 cut at
    /// 2 (timm's truncation, which is in absolute terms) with bias 0, convolutions as PyTorch does.
    public static func checkpoint(
        _ configuration: EdgeViTConfiguration, _ initialization: ModelInitialization, seed: UInt64
    ) throws(ModelError) -> Checkpoint {
        Checkpoint(drawing: try outline(configuration).tensors, initialization, seed: seed) { tensor, fanIn in
            switch tensor.kind {
            case .linearWeight: .normal(0.02, cut: 2)
            case .convolutionWeight, .convolutionBias: .torchConvolution(fanIn: fanIn)
            case .normGamma, .runningVariance: .constant(1)
            default: .constant(0)
            }
        }
    }

    /// The family for programs that convert and create models.
    public static var family: ModelFamily {
        ModelFamily(
            name: "edgevit", architectures: architectures, input: .image,
            settings: ["depth", "embed_dim", "head_dim", "in_chans", "mlp_ratio", "patch_size", "sr_ratios"],
            recognizes: recognizes,
            convert: { (json, architecture, checkpoint) throws(ModelError) in
                try build(configuration(json: json, architecture: architecture, for: checkpoint), checkpoint)
            },
            create: { (request) throws(ModelError) in
                var configuration = try EdgeViTConfiguration(keys: request.keys)
                configuration.classes = request.classes ?? 1000
                if let (height, width) = request.input { (configuration.height, configuration.width) = (height, width) }
                return try build(configuration, checkpoint(configuration, .training, seed: request.seed))
            },
            recognizesGraph: { recognizes($0) },
            export: { (graph, labels) throws(ModelError) in try export(graph, labels: labels) })
    }

    // MARK: Building

    private static func build(
        _ configuration: EdgeViTConfiguration, _ weights: WeightReader<PlainName>, stageOutputs: Bool
    ) throws(ModelError) -> (graph: Graph, report: ModelReport) {
        let builder = try builder(configuration, weights, stageOutputs: stageOutputs)
        try builder.layers.weights.finish()
        return (builder.layers.graph, report(configuration, builder))
    }

    private static func builder(
        _ configuration: EdgeViTConfiguration, _ weights: WeightReader<PlainName>, stageOutputs: Bool
    ) throws(ModelError) -> EdgeViTBuilder {
        try configuration.validate()
        let classes = configuration.classes ?? weights.shape("head.weight")?.first ?? 1000
        var builder = EdgeViTBuilder(configuration, classes: max(1, classes), weights: weights)
        try builder.build(stageOutputs: stageOutputs)
        return builder
    }

    private static func report(_ configuration: EdgeViTConfiguration, _ builder: EdgeViTBuilder) -> ModelReport {
        ModelReport(
            architecture: configuration.architecture, naming: "original", builder.layers, labels: configuration.labels,
            notes: configuration.notes)
    }
}
