// The form in which a model file keeps its preprocessing.

extension ImagePreprocessor {
    /// The value of a model file's metadata key `alula.preprocess`: JSON on one line without spaces, keys sorted, numbers
    /// as the shortest decimals that read back the same. Equal preprocessors give equal text.
    ///
    ///     {"crop":[224,224],"filter":"bicubic","kind":"image","mean":[0.485,0.456,0.406],
    ///      "rescale":0.00392156862745098,"resize":256,"rounding":"down","std":[0.229,0.224,0.225],"version":1}
    ///
    /// - `kind`: `"image"`; other kinds of input have keys of their own.
    /// - `version`: 1; a reader refuses a higher one.
    /// - `resize`: a number is the new length of the short side, `[height,width]` an exact size; absent: not resized.
    /// - `filter`: `nearest`, `box`, `bilinear`, `hamming`, `bicubic` or `lanczos`.
    /// - `crop`: `[height,width]` of the centred crop, with `rounding` of its offset, `down` or `halfToEven`;
    ///   both absent: not cropped.
    /// - `rescale`, `mean`, `std`: the input is `(byte * rescale - mean[channel]) / std[channel]`.
    public var json: String {
        func list(_ numbers: [Double]) -> String { "[" + numbers.map(compactNumber).joined(separator: ",") + "]" }
        var members = [
            ("filter", "\"\(filter.rawValue)\""), ("kind", "\"image\""), ("mean", list(mean)),
            ("rescale", compactNumber(rescale)), ("std", list(deviation)), ("version", "1"),
        ]
        if let crop {
            members.append(("crop", "[\(crop.height),\(crop.width)]"))
            members.append(("rounding", "\"\(crop.rounding.rawValue)\""))
        }
        switch resize {
        case nil: break
        case .shortestEdge(let length): members.append(("resize", "\(length)"))
        case .exact(let width, let height): members.append(("resize", "[\(height),\(width)]"))
        }
        let sorted = members.sorted { $0.0 < $1.0 }
        return "{" + sorted.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    /// The contents of a `preprocessor_config.json` that says the same to Hugging Face's library. Its crop rounds offsets down.
    public var huggingFaceJSON: String {
        func list(_ numbers: [Double]) -> String { "[" + numbers.map(compactNumber).joined(separator: ", ") + "]" }
        func size(_ width: Int, _ height: Int) -> String { "{\"height\": \(height), \"width\": \(width)}" }
        var members = [
            ("do_center_crop", "\(crop != nil)"), ("do_normalize", "true"), ("do_rescale", "true"),
            ("do_resize", "\(resize != nil)"), ("image_mean", list(mean)),
            ("image_processor_type", "\"EfficientFormerImageProcessor\""), ("image_std", list(deviation)),
            ("resample", "\(ResizeFilter.huggingFaceOrder.firstIndex(of: filter) ?? 0)"),
            ("rescale_factor", compactNumber(rescale)),
        ]
        if let crop { members.append(("crop_size", size(crop.width, crop.height))) }
        switch resize {
        case nil: break
        case .shortestEdge(let length): members.append(("size", "{\"shortest_edge\": \(length)}"))
        case .exact(let width, let height): members.append(("size", size(width, height)))
        }
        let sorted = members.sorted { $0.0 < $1.0 }
        return "{\n" + sorted.map { "  \"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + "\n}\n"
    }

    /// Reads what `json` wrote. Unknown keys are refused: ignoring one could change what a model sees.
    public init(json: String) throws(PreprocessorError) {
        let reader = try ConfigurationReader(Array(json.utf8))
        let keys: Set = ["crop", "filter", "kind", "mean", "rescale", "resize", "rounding", "std", "version"]
        try reader.check(kind: "image", keys: keys)
        let name = try reader.required(reader.optionalString("filter"), "filter")
        guard let filter = ResizeFilter(rawValue: name) else { throw .unsupported(key: "filter", found: name) }

        var resize: Resize?
        if let length = reader.value("resize")?.integer {
            resize = .shortestEdge(length)
        } else if reader.value("resize") != nil {
            resize = try reader.size("resize")
        }
        var crop: Crop?
        if reader.value("crop") != nil, case .exact(let width, let height) = try reader.size("crop") {
            let rule = try reader.required(reader.optionalString("rounding"), "rounding")
            guard let rounding = CropRounding(rawValue: rule) else { throw .unsupported(key: "rounding", found: rule) }
            crop = Crop(width: width, height: height, rounding: rounding)
        }
        try self.init(
            resize: resize, filter: filter, crop: crop,
            rescale: reader.required(reader.optionalNumber("rescale"), "rescale"),
            mean: reader.required(reader.channels("mean"), "mean"),
            deviation: reader.required(reader.channels("std"), "std"))
    }
}

extension ConfigurationReader {
    /// A list of height and width.
    fileprivate func size(_ key: String) throws(PreprocessorError) -> ImagePreprocessor.Resize {
        guard let value = value(key), let pair = value.array, pair.count == 2, let height = pair[0].integer,
            let width = pair[1].integer
        else {
            throw .invalidValue(key: key, found: value(key)?.excerpt ?? "missing", expected: "[height, width]")
        }
        return .exact(width: width, height: height)
    }
}
