import AlulaGraph
import ModelBuilding

/// What `EfficientFormer.build` adds to the graph besides its result.
public struct EfficientFormerOptions: Sendable, Equatable {
    /// Both heads' logits as outputs of their own, `cls_logits` and `distillation_logits`, where a model has two.
    public var headOutputs = false
    /// The outputs of stem, stages, down-samplings, final norm and pooling as outputs, to compare with another implementation.
    public var stageOutputs = false

    public init(headOutputs: Bool = false, stageOutputs: Bool = false) {
        (self.headOutputs, self.stageOutputs) = (headOutputs, stageOutputs)
    }
}

/// EfficientFormer, a family of image classifiers whose blocks mix by pooling and, at the end, by attention (arXiv 2206.01191).
public enum EfficientFormer {
    /// Names of the published architectures.
    public static var architectures: [String] { EfficientFormerConfiguration.presetNames }

    /// Whether the tensor names are those of an EfficientFormer.
    public static func recognizes(_ checkpoint: Checkpoint) -> Bool {
        guard let names = try? CheckpointNames(detecting: checkpoint),
            checkpoint[names(.stemConvolution1 + "weight")] != nil,
            checkpoint[names(.stemConvolution2 + "weight")] != nil
        else { return false }
        if names.scheme == .huggingFace { return true }
        return checkpoint.tensors.contains { $0.name.hasSuffix(TensorName.attentionBiases.canonical) }
    }

    /// The configuration for a checkpoint: that of `config.json` where there is one, else read off the tensors. A named architecture
    /// replaces depths, widths and attention blocks in either case.
    public static func configuration(
        json: [UInt8]? = nil, architecture: String? = nil, for checkpoint: Checkpoint
    ) throws(ModelError) -> EfficientFormerConfiguration {
        guard let json else {
            if let architecture { return try EfficientFormerConfiguration(architecture: architecture) }
            return try EfficientFormerConfiguration(inferringFrom: checkpoint)
        }
        var configuration = try EfficientFormerConfiguration(json: json)
        if let architecture { try configuration.apply(architecture: architecture) }
        return configuration
    }

    /// The unfused float graph of a checkpoint, and what became of its tensors.
    ///
    /// Input `image` is f32 NHWC, normalized, of the side that the configuration fixes. The output is `logits`, the average of both
    /// heads where there are two; without a head it is `features`, the mean over the layer-normed tokens. Constants carry Hugging
    /// Face's names whatever the checkpoint calls them, convolutions are [out, height, width, in], and attention biases are gathered
    /// to [heads, tokens, tokens].
    public static func build(
        _ configuration: EfficientFormerConfiguration, _ checkpoint: Checkpoint,
        options: EfficientFormerOptions = .init()
    ) throws(ModelError) -> (graph: Graph, report: ModelReport) {
        try configuration.validate()
        let names = try CheckpointNames(detecting: checkpoint)
        let weights = WeightReader<TensorName>(checkpoint) { names($0) }
        let head = configuration.head ?? presentHead(weights)
        let classes = configuration.classes ?? weights.shape(.classifier + "weight")?.first ?? 1
        var builder = EfficientFormerBuilder(
            configuration, head: head, classes: max(1, classes),
            layerNormEpsilon: configuration.layerNormEpsilon ?? names.scheme.layerNormEpsilon, options: options,
            weights: weights)
        try builder.build()
        try builder.layers.weights.finish()
        return (builder.layers.graph, report(configuration, head: head, names.scheme, builder))
    }

    /// The tensors that a configuration asks for, with those that it only recognizes, in the order of computation. Heads and classes
    /// that the configuration leaves open are two heads of 1000 classes.
    public static func specification(
        _ configuration: EfficientFormerConfiguration
    ) throws(ModelError) -> [TensorSpecification] {
        try configuration.validate()
        var builder = EfficientFormerBuilder(
            configuration, head: configuration.head ?? .classifierAndDistillation,
            classes: configuration.classes ?? 1000,
            layerNormEpsilon: configuration.layerNormEpsilon ?? 1e-12, options: .init(), weights: WeightReader())
        try builder.build()
        return builder.layers.weights.specifications
    }

    private static func presentHead(_ weights: WeightReader<TensorName>) -> EfficientFormerConfiguration.Head {
        if weights.has(.distillationClassifier + "weight") { return .classifierAndDistillation }
        return weights.has(.classifier + "weight") ? .classifier : .none
    }

    private static func report(
        _ configuration: EfficientFormerConfiguration, head: EfficientFormerConfiguration.Head, _ naming: NamingScheme,
        _ builder: EfficientFormerBuilder
    ) -> ModelReport {
        var notes = configuration.notes
        if head == .classifier,
            builder.layers.weights.unused.contains(where: {
                $0.hasSuffix(TensorName.distillationClassifier[naming] + ".weight")
            })
        {
            notes.append("the checkpoint's second head is dropped, as the class in config.json does")
        }
        return ModelReport(
            architecture: configuration.architecture, naming: naming.rawValue, builder.layers,
            labels: head == .none ? [] : configuration.labels, notes: notes)
    }
}

extension EfficientFormer {
    /// The family for programs that convert and create models.
    public static var family: ModelFamily {
        ModelFamily(
            name: "efficientformer", architectures: architectures, input: .image, recognizes: recognizes,
            convert: { (json, architecture, checkpoint) throws(ModelError) in
                try build(configuration(json: json, architecture: architecture, for: checkpoint), checkpoint)
            },
            create: { (request) throws(ModelError) in
                var configuration = try EfficientFormerConfiguration(architecture: request.architecture)
                configuration.layerNormEpsilon = NamingScheme.original.layerNormEpsilon
                configuration.head = .classifier
                configuration.classes = request.classes ?? 1000
                if let (height, width) = request.input {
                    guard height == width, height % 32 == 0 else {
                        throw .configuration(
                            key: "input", value: "\(width)x\(height)", problem: "takes squares of a multiple of 32")
                    }
                    configuration.resolution = height / 32
                }
                return try build(configuration, checkpoint(configuration, .training, seed: request.seed))
            },
            recognizesGraph: { recognizes($0) },
            export: { (graph, labels) throws(ModelError) in try export(graph, labels: labels) })
    }
}
