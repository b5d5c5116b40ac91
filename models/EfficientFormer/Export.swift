import AlulaGraph
import ModelBuilding

extension EfficientFormer {
    /// Whether the graph's constants carry the names that `build` gives.
    static func recognizes(_ graph: Graph) -> Bool {
        let names = Set(graph.constants.map { graph[$0].name })
        return names.contains(TensorName.stemConvolution1.canonical + ".weight")
            && names.contains(TensorName.stemConvolution2.canonical + ".weight")
    }

    /// The checkpoint and `config.json` of an unfused float graph, as Hugging Face's library writes them.
    static func export(_ graph: Graph, labels: [String]) throws(ModelError) -> ModelExport {
        let weights = try Checkpoint(constantsOf: graph)
        var configuration = try EfficientFormerConfiguration(inferringFrom: weights)
        try configuration.read(graph)
        (configuration.notes, configuration.labels) = ([], labels)
        let (rebuilt, report) = try build(configuration, weights)
        let isHeadless = weights[TensorName.classifier.canonical + ".weight"] == nil
        let hasTwoHeads = weights[TensorName.distillationClassifier.canonical + ".weight"] != nil
        configuration.head =
            isHeadless ? EfficientFormerConfiguration.Head.none : hasTwoHeads ? .classifierAndDistillation : .classifier
        configuration.classes = weights[TensorName.classifier.canonical + ".weight"]?.shape[0]
        if labels.isEmpty, let classes = configuration.classes {
            // The library counts classes by their names.
            configuration.labels = (0..<classes).map { "LABEL_\($0)" }
        }
        let tokens = configuration.tokens
        let side = configuration.resolution
        return try ModelExport(
            graph, rebuilt: rebuilt, weights: weights, specification(configuration), architecture: report.architecture,
            configuration: configurationJSON(configuration),
            // The library's class without a head has no prefix.
            name: { isHeadless ? String($0.dropFirst(TensorName.backbonePrefix.count)) : $0 },
            integers: { tensor, index in
                guard tensor.kind == .attentionBiasIndices else { return 0 }
                return attentionBiasIndex(index / tokens, index % tokens, side: side)
            })
    }

    /// The `config.json` that Hugging Face's library writes for a configuration, without the keys that no code reads.
    static func configurationJSON(_ configuration: EfficientFormerConfiguration) -> [UInt8] {
        let names = [
            "EfficientFormerForImageClassificationWithTeacher", "EfficientFormerForImageClassification",
            "EfficientFormerModel",
        ]
        let name =
            switch configuration.head ?? .classifierAndDistillation {
            case .classifierAndDistillation: names[0]
            case .classifier: names[1]
            case .none: names[2]
            }
        let activations: [UnaryFunction: String] = [.geluTanh: "gelu_new"]
        var members: [String: Any] = [
            "architectures": [name],
            "attention_ratio": Double(configuration.valueDim) / Double(configuration.keyDim),
            "batch_norm_eps": Double(configuration.batchNormEpsilon.description)!,
            "depths": configuration.depths,
            "dim": configuration.widths[configuration.stageCount - 1],
            "downsample_pad": configuration.downsamplePadding,
            "downsample_patch_size": configuration.downsampleKernel,
            "downsample_stride": configuration.downsampleStride,
            // The class reads an entry for the last stage too, and ignores it.
            "downsamples": configuration.downsamples + [true],
            "hidden_act": activations[configuration.activation] ?? configuration.activation.rawValue,
            "hidden_size": configuration.widths[configuration.stageCount - 1],
            "hidden_sizes": configuration.widths,
            "image_size": configuration.inputSide,
            "key_dim": configuration.keyDim,
            "layer_norm_eps": Double((configuration.layerNormEpsilon ?? 1e-12).description)!,
            "mlp_expansion_ratio": configuration.mlpRatio,
            "model_type": "efficientformer",
            "num_attention_heads": configuration.heads,
            "num_channels": configuration.channels,
            "num_meta3d_blocks": configuration.attentionBlocks,
            "pool_size": configuration.poolSize,
            "resolution": configuration.resolution,
            "use_layer_scale": configuration.usesLayerScale,
        ]
        if !configuration.labels.isEmpty {
            let labels = configuration.labels.enumerated()
            members["id2label"] = Dictionary(uniqueKeysWithValues: labels.map { (String($0.offset), $0.element) })
            members["label2id"] = Dictionary(labels.map { ($0.element, $0.offset) }) { first, _ in first }
        }
        return configurationDocument(members)
    }
}

extension EfficientFormerConfiguration {
    /// Takes from a graph's operators what tensors do not show.
    fileprivate mutating func read(_ graph: Graph) throws(ModelError) {
        var functions: [UnaryFunction] = []
        var strides: [Conv2D] = []
        for node in graph.nodes {
            switch node.op {
            case .batchNorm(let op): batchNormEpsilon = op.epsilon
            case .layerNorm(let op): layerNormEpsilon = op.epsilon
            case .pool(let op): poolSize = op.kernel.height
            case .unary(let op): functions.append(op.function)
            case .conv2D(let op): if op.stride.height > 1 || op.padding.top > 0 { strides.append(op) }
            case .reshape:
                resolution = graph.shape(node.input(0)).rank == 4 ? graph.shape(node.input(0))[1] : resolution
            default: break
            }
        }
        // Two of each belong to the stem.
        activation = functions.dropFirst(2).first ?? activation
        if let downsample = strides.dropFirst(2).first {
            (downsampleStride, downsamplePadding) = (downsample.stride.height, downsample.padding.top)
        }
        try validate()
    }
}
