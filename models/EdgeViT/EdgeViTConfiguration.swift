import AlulaGraph
import ModelBuilding

/// What distinguishes one EdgeViT from another. The initial values are XXS's.
public struct EdgeViTConfiguration: Sendable, Equatable {
    /// Blocks of each stage.
    public var depths = [1, 1, 3, 2]
    /// Channels of each stage.
    public var widths = [36, 72, 144, 288]
    /// Channels over heads; a stage has `width / headDim` heads.
    public var headDim = 36
    /// Every how many rows and columns attention samples a token, by stage. Stages of rate 1 have no local aggregation.
    public var rates = [4, 2, 2, 1]
    /// Hidden width of an MLP over the stage's width.
    public var mlpRatios = [4.0, 4, 4, 4]
    /// Kernel and stride of the first patch embedding; the later ones have 2.
    public var patch = 4
    public var height = 224
    public var width = 224
    /// Channels of the input image.
    public var channels = 3
    public var batchNormEpsilon: Float = 1e-5
    /// Of the norms in patch embeddings and behind the propagation.
    public var embeddingNormEpsilon: Float = 1e-5
    /// Of the norms in front of attention and MLP.
    public var blockNormEpsilon: Float = 1e-6
    /// nil: as many as the checkpoint's head has rows.
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
        var headDim: Int
    }

    private static let presets = [
        Preset(name: "edgevit-xxs", depths: [1, 1, 3, 2], widths: [36, 72, 144, 288], headDim: 36),
        Preset(name: "edgevit-xs", depths: [1, 1, 3, 1], widths: [48, 96, 240, 384], headDim: 48),
        Preset(name: "edgevit-s", depths: [1, 2, 5, 3], widths: [48, 96, 240, 384], headDim: 48),
    ]

    static var presetNames: [String] { presets.map(\.name) }

    /// A published architecture, `edgevit-xxs`, `-xs` or `-s`.
    public init(architecture name: String) throws(ModelError) { try apply(architecture: name) }

    /// Replaces depths, widths and heads by those of a published architecture.
    public mutating func apply(architecture name: String) throws(ModelError) {
        let published = hyphenated(name)
        guard let preset = EdgeViTConfiguration.presets.first(where: { $0.name == published }) else {
            throw .unknownArchitecture(name: name, known: EdgeViTConfiguration.presetNames)
        }
        (depths, widths, headDim) = (preset.depths, preset.widths, preset.headDim)
        (rates, mlpRatios) = ([4, 2, 2, 1], [4, 4, 4, 4])
    }

    /// The name of the published architecture with these values, else `edgevit`.
    public var architecture: String {
        let match = EdgeViTConfiguration.presets.first {
            $0.depths == depths && $0.widths == widths && $0.headDim == headDim && rates == [4, 2, 2, 1]
                && mlpRatios == [4, 4, 4, 4]
        }
        return match?.name ?? "edgevit"
    }

    // MARK: Derived

    public var stageCount: Int { depths.count }
    func heads(ofStage stage: Int) -> Int { widths[stage] / headDim }
    func hiddenWidth(ofStage stage: Int) -> Int { Int(Double(widths[stage]) * mlpRatios[stage]) }
    func patch(ofStage stage: Int) -> Int { stage == 0 ? patch : 2 }

    // MARK: Checking

    /// Throws for values that no model can have. Keys are those of `config.json`.
    func validate() throws(ModelError) {
        func check(_ condition: Bool, _ key: String, _ value: some Any, _ problem: String) throws(ModelError) {
            guard condition else { throw .configuration(key: key, value: "\(value)", problem: problem) }
        }
        let stages = depths.count
        try check((1...16).contains(stages), "depth", depths, "1 to 16 stages are supported")
        try check(depths.allSatisfy { (1...1000).contains($0) }, "depth", depths, "each stage has 1 to 1000 blocks")
        try check(widths.count == stages, "embed_dim", widths, "depth has \(stages) entries")
        try check(widths.allSatisfy { (1...65536).contains($0) }, "embed_dim", widths, "widths are 1 to 65536")
        try check((1...65536).contains(headDim), "head_dim", headDim, "1 to 65536 are supported")
        for stage in 0..<stages {
            let heads = heads(ofStage: stage)
            try check(
                heads > 0 && widths[stage] % heads == 0, "head_dim", headDim,
                "\(widths[stage]) channels do not divide into \(heads) heads")
        }
        try check(rates.count == stages, "sr_ratios", rates, "depth has \(stages) entries")
        try check(rates.allSatisfy { (1...64).contains($0) }, "sr_ratios", rates, "rates are 1 to 64")
        try check(mlpRatios.count == stages, "mlp_ratio", mlpRatios, "depth has \(stages) entries")
        for stage in 0..<stages {
            let ratio = mlpRatios[stage]
            try check(
                ratio.isFinite && ratio <= 64 && Double(widths[stage]) * ratio >= 1, "mlp_ratio", mlpRatios,
                "the hidden width is at least 1, the ratio at most 64")
        }
        try check((1...64).contains(patch), "patch_size", patch, "1 to 64 are supported")
        try check((1...1024).contains(channels), "in_chans", channels, "1 to 1024 are supported")
        if let classes { try check((1...1_000_000).contains(classes), "num_classes", classes, "1 to 1000000 classes") }
        for epsilon in [batchNormEpsilon, embeddingNormEpsilon, blockNormEpsilon] {
            try check(epsilon.isFinite && epsilon >= 0, "eps", epsilon, "at least 0")
        }
        try check((1...8192).contains(height), "image_size", height, "1 to 8192 are supported")
        try check((1...8192).contains(width), "image_size", width, "1 to 8192 are supported")
        for side in [height, width] {
            var grid = side
            for stage in 0..<stages {
                let unit = patch(ofStage: stage)
                try check(
                    grid % unit == 0, "image_size", side,
                    "stage \(stage + 1) cuts a side of \(grid) into patches of \(unit)")
                grid /= unit
                try check(
                    grid % rates[stage] == 0, "image_size", side,
                    "stage \(stage + 1) samples every \(rates[stage]) of \(grid) rows or columns")
            }
        }
    }
}

// MARK: config.json

extension EdgeViTConfiguration {
    /// Reads the contents of a `config.json`: the constructor arguments of the release, and `image_size`. Missing keys have XXS's values,
    /// or those of the architecture that the file names.
    public init(json document: [UInt8]) throws(ModelError) {
        try self.init(keys: ConfigurationKeys(json: document))
    }

    init(keys: ConfigurationKeys) throws(ModelError) {
        if let name = try keys.string("architecture"), hyphenated(name) != "edgevit" { try apply(architecture: name) }
        depths = try keys.integers("depth") ?? depths
        widths = try keys.integers("embed_dim") ?? widths
        headDim = try keys.integer("head_dim") ?? headDim
        rates = try keys.integers("sr_ratios") ?? rates
        if case .number(let ratio)? = keys.members["mlp_ratio"] {
            mlpRatios = [Double](repeating: ratio, count: depths.count)
        } else {
            mlpRatios = try keys.numbers("mlp_ratio") ?? mlpRatios
        }
        patch = try keys.integer("patch_size") ?? patch
        channels = try keys.integer("in_chans") ?? channels
        for key in ["image_size", "img_size"] where !keys.isAbsent(key) {
            if case .array? = keys.members[key], let sides = try keys.integers(key) {
                guard sides.count == 2 else {
                    throw .configuration(key: key, value: "\(sides)", problem: "takes a height and a width")
                }
                (height, width) = (sides[0], sides[1])
            } else if let side = try keys.integer(key) {
                (height, width) = (side, side)
            }
        }
        classes = try keys.integer("num_classes")
        labels = keys.isAbsent("label_names") ? [] : try keys.strings("label_names") ?? []
        if !labels.isEmpty, let classes, classes != labels.count {
            throw .configuration(
                key: "label_names", value: "\(labels.count) names", problem: "num_classes is \(classes)")
        }
        try validate()
    }
}
