/// What turns a picture into a model's input: resize, centred crop, rescale, normalize, in this order.
///
/// A model file keeps it under the metadata key `alula.preprocess` as one line of JSON with sorted keys (see `json`).
public struct ImagePreprocessor: Sendable, Equatable {
    /// The size that a picture is scaled to.
    public enum Resize: Sendable, Equatable {
        /// The short side gets this length; the long side `length * long / short`, rounded down.
        case shortestEdge(Int)
        /// Exactly this size, whatever the picture's shape.
        case exact(width: Int, height: Int)
    }

    /// The part that is kept of a scaled picture.
    public struct Crop: Sendable, Equatable {
        public var width: Int
        public var height: Int
        public var rounding: CropRounding

        public init(width: Int, height: Int, rounding: CropRounding = .down) {
            self.width = width
            self.height = height
            self.rounding = rounding
        }
    }

    /// Nil: the picture keeps its size.
    public var resize: Resize?
    public var filter: ResizeFilter
    /// Nil: the whole scaled picture is kept.
    public var crop: Crop?
    /// What bytes are multiplied by; 1 where the model takes 0…255.
    public var rescale: Double
    /// Per channel, subtracted after rescaling; zeros and ones in `mean` and `deviation` leave values as they are.
    public var mean: [Double]
    /// Per channel, divided by after subtracting.
    public var deviation: [Double]

    /// The statistics of ImageNet that nearly every pretrained image model is normalized with.
    package static let imageNetMean = [0.485, 0.456, 0.406]
    package static let imageNetDeviation = [0.229, 0.224, 0.225]

    public init(
        resize: Resize?, filter: ResizeFilter = .bicubic, crop: Crop?, rescale: Double = 1 / 255, mean: [Double],
        deviation: [Double]
    ) throws(PreprocessorError) {
        self.resize = resize
        self.filter = filter
        self.crop = crop
        self.rescale = rescale
        self.mean = mean
        self.deviation = deviation
        try check()
    }

    /// Most pixels of a side that a configuration may ask for.
    static let maximumSide = 65_535

    private func check() throws(PreprocessorError) {
        var sides: [Int] = []
        switch resize {
        case nil: break
        case .shortestEdge(let length): sides.append(length)
        case .exact(let width, let height): sides += [width, height]
        }
        if let crop { sides += [crop.width, crop.height] }
        if let side = sides.first(where: { !(1...ImagePreprocessor.maximumSide).contains($0) }) {
            throw .invalidValue(key: "size", found: String(side), expected: "1…\(ImagePreprocessor.maximumSide)")
        }
        guard rescale.isFinite else { throw .invalidValue(key: "rescale", found: "\(rescale)", expected: "a number") }
        for (key, values) in [("mean", mean), ("std", deviation)] {
            guard values.count == Image.channels, values.allSatisfy(\.isFinite) else {
                throw .invalidValue(key: key, found: "\(values)", expected: "\(Image.channels) numbers")
            }
        }
        guard deviation.allSatisfy({ Float($0) != 0 }) else {
            throw .invalidValue(key: "std", found: "\(deviation)", expected: "numbers other than zero")
        }
    }
}

// MARK: - Normalization

extension ImagePreprocessor {
    /// What a byte becomes: `byte · scale + shift`, by channel.
    public var normalization: (scale: [Double], shift: [Double]) {
        (deviation.map { rescale / $0 }, zip(mean, deviation).map { -$0 / $1 })
    }

    /// The same preparation up to the bytes, which stay as they are.
    public func withoutNormalization() throws(PreprocessorError) -> ImagePreprocessor {
        let (zeros, ones) = ([Double](repeating: 0, count: mean.count), [Double](repeating: 1, count: mean.count))
        return try ImagePreprocessor(
            resize: resize, filter: filter, crop: crop, rescale: 1, mean: zeros, deviation: ones)
    }
}

// MARK: - Applying

extension ImagePreprocessor {
    /// A picture as a model's input: `height * width * 3` numbers, channels innermost.
    public struct Input: Sendable, Equatable {
        public var height: Int
        public var width: Int
        public var values: [Float]
    }

    /// The resized and cropped picture, before rescaling and normalization; what an int8 model takes in.
    public func bytes(_ image: Image, limits: ImageLimits = .standard) throws(ImageError) -> Image {
        var image = image
        switch resize {
        case nil: break
        case .exact(let width, let height):
            image = try image.resized(width: width, height: height, filter: filter, limits: limits)
        case .shortestEdge(let length):
            let long = length * max(image.width, image.height) / min(image.width, image.height)
            image = try image.resized(
                width: image.width <= image.height ? length : long,
                height: image.width <= image.height ? long : length, filter: filter, limits: limits)
        }
        guard let crop else { return image }
        return try image.centerCropped(
            width: crop.width, height: crop.height, rounding: crop.rounding, limits: limits)
    }

    /// The picture resized, cropped, rescaled and normalized.
    public func normalized(_ image: Image, limits: ImageLimits = .standard) throws(ImageError) -> Input {
        let picture = try bytes(image, limits: limits)
        return Input(height: picture.height, width: picture.width, values: values(picture))
    }

    /// The numbers of a picture that is resized and cropped already.
    package func values(_ picture: Image) -> [Float] {
        let table = normalizationTable()
        return [Float](unsafeUninitializedCapacity: picture.bytes.count) { values, initialized in
            picture.bytes.withUnsafeBufferPointer { bytes in
                for pixel in 0..<bytes.count / 3 {
                    values[3 * pixel] = table[Int(bytes[3 * pixel])]
                    values[3 * pixel + 1] = table[256 + Int(bytes[3 * pixel + 1])]
                    values[3 * pixel + 2] = table[512 + Int(bytes[3 * pixel + 2])]
                }
            }
            initialized = picture.bytes.count
        }
    }

    /// The input value of every byte, 256 per channel: rescaled in double precision, then rounded to single precision and
    /// normalized in it, the steps and the rounding of Hugging Face's processors.
    package func normalizationTable() -> [Float] {
        (0..<Image.channels).flatMap { channel in
            let (mean, deviation) = (Float(mean[channel]), Float(deviation[channel]))
            return (0..<256).map { byte in (Float(Double(byte) * rescale) - mean) / deviation }
        }
    }
}
