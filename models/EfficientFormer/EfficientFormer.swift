import AlulaGraph

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

/// What became of a checkpoint's tensors, and how large the model is.
public struct EfficientFormerReport: Sendable, Equatable {
    /// A tensor that was recognized and not needed.
    public struct IgnoredTensor: Sendable, Equatable {
        /// As in the checkpoint.
        public var name: String
        public var reason: String
    }

    /// `efficientformer-l1` and so on, or `efficientformer`.
    public var architecture: String
    public var naming: NamingScheme
    /// Tensors whose numbers are in the graph.
    public var usedCount: Int
    public var ignored: [IgnoredTensor]
    /// Tensors that the configuration does not ask for.
    public var unused: [String]
    /// Trained numbers: all used tensors but running statistics.
    public var parameters: Int
    /// Multiply-adds of one run.
    public var macs: Int
    /// Names of the classes; empty where unknown.
    public var labels: [String]
    /// What a person should know, such as assumptions.
    public var notes: [String]
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
    ) throws(EfficientFormerError) -> EfficientFormerConfiguration {
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
    ) throws(EfficientFormerError) -> (graph: Graph, report: EfficientFormerReport) {
        try configuration.validate()
        let names = try CheckpointNames(detecting: checkpoint)
        let weights = WeightReader(checkpoint, names)
        let head = configuration.head ?? presentHead(weights)
        let classes = configuration.classes ?? weights.shape(.classifier + "weight")?.first ?? 1
        var builder = EfficientFormerBuilder(
            configuration, head: head, classes: max(1, classes),
            layerNormEpsilon: configuration.layerNormEpsilon ?? names.scheme.layerNormEpsilon, options: options,
            weights: weights)
        try builder.build()
        try builder.weights.finish()
        return (builder.graph, report(configuration, head: head, names.scheme, builder))
    }

    /// The tensors that a configuration asks for, with those that it only recognizes, in the order of computation. Heads and classes
    /// that the configuration leaves open are two heads of 1000 classes.
    public static func specification(
        _ configuration: EfficientFormerConfiguration
    ) throws(EfficientFormerError) -> [TensorSpecification] {
        try configuration.validate()
        var builder = EfficientFormerBuilder(
            configuration, head: configuration.head ?? .classifierAndDistillation,
            classes: configuration.classes ?? 1000,
            layerNormEpsilon: configuration.layerNormEpsilon ?? 1e-12, options: .init(), weights: WeightReader())
        try builder.build()
        return builder.weights.specifications
    }

    private static func presentHead(_ weights: WeightReader) -> EfficientFormerConfiguration.Head {
        if weights.has(.distillationClassifier + "weight") { return .classifierAndDistillation }
        return weights.has(.classifier + "weight") ? .classifier : .none
    }

    private static func report(
        _ configuration: EfficientFormerConfiguration, head: EfficientFormerConfiguration.Head, _ naming: NamingScheme,
        _ builder: EfficientFormerBuilder
    ) -> EfficientFormerReport {
        let needed = builder.weights.specifications.filter {
            $0.kind != .batchCount && $0.kind != .attentionBiasIndices
        }
        var notes = configuration.notes
        if head == .classifier,
            builder.weights.unused.contains(where: {
                $0.hasSuffix(TensorName.distillationClassifier[naming] + ".weight")
            })
        {
            notes.append("the checkpoint's second head is dropped, as the class in config.json does")
        }
        return EfficientFormerReport(
            architecture: configuration.architecture, naming: naming, usedCount: needed.count,
            ignored: builder.weights.ignored, unused: builder.weights.unused,
            parameters: needed.filter(\.kind.isParameter).reduce(0) { $0 + $1.shape.reduce(1, *) },
            macs: builder.graph.macs, labels: head == .none ? [] : configuration.labels, notes: notes)
    }
}
