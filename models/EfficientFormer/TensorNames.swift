import AlulaGraph
import ModelBuilding

/// Who named a checkpoint's tensors.
public enum NamingScheme: String, Sendable, Equatable, CaseIterable {
    case huggingFace = "Hugging Face"
    /// Hugging Face's `EfficientFormerModel`: the same names without `efficientformer.` in front, and no head.
    case huggingFaceBackbone = "Hugging Face backbone"
    case timm
    /// The research code of Li et al.
    case original

    /// Epsilon of the layer norms where nothing states it: the port's differs from the other two.
    var layerNormEpsilon: Float {
        switch self {
        case .huggingFace, .huggingFaceBackbone: 1e-12
        case .timm, .original: 1e-5
        }
    }
}

/// The name of a module or tensor under every scheme.
struct TensorName: ParameterName {
    /// Hugging Face's name, which graphs carry.
    private(set) var canonical: String
    private(set) var timm: String
    private(set) var original: String

    init(_ canonical: String, timm: String, original: String) {
        (self.canonical, self.timm, self.original) = (canonical, timm, original)
    }

    /// A part that all schemes name alike.
    init(_ common: String) { self.init(common, timm: common, original: common) }

    static func + (parent: TensorName, child: TensorName) -> TensorName {
        TensorName(
            parent.canonical + "." + child.canonical, timm: parent.timm + "." + child.timm,
            original: parent.original + "." + child.original)
    }

    static func + (parent: TensorName, child: String) -> TensorName { parent + TensorName(child) }

    subscript(scheme: NamingScheme) -> String {
        switch scheme {
        case .huggingFace: canonical
        case .huggingFaceBackbone:
            canonical.hasPrefix(TensorName.backbonePrefix)
                ? String(canonical.dropFirst(TensorName.backbonePrefix.count)) : canonical
        case .timm: timm
        case .original: original
        }
    }

    static let backbonePrefix = "efficientformer."
}

/// The table: every module of an EfficientFormer under its three names.
extension TensorName {
    static let stemConvolution1 = backbone("patch_embed.convolution1", timm: "stem.conv1", original: "patch_embed.0")
    static let stemNorm1 = backbone("patch_embed.batchnorm_before", timm: "stem.norm1", original: "patch_embed.1")
    static let stemConvolution2 = backbone("patch_embed.convolution2", timm: "stem.conv2", original: "patch_embed.3")
    static let stemNorm2 = backbone("patch_embed.batchnorm_after", timm: "stem.norm2", original: "patch_embed.4")
    static let layerNorm = backbone("layernorm", timm: "norm", original: "norm")
    static let classifier = TensorName("classifier", timm: "head", original: "head")
    static let distillationClassifier = TensorName("distillation_classifier", timm: "head_dist", original: "dist_head")

    /// Block `block` of stage `stage`, which is entry `entry` of the flat list of stages and down-samplings.
    static func block(stage: Int, entry: Int, block: Int) -> TensorName {
        backbone(
            "encoder.intermediate_stages.\(entry).meta4D_layers.blocks.\(block)",
            timm: "stages.\(stage).blocks.\(block)",
            original: "network.\(entry).\(block)")
    }

    /// A pooling block of the last stage.
    static func lastStageBlock(stage: Int, entry: Int, block: Int) -> TensorName {
        backbone(
            "encoder.last_stage.meta4D_layers.blocks.\(block)", timm: "stages.\(stage).blocks.\(block)",
            original: "network.\(entry).\(block)")
    }

    /// An attention block of the last stage. Outside of Hugging Face's names a step without parameters, which flattens the image to
    /// tokens, takes one number after the pooling blocks.
    static func attentionBlock(stage: Int, entry: Int, poolingBlocks: Int, block: Int) -> TensorName {
        let number = poolingBlocks + 1 + block
        return backbone(
            "encoder.last_stage.meta3D_layers.blocks.\(block)", timm: "stages.\(stage).blocks.\(number)",
            original: "network.\(entry).\(number)")
    }

    /// The down-sampling behind stage `stage`; timm counts it to the stage that follows.
    static func downsample(after stage: Int, entry: Int) -> TensorName {
        backbone(
            "encoder.intermediate_stages.\(entry)", timm: "stages.\(stage + 1).downsample", original: "network.\(entry)"
        )
    }

    static let downsampleConvolution = TensorName("projection", timm: "conv", original: "proj")
    static let downsampleNorm = TensorName("norm")

    // Inside a pooling block.
    static let convolution1 = TensorName("mlp.convolution1", timm: "mlp.fc1", original: "mlp.fc1")
    static let mlpNorm1 = TensorName("mlp.batchnorm_before", timm: "mlp.norm1", original: "mlp.norm1")
    static let convolution2 = TensorName("mlp.convolution2", timm: "mlp.fc2", original: "mlp.fc2")
    static let mlpNorm2 = TensorName("mlp.batchnorm_after", timm: "mlp.norm2", original: "mlp.norm2")

    // Inside an attention block.
    static let layerNorm1 = TensorName("layernorm1", timm: "norm1", original: "norm1")
    static let layerNorm2 = TensorName("layernorm2", timm: "norm2", original: "norm2")
    static let linearIn = TensorName("mlp.linear_in", timm: "mlp.fc1", original: "mlp.fc1")
    static let linearOut = TensorName("mlp.linear_out", timm: "mlp.fc2", original: "mlp.fc2")
    static let queryKeyValue = TensorName("token_mixer.qkv")
    static let projection = TensorName("token_mixer.projection", timm: "token_mixer.proj", original: "token_mixer.proj")
    static let attentionBiases = TensorName("token_mixer.attention_biases")
    static let attentionBiasIndices = TensorName("token_mixer.attention_bias_idxs")

    // Inside both.
    static let layerScale1 = TensorName("layer_scale_1", timm: "ls1.gamma", original: "layer_scale_1")
    static let layerScale2 = TensorName("layer_scale_2", timm: "ls2.gamma", original: "layer_scale_2")

    private static func backbone(_ canonical: String, timm: String, original: String) -> TensorName {
        TensorName(backbonePrefix + canonical, timm: timm, original: original)
    }
}

/// How one checkpoint names its tensors.
struct CheckpointNames: Sendable, Equatable {
    var scheme: NamingScheme
    /// What stands in front of every name: `module.`, where torch's data-parallel wrapper was saved, the scope of a TensorFlow model, or
    /// nothing.
    var prefix: String

    private static let wrapperPrefix = "module."
    /// TensorFlow's classes put a scope of this start in front, such as `tf_efficient_former_for_image_classification_2.`: numbers follow
    /// where a session held several models. All names behind it, also of a model without a head, are Hugging Face's with their prefix.
    private static let scopeStart = "tf_efficient_former_"

    /// Names that only the scheme has; their first hit decides.
    private static func marks(_ scheme: NamingScheme) -> [String] {
        switch scheme {
        case .huggingFace: [TensorName.backbonePrefix]
        case .huggingFaceBackbone: ["encoder.last_stage.", "encoder.intermediate_stages.", "patch_embed.convolution1."]
        case .timm: ["stages.", "stem.conv1."]
        case .original: ["network.", "patch_embed.0."]
        }
    }

    init(_ scheme: NamingScheme, prefix: String = "") { (self.scheme, self.prefix) = (scheme, prefix) }

    init(detecting checkpoint: Checkpoint) throws(ModelError) {
        let names = checkpoint.tensors.map(\.name)
        let isScoped = names.first?.hasPrefix(CheckpointNames.scopeStart) == true
        let wrapper = isScoped ? names[0].prefix { $0 != "." } + "." : CheckpointNames.wrapperPrefix[...]
        let prefix = !names.isEmpty && names.allSatisfy { $0.hasPrefix(wrapper) } ? String(wrapper) : ""
        let scheme = NamingScheme.allCases.first { scheme in
            let marks = CheckpointNames.marks(scheme).map { prefix + $0 }
            return names.contains { name in marks.contains { name.hasPrefix($0) } }
        }
        guard let scheme else { throw .unrecognized(example: names.first ?? "", family: "EfficientFormer") }
        self.init(scheme, prefix: prefix)
    }

    /// The name in this checkpoint.
    func callAsFunction(_ name: TensorName) -> String { prefix + name[scheme] }
}
