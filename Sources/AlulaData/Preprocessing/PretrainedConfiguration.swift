// The preprocessing files that come with pretrained weights.

extension ImagePreprocessor {
    /// Reads Hugging Face's `preprocessor_config.json`.
    ///
    /// Missing keys get the defaults of `EfficientFormerImageProcessor` as it behaves: resize to exactly 224 x 224,
    /// bicubic, crop 224, 1/255, ImageNet statistics (its documentation says otherwise). For a processor of another
    /// class every key must be there, because each class has defaults of its own.
    public init(huggingFace document: [UInt8]) throws(PreprocessorError) {
        let reader = try ConfigurationReader(document)
        let oldProcessor = try reader.optionalString("feature_extractor_type")
        let processor = try reader.optionalString("image_processor_type") ?? oldProcessor
        let isKnown = processor.map { $0.hasPrefix("EfficientFormer") } ?? true
        let context = "the configuration of a \(processor ?? "processor")"
        func pick<Value>(_ key: String, _ value: Value?, else standard: Value) throws(PreprocessorError) -> Value {
            if let value { return value }
            guard isKnown else { throw .missingKey(key, context: context) }
            return standard
        }
        func flag(_ key: String) throws(PreprocessorError) -> Bool {
            try pick(key, reader.optionalBool(key), else: true)
        }
        for key in ["do_pad", "do_flip_channel_order", "do_thumbnail", "do_align_long_axis"] {
            guard try reader.optionalBool(key) != true else { throw .unsupported(key: key, found: "true") }
        }

        var resize: Resize?
        var filter = ResizeFilter.bicubic
        if try flag("do_resize") {
            resize = try pick("size", reader.huggingFaceSize("size"), else: .exact(width: 224, height: 224))
            filter = try pick("resample", reader.huggingFaceFilter("resample"), else: .bicubic)
        }
        var crop: Crop?
        if try flag("do_center_crop") {
            switch try pick("crop_size", reader.huggingFaceSize("crop_size"), else: .exact(width: 224, height: 224)) {
            case .exact(let width, let height): crop = Crop(width: width, height: height)
            case .shortestEdge: throw .unsupported(key: "crop_size", found: "a shortest edge")
            }
        }
        var rescale = 1.0
        if try flag("do_rescale") {
            rescale = try pick("rescale_factor", reader.optionalNumber("rescale_factor"), else: 1 / 255)
        }
        var (mean, deviation) = ([0.0, 0, 0], [1.0, 1, 1])
        if try flag("do_normalize") {
            mean = try pick("image_mean", reader.channels("image_mean"), else: ImagePreprocessor.imageNetMean)
            deviation = try pick(
                "image_std", reader.channels("image_std"), else: ImagePreprocessor.imageNetDeviation)
        }
        try self.init(
            resize: resize, filter: filter, crop: crop, rescale: rescale, mean: mean, deviation: deviation)
    }

    /// Reads timm's `pretrained_cfg`, alone or inside a `config.json`.
    ///
    /// timm resizes the short side to `floor(input / crop_pct)` and crops as torchvision does. Missing keys get timm's
    /// defaults: 224 x 224, bicubic, `crop_pct` 0.875, ImageNet statistics.
    public init(timm document: [UInt8]) throws(PreprocessorError) {
        var reader = try ConfigurationReader(document)
        if let inner = reader.members["pretrained_cfg"]?.object { reader = ConfigurationReader(members: inner) }

        var (width, height) = (224, 224)
        if let value = reader.value("input_size") {
            guard let sizes = value.array, sizes.count == 3, sizes[0].integer == Image.channels,
                let rows = sizes[1].integer, let columns = sizes[2].integer
            else { throw .invalidValue(key: "input_size", found: value.excerpt, expected: "[3, height, width]") }
            (width, height) = (columns, rows)
        }
        let portion = try reader.optionalNumber("crop_pct") ?? 0.875
        guard portion > 0.01, portion <= 1 else {
            throw .invalidValue(key: "crop_pct", found: compactNumber(portion), expected: "a number in 0.01…1")
        }
        let name = try reader.optionalString("interpolation") ?? "bicubic"
        guard let filter = ResizeFilter(rawValue: name) else { throw .unsupported(key: "interpolation", found: name) }

        func scaled(_ side: Int) -> Int { Int((Double(side) / portion).rounded(.down)) }
        let resize: Resize
        switch try reader.optionalString("crop_mode") ?? "center" {
        case "center":
            guard width == height else { throw .unsupported(key: "input_size", found: "\(width) x \(height)") }
            resize = .shortestEdge(scaled(width))
        case "squash": resize = .exact(width: scaled(width), height: scaled(height))
        case let mode: throw .unsupported(key: "crop_mode", found: mode)
        }
        try self.init(
            resize: resize, filter: filter, crop: Crop(width: width, height: height, rounding: .halfToEven),
            mean: reader.channels("mean") ?? ImagePreprocessor.imageNetMean,
            deviation: reader.channels("std") ?? ImagePreprocessor.imageNetDeviation)
    }
}

extension ResizeFilter {
    /// By Pillow's numbers, which Hugging Face's files hold.
    static let huggingFaceOrder: [ResizeFilter] = [.nearest, .lanczos, .bilinear, .bicubic, .box, .hamming]
}

/// Typed access to a configuration's keys; a null counts as missing.
struct ConfigurationReader {
    let members: [String: JSONValue]

    init(_ document: [UInt8]) throws(PreprocessorError) {
        guard let members = JSONValue.object(parsing: document) else { throw .notJSON }
        self.members = members
    }

    init(members: [String: JSONValue]) {
        self.members = members
    }

    func value(_ key: String) -> JSONValue? {
        members[key].flatMap { $0.isNull ? nil : $0 }
    }

    private func optional<Value>(
        _ key: String, _ expected: String, _ read: (JSONValue) -> Value?
    ) throws(PreprocessorError) -> Value? {
        guard let found = value(key) else { return nil }
        guard let value = read(found) else { throw .invalidValue(key: key, found: found.excerpt, expected: expected) }
        return value
    }

    func optionalBool(_ key: String) throws(PreprocessorError) -> Bool? {
        try optional(key, "true or false", \.bool)
    }

    func optionalNumber(_ key: String) throws(PreprocessorError) -> Double? {
        try optional(key, "a number", \.number)
    }

    func optionalInteger(_ key: String) throws(PreprocessorError) -> Int? {
        try optional(key, "a whole number", \.integer)
    }

    func optionalString(_ key: String) throws(PreprocessorError) -> String? {
        try optional(key, "a text", \.string)
    }

    /// One number per channel, or one for all.
    func channels(_ key: String) throws(PreprocessorError) -> [Double]? {
        try optional(key, "\(Image.channels) numbers") { value in
            if let number = value.number { return Array(repeating: number, count: Image.channels) }
            guard let numbers = value.array?.compactMap(\.number), numbers.count == Image.channels,
                value.array?.count == Image.channels
            else { return nil }
            return numbers
        }
    }

    /// Pillow's number of a filter.
    func huggingFaceFilter(_ key: String) throws(PreprocessorError) -> ResizeFilter? {
        let numbered = ResizeFilter.huggingFaceOrder
        return try optional(key, "a filter's number, 0…5") { value in
            value.integer.flatMap { numbered.indices.contains($0) ? numbered[$0] : nil }
        }
    }

    /// A side of a square, a pair of height and width, or an object with `height` and `width` or `shortest_edge`.
    func huggingFaceSize(_ key: String) throws(PreprocessorError) -> ImagePreprocessor.Resize? {
        try optional(key, "a number, {height, width} or {shortest_edge}") { value in
            if let side = value.integer { return .exact(width: side, height: side) }
            if let pair = value.array, pair.count == 2, let height = pair[0].integer, let width = pair[1].integer {
                return .exact(width: width, height: height)
            }
            guard let members = value.object else { return nil }
            if members.count == 2, let height = members["height"]?.integer, let width = members["width"]?.integer {
                return .exact(width: width, height: height)
            }
            if members.count == 1, let length = members["shortest_edge"]?.integer { return .shortestEdge(length) }
            return nil
        }
    }
}
