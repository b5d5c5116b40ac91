import AlulaGraph
import ModelBuilding

/// What distinguishes one MSW-Transformer from another. The paper's abstract fixes few of these values; the README beside this file gives the
/// reason for each default.
public struct MSWTransformerConfiguration: Sendable, Equatable {
    /// How far the second attention of a scale shifts its windows.
    public enum Shift: String, Sendable, CaseIterable {
        /// By half a window, as Swin does.
        case half
        /// Not at all: the second attention sees the same windows as the first.
        case none
    }

    /// What the scales' features are weighted with before they are added.
    public enum Fusion: String, Sendable, CaseIterable {
        /// The softmax over one learned number a scale.
        case softmax
        /// The learned numbers themselves.
        case weights
    }

    /// Channels of the signal.
    public var leads = 12
    /// Samples of the signal; the last patch is filled up with zeros where it is not whole.
    public var length = 1000
    /// Samples of a token.
    public var patch = 5
    public var dim = 512
    public var heads = 8
    /// Whether a learned vector is added to each token by its place.
    public var usesPositions = true
    /// How often attention, shifted attention and MLP follow each other in a scale.
    public var layers = 1
    /// Tokens of a window, by scale.
    public var windows = [5, 10, 20]
    public var shift = Shift.half
    /// Whether tokens that shifting brought together from both ends of the signal are kept apart.
    public var masksWrapped = true
    /// Whether attention adds a learned number by distance and head.
    public var usesRelativeBias = true
    /// Whether the scales share all weights but those by distance.
    public var sharesScales = false
    public var hasQKVBias = true
    public var mlpRatio = 4.0
    /// Of attention and MLP while training; a frozen graph has none.
    public var dropout = 0.1
    public var fusion = Fusion.softmax
    public var normEpsilon: Float = 1e-5
    /// nil: as many as the checkpoint's head has rows.
    public var classes: Int?
    /// Names of the classes in order; empty where unknown.
    public var labels: [String] = []
    /// What a person should know about how these values came about, such as assumptions.
    public var notes: [String] = []

    public init() {}

    // MARK: Presets

    static let presetNames = ["msw-transformer", "msw-transformer-small", "msw-transformer-tiny"]

    /// `msw-transformer`; `msw-transformer-small` with a fifteenth of its weights; or `msw-transformer-tiny` for devices with less than 64 KiB of working memory.
    public init(architecture name: String) throws(ModelError) { try apply(architecture: name) }

    /// Patches and an input that last as long at `rate` samples a second as these do at 100.
    mutating func setRate(_ rate: Double) {
        patch = max(1, Int((Double(patch) * rate / 100).rounded()))
        length = max(1, Int((Double(length) * rate / 100).rounded()))
    }

    /// Replaces patch, width, heads, layers and windows by those of a preset.
    public mutating func apply(architecture name: String) throws(ModelError) {
        switch hyphenated(name) {
        case "msw-transformer": (patch, dim, heads) = (5, 512, 8)
        case "msw-transformer-small": (patch, dim, heads) = (5, 128, 4)
        case "msw-transformer-tiny": (patch, dim, heads) = (10, 64, 4)
        default: throw .unknownArchitecture(name: name, known: MSWTransformerConfiguration.presetNames)
        }
        (layers, windows, mlpRatio) = (1, [5, 10, 20], 4)
    }

    /// The preset with this patch, width, heads, layers and windows, else `msw-transformer-custom`.
    public var architecture: String {
        for name in MSWTransformerConfiguration.presetNames {
            var preset = self
            if (try? preset.apply(architecture: name)) != nil, preset == self { return name }
        }
        return "msw-transformer-custom"
    }

    // MARK: Derived

    public var tokens: Int { (length + patch - 1) / patch }
    var hiddenWidth: Int { Int(Double(dim) * mlpRatio) }

    /// Tokens by which the second attention of a scale shifts.
    func shift(ofWindow window: Int) -> Int { shift == .half ? window / 2 : 0 }

    // MARK: Checking

    /// Throws for values that no model can have. Keys are those of `config.json`.
    func validate() throws(ModelError) {
        func check(_ condition: Bool, _ key: String, _ value: some Any, _ problem: String) throws(ModelError) {
            guard condition else { throw .configuration(key: key, value: "\(value)", problem: problem) }
        }
        try check((1...1024).contains(leads), "leads", leads, "1 to 1024 are supported")
        try check((1...1_000_000).contains(length), "length", length, "1 to 1000000 samples are supported")
        try check((1...length).contains(patch), "patch", patch, "a patch has 1 to length = \(length) samples")
        try check((1...65536).contains(dim), "dim", dim, "1 to 65536 are supported")
        try check((1...1024).contains(heads) && dim % heads == 0, "heads", heads, "does not divide dim = \(dim)")
        try check((1...1000).contains(layers), "layers", layers, "1 to 1000 are supported")
        try check((1...64).contains(windows.count), "windows", windows, "1 to 64 scales are supported")
        try check(windows.allSatisfy { (1...4096).contains($0) }, "windows", windows, "windows have 1 to 4096 tokens")
        for window in windows {
            let count = (tokens + window - 1) / window
            try check(
                Shape([count, heads, window, window]).isValid, "windows", windows,
                "a window of \(window) is too large for \(tokens) tokens and \(heads) heads")
        }
        try check(
            mlpRatio.isFinite && mlpRatio <= 64 && Double(dim) * mlpRatio >= 1, "mlp_ratio", mlpRatio,
            "the hidden width is at least 1, the ratio at most 64")
        try check((0..<1).contains(dropout), "dropout", dropout, "0 to below 1")
        try check(normEpsilon.isFinite && normEpsilon >= 0, "norm_eps", normEpsilon, "at least 0")
        if let classes { try check((1...1_000_000).contains(classes), "num_classes", classes, "1 to 1000000 classes") }
    }
}

// MARK: config.json

extension MSWTransformerConfiguration {
    /// Reads the contents of a `config.json`. Missing keys have the values of the architecture that the file names, or the defaults.
    public init(json document: [UInt8]) throws(ModelError) {
        try self.init(keys: ConfigurationKeys(json: document))
    }

    init(keys: ConfigurationKeys) throws(ModelError) {
        if let name = try keys.string("architecture"), hyphenated(name) != "msw-transformer-custom" {
            try apply(architecture: name)
        }
        leads = try keys.integer("leads") ?? leads
        length = try keys.integer("length") ?? length
        patch = try keys.integer("patch") ?? patch
        dim = try keys.integer("dim") ?? dim
        heads = try keys.integer("heads") ?? heads
        usesPositions = try keys.bool("abs_pos") ?? usesPositions
        layers = try keys.integer("layers") ?? layers
        windows = try keys.integers("windows") ?? windows
        shift = try MSWTransformerConfiguration.word(keys, "shift") ?? shift
        masksWrapped = try keys.bool("mask") ?? masksWrapped
        usesRelativeBias = try keys.bool("rel_bias") ?? usesRelativeBias
        sharesScales = try keys.bool("share") ?? sharesScales
        hasQKVBias = try keys.bool("qkv_bias") ?? hasQKVBias
        mlpRatio = try keys.number("mlp_ratio") ?? mlpRatio
        dropout = try keys.number("dropout") ?? dropout
        fusion = try MSWTransformerConfiguration.word(keys, "fusion") ?? fusion
        normEpsilon = try keys.number("norm_eps").map { Float($0) } ?? normEpsilon
        classes = try keys.integer("num_classes")
        labels = keys.isAbsent("label_names") ? [] : try keys.strings("label_names") ?? []
        if !labels.isEmpty, let classes, classes != labels.count {
            throw .configuration(
                key: "label_names", value: "\(labels.count) names", problem: "num_classes is \(classes)")
        }
        try validate()
    }

    private static func word<Choice: RawRepresentable & CaseIterable>(
        _ keys: ConfigurationKeys, _ key: String
    ) throws(ModelError) -> Choice? where Choice.RawValue == String {
        guard let word = try keys.string(key) else { return nil }
        guard let choice = Choice(rawValue: word) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw .configuration(key: key, value: word.quotedForMessage, problem: "supported are \(known)")
        }
        return choice
    }
}
