import AlulaGraph
import ModelBuilding

/// What distinguishes one EfficientFormer from another. The initial values are those of Hugging Face's configuration class, which are L1's.
public struct EfficientFormerConfiguration: Sendable, Equatable {
    /// The linear layers behind the pooled tokens.
    public enum Head: Sendable, Equatable {
        /// The result is the pooled tokens themselves.
        case none
        case classifier
        /// Two classifiers whose logits are averaged.
        case classifierAndDistillation
    }

    /// Blocks of each stage.
    public var depths = [3, 2, 6, 4]
    /// Channels of each stage.
    public var widths = [48, 96, 224, 448]
    /// Whether stage i is down-sampled on the way to stage i + 1. A change of width down-samples in any case: `downsamplesAfter`.
    public var downsamples = [true, true, true]
    /// Attention blocks at the end of the last stage.
    public var attentionBlocks = 1
    public var heads = 8
    /// Width of query and key per head.
    public var keyDim = 32
    /// Width of the value per head.
    public var valueDim = 128
    /// Side of the token grid in the last stage, which fixes the input's size.
    public var resolution = 7
    /// Hidden width of an MLP over the block's width.
    public var mlpRatio = 4.0
    public var poolSize = 3
    public var downsampleKernel = 3
    public var downsampleStride = 2
    public var downsamplePadding = 1
    public var usesLayerScale = true
    /// In both kinds of MLP; the stem always uses ReLU.
    public var activation = UnaryFunction.gelu
    /// nil: that of the code which named the checkpoint's tensors.
    public var layerNormEpsilon: Float?
    public var batchNormEpsilon: Float = 1e-5
    /// Channels of the input image.
    public var channels = 3
    /// nil: whatever heads the checkpoint has.
    public var head: Head?
    /// nil: as many as the checkpoint's classifier has rows.
    public var classes: Int?
    /// Names of the classes in order; empty where unknown.
    public var labels: [String] = []
    /// What a person should know about how these values came about, such as assumptions.
    public var notes: [String] = []

    public init() {}

    // MARK: Presets

    private struct Preset {
        var name: String
        var depths: [Int]
        var widths: [Int]
        var attentionBlocks: Int
    }

    private static let presets = [
        Preset(name: "efficientformer-l1", depths: [3, 2, 6, 4], widths: [48, 96, 224, 448], attentionBlocks: 1),
        Preset(name: "efficientformer-l3", depths: [4, 4, 12, 6], widths: [64, 128, 320, 512], attentionBlocks: 4),
        Preset(name: "efficientformer-l7", depths: [6, 6, 18, 8], widths: [96, 192, 384, 768], attentionBlocks: 8),
    ]

    static var presetNames: [String] { presets.map(\.name) }

    /// A published architecture, `efficientformer-l1`, `-l3` or `-l7`; an underscore instead of the hyphen will do.
    public init(architecture name: String) throws(ModelError) {
        try apply(architecture: name)
    }

    /// Replaces depths, widths and attention blocks by those of a published architecture.
    public mutating func apply(architecture name: String) throws(ModelError) {
        let published = hyphenated(name)
        guard let preset = EfficientFormerConfiguration.presets.first(where: { $0.name == published }) else {
            throw .unknownArchitecture(
                name: name, known: EfficientFormerConfiguration.presetNames)
        }
        (depths, widths, attentionBlocks) = (preset.depths, preset.widths, preset.attentionBlocks)
        downsamples = [true, true, true]
    }

    /// The name of the published architecture that has these depths, widths and attention blocks, else `efficientformer`.
    public var architecture: String {
        let match = EfficientFormerConfiguration.presets.first {
            $0.depths == depths && $0.widths == widths && $0.attentionBlocks == attentionBlocks
        }
        return match?.name ?? "efficientformer"
    }

    // MARK: Derived

    public var stageCount: Int { depths.count }

    /// Pooling blocks of the last stage.
    var lastPoolingBlocks: Int { depths[stageCount - 1] - attentionBlocks }

    var tokens: Int { resolution * resolution }

    /// Whether a down-sampling follows stage `stage`.
    func downsamplesAfter(_ stage: Int) -> Bool {
        stage < stageCount - 1 && (downsamples[stage] || widths[stage] != widths[stage + 1])
    }

    /// The place of a stage in the flat list of stages and down-samplings.
    func entry(ofStage stage: Int) -> Int { (0..<stage).reduce(0) { $0 + (downsamplesAfter($1) ? 2 : 1) } }

    func hiddenWidth(_ width: Int) -> Int { Int(Double(width) * mlpRatio) }

    /// Side of the square input: the smallest or, where it works, the resolution times the strides.
    public var inputSide: Int {
        let downsamplings = (0..<stageCount).filter { downsamplesAfter($0) }.count
        // Larger sides are refused by `validate`; the bound keeps the products from overflowing.
        let bound = { (side: Int) in min(max(side, -1 << 20), 1 << 20) }
        let product = (0..<downsamplings).reduce(resolution * 4) { side, _ in bound(side * downsampleStride) }
        if lastGrid(inputSide: product) == resolution { return product }
        let side = (0..<downsamplings).reduce(resolution) { side, _ in
            bound((side - 1) * downsampleStride + downsampleKernel - 2 * downsamplePadding)
        }
        return side * 4
    }

    /// Side of the last stage's grid for an input of that size.
    func lastGrid(inputSide: Int) -> Int {
        var side = inputSide
        for _ in 0..<2 { side = (side - 1) / 2 + 1 }
        for stage in 0..<stageCount where downsamplesAfter(stage) {
            side = (side + 2 * downsamplePadding - downsampleKernel) / downsampleStride + 1
        }
        return side
    }

    // MARK: Checking

    /// Throws for values that no model can have, so that nothing downstream overflows. Keys are those of `config.json`.
    func validate() throws(ModelError) {
        func check(_ condition: Bool, _ key: String, _ value: some Any, _ problem: String) throws(ModelError) {
            guard condition else { throw .configuration(key: key, value: "\(value)", problem: problem) }
        }
        try check((1...16).contains(depths.count), "depths", depths, "1 to 16 stages are supported")
        try check(depths.allSatisfy { (1...1000).contains($0) }, "depths", depths, "each stage has 1 to 1000 blocks")
        try check(widths.count == depths.count, "hidden_sizes", widths, "depths has \(depths.count) entries")
        try check(widths.allSatisfy { (2...65536).contains($0) }, "hidden_sizes", widths, "widths are 2 to 65536")
        try check(
            downsamples.count >= depths.count - 1, "downsamples", downsamples, "depths has \(depths.count) entries")
        try check(
            (0...depths[depths.count - 1]).contains(attentionBlocks), "num_meta3d_blocks", attentionBlocks,
            "the last stage has \(depths[depths.count - 1]) blocks")
        try check((1...1024).contains(heads), "num_attention_heads", heads, "1 to 1024 are supported")
        try check((1...4096).contains(keyDim), "key_dim", keyDim, "1 to 4096 are supported")
        try check((1...65536).contains(valueDim), "attention_ratio", valueDim, "the value width is 1 to 65536")
        try check((1...64).contains(resolution), "resolution", resolution, "1 to 64 are supported")
        try check(
            mlpRatio.isFinite && mlpRatio <= 64 && widths.allSatisfy { Double($0) * mlpRatio >= 1 },
            "mlp_expansion_ratio",
            mlpRatio, "the hidden width is at least 1, the ratio at most 64")
        try check(
            (1...31).contains(poolSize) && poolSize % 2 == 1, "pool_size", poolSize,
            "an odd size up to 31 keeps the image's size")
        try check(
            (1...31).contains(downsampleKernel), "downsample_patch_size", downsampleKernel, "1 to 31 are supported")
        try check((1...31).contains(downsampleStride), "downsample_stride", downsampleStride, "1 to 31 are supported")
        try check((0...15).contains(downsamplePadding), "downsample_pad", downsamplePadding, "0 to 15 are supported")
        try check((1...1024).contains(channels), "num_channels", channels, "1 to 1024 are supported")
        if let layerNormEpsilon {
            try check(
                layerNormEpsilon.isFinite && layerNormEpsilon >= 0, "layer_norm_eps", layerNormEpsilon, "at least 0")
        }
        try check(batchNormEpsilon.isFinite && batchNormEpsilon >= 0, "batch_norm_eps", batchNormEpsilon, "at least 0")
        if let classes { try check((1...1_000_000).contains(classes), "id2label", classes, "1 to 1000000 classes") }
        let side = inputSide
        try check(
            (1...8192).contains(side) && lastGrid(inputSide: side) == resolution, "resolution", resolution,
            "no input up to 8192 x 8192 gives a last grid of that size")
    }
}
