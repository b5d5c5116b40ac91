import AlulaGraph
import ModelBuilding

// Reading config.json, in Hugging Face's form and in timm's.

extension EfficientFormerConfiguration {
    /// Reads the contents of a `config.json`. Keys that the model does not need are ignored.
    public init(json document: [UInt8]) throws(ModelError) {
        let keys = ConfigurationKeys(members: try ConfigurationValue.object(parsing: document))
        let isTimm = !keys.has("model_type") && (keys.has("architecture") || keys.has("model_args"))
        if isTimm { try self.init(timm: keys) } else { try self.init(huggingFace: keys) }
        try validate()
    }

    // MARK: Hugging Face

    /// Missing keys have the defaults of `EfficientFormerConfig`, which are this type's.
    private init(huggingFace keys: ConfigurationKeys) throws(ModelError) {
        if let type = try keys.string("model_type"), type != "efficientformer" {
            throw .configuration(key: "model_type", value: type.quotedForMessage, problem: "is not efficientformer")
        }
        // Absent in files from before the TensorFlow port; the PyTorch port's constant was the same.
        batchNormEpsilon = try keys.number("batch_norm_eps").map { Float($0) } ?? 1e-5
        layerNormEpsilon = try keys.number("layer_norm_eps").map { Float($0) } ?? 1e-12
        depths = try keys.integers("depths") ?? depths
        widths = try keys.integers("hidden_sizes") ?? widths
        // The entry after the last stage is never read.
        downsamples = try keys.bools("downsamples") ?? [Bool](repeating: true, count: depths.count)
        attentionBlocks = try keys.integer("num_meta3d_blocks") ?? attentionBlocks
        heads = try keys.integer("num_attention_heads") ?? heads
        keyDim = try keys.integer("key_dim") ?? keyDim
        valueDim = try EfficientFormerConfiguration.valueDim(keyDim, try keys.number("attention_ratio") ?? 4)
        resolution = try keys.integer("resolution") ?? resolution
        mlpRatio = try keys.number("mlp_expansion_ratio") ?? mlpRatio
        poolSize = keys.isAbsent("pool_size") ? 3 : try keys.integer("pool_size") ?? 3
        downsampleKernel = try keys.integer("downsample_patch_size") ?? downsampleKernel
        downsampleStride = try keys.integer("downsample_stride") ?? downsampleStride
        downsamplePadding = try keys.integer("downsample_pad") ?? downsamplePadding
        usesLayerScale = try keys.bool("use_layer_scale") ?? usesLayerScale
        channels = try keys.integer("num_channels") ?? channels
        activation = try EfficientFormerConfiguration.activation(
            keys, "hidden_act",
            names: [
                "gelu": .gelu, "gelu_python": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh,
                "gelu_fast": .geluTanh, "gelu_accurate": .geluTanh, "relu": .relu, "relu6": .relu6, "silu": .silu,
                "swish": .silu, "sigmoid": .sigmoid, "tanh": .tanh,
            ])
        // hidden_size, where present, repeats the last width: only the two-headed PyTorch class reads it.
        if attentionBlocks > 0, let dim = try keys.integer("dim"), dim != widths.last {
            throw .configuration(
                key: "dim", value: "\(dim)", problem: "differs from the last of hidden_sizes \(widths)")
        }
        head = try EfficientFormerConfiguration.head(keys)
        try readLabels(keys)
    }

    static func valueDim(_ keyDim: Int, _ ratio: Double) throws(ModelError) -> Int {
        let width = ratio * Double(keyDim)
        guard width >= 1, width <= 65536 else {
            throw .configuration(key: "attention_ratio", value: "\(ratio)", problem: "the value width is 1 to 65536")
        }
        return Int(width)
    }

    private static func activation(
        _ keys: ConfigurationKeys, _ key: String, names: [String: UnaryFunction]
    ) throws(ModelError) -> UnaryFunction {
        guard let name = try keys.string(key) else { return .gelu }
        guard let function = names[name] else {
            throw .configuration(
                key: key, value: name.quotedForMessage,
                problem: "supported are " + names.keys.sorted().joined(separator: ", "))
        }
        return function
    }

    /// The class that wrote the file decides which heads count: the one-headed class drops the second head of a checkpoint.
    private static func head(_ keys: ConfigurationKeys) throws(ModelError) -> Head? {
        guard !keys.isAbsent("architectures"), let classes = try keys.strings("architectures"), let name = classes.first
        else {
            return nil
        }
        // The TensorFlow classes have the same names with TF in front.
        switch name.hasPrefix("TF") ? String(name.dropFirst(2)) : name {
        case "EfficientFormerForImageClassificationWithTeacher": return .classifierAndDistillation
        case "EfficientFormerForImageClassification": return .classifier
        case "EfficientFormerModel": return Head.none
        default:
            throw .configuration(
                key: "architectures", value: name.quotedForMessage, problem: "is not one of the EfficientFormer classes"
            )
        }
    }

    private mutating func readLabels(_ keys: ConfigurationKeys) throws(ModelError) {
        guard !keys.isAbsent("id2label"), let names = try keys.object("id2label") else {
            classes = try keys.integer("num_labels")
            return
        }
        var labelled: [(id: Int, label: String)] = []
        for (key, value) in names {
            guard let id = Int(key) else {
                throw .configuration(key: "id2label", value: key.quotedForMessage, problem: "is not a whole number")
            }
            guard case .string(let label) = value else {
                throw .configuration(key: "id2label.\(id)", value: value.excerpt, problem: "is not a string")
            }
            labelled.append((id, label))
        }
        labelled.sort { $0.id < $1.id }
        if let twin = zip(labelled, labelled.dropFirst()).first(where: { $0.id == $1.id }) {
            throw .configuration(key: "id2label", value: "\(twin.0.id)", problem: "occurs twice")
        }
        if labelled.map(\.id) != Array(0..<labelled.count) {
            notes.append("the ids of id2label are not 0 to \(labelled.count - 1); the labels were taken in their order")
        }
        labels = labelled.map(\.label)
        classes = labels.count
    }

    // MARK: timm

    /// `architecture` names a preset or the class, `model_args` the constructor's arguments.
    private init(timm keys: ConfigurationKeys) throws(ModelError) {
        let arguments = ConfigurationKeys(members: try keys.object("model_args") ?? [:])
        layerNormEpsilon = NamingScheme.timm.layerNormEpsilon
        if let name = try keys.string("architecture") {
            // A tag such as `.snap_dist_in1k` names weights, not an architecture.
            let untagged = String(name.prefix { $0 != "." })
            if untagged == "efficientformer" {
                guard arguments.has("depths"), arguments.has("embed_dims") else {
                    throw .configuration(
                        key: "architecture", value: name.quotedForMessage,
                        problem: "model_args must hold depths and embed_dims")
                }
                attentionBlocks = 0
            } else {
                try apply(architecture: untagged)
            }
        }
        depths = try arguments.integers("depths") ?? depths
        widths = try arguments.integers("embed_dims") ?? widths
        attentionBlocks = try arguments.integer("num_vit") ?? attentionBlocks
        mlpRatio = try arguments.number("mlp_ratios") ?? mlpRatio
        poolSize = try arguments.integer("pool_size") ?? poolSize
        channels = try arguments.integer("in_chans") ?? channels
        downsamples = [Bool](repeating: true, count: depths.count)
        if !arguments.isAbsent("downsamples"), let before = try arguments.bools("downsamples") {
            // timm's entry i says whether a down-sampling precedes stage i.
            downsamples = Array(before.dropFirst())
        }
        usesLayerScale = arguments.members["layer_scale_init_value"] != .null
        activation = try EfficientFormerConfiguration.activation(
            arguments, "act_layer",
            names: [
                "gelu": .gelu, "gelu_tanh": .geluTanh, "relu": .relu, "relu6": .relu6, "silu": .silu, "swish": .silu,
                "hard_swish": .hardSwish,
            ])
        try readTimmClasses(keys, arguments)
    }

    private mutating func readTimmClasses(
        _ keys: ConfigurationKeys, _ arguments: ConfigurationKeys
    ) throws(ModelError) {
        let pretrained = ConfigurationKeys(
            members: keys.isAbsent("pretrained_cfg") ? [:] : try keys.object("pretrained_cfg") ?? [:])
        for place in [pretrained, keys, arguments] { classes = try place.integer("num_classes") ?? classes }
        if classes == 0 { (classes, head) = (nil, Head.none) }
        for place in [keys, pretrained] where !place.isAbsent("label_names") {
            labels = try place.strings("label_names") ?? []
        }
        if !labels.isEmpty, let classes, classes != labels.count {
            throw .configuration(
                key: "label_names", value: "\(labels.count) names", problem: "num_classes is \(classes)")
        }
    }
}
