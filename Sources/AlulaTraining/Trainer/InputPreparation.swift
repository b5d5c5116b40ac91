import AlulaData
import AlulaGraph

/// Turns examples into a model's inputs, as they are or randomly changed.
package struct InputPreparation: Sendable {
    private let preprocessor: InputPreprocessor?
    /// Of one input, without the batch's axis.
    package let shape: [Int]
    package var images = ImageAugmentation()
    package var signals = SignalAugmentation()
    /// Largest shift of pictures, as a share of the side.
    package var cropPadding = 0.0
    package var erasing = 0.0

    /// - Parameter shape: of one input, without the batch's axis: height, width and channels, or 1, samples and leads.
    package init(_ preprocessor: InputPreprocessor?, shape: [Int]) {
        (self.preprocessor, self.shape) = (preprocessor, shape)
    }

    /// With the changes that a recipe asks for.
    package func augmented(by recipe: Recipe) -> InputPreparation {
        var result = self
        result.images.cropScale = recipe.cropScale < 1 ? recipe.cropScale...1 : nil
        result.images.flips = recipe.flip
        result.images.operations = recipe.randAugment
        result.images.magnitude = recipe.magnitude
        result.images.colorJitter = recipe.colorJitter
        result.cropPadding = recipe.cropPadding
        result.erasing = recipe.erasing
        result.signals.noise = recipe.noise
        result.signals.wander = recipe.wander
        result.signals.amplitude = recipe.scaling
        result.signals.leadDropout = recipe.leadDropout
        result.signals.shift = recipe.shift
        result.signals.timeMask = recipe.timeMask
        return result
    }

    private var count: Int { shape.reduce(1, *) }
    /// Whether inputs are signals: one row of samples.
    package var isSignal: Bool { shape.count == 3 && shape[0] == 1 && shape[1] > 1 }

    /// A prepared picture made visible again; nil where inputs are no pictures.
    package func picture(_ input: [Float]) -> Image? {
        guard case .image(let preprocessor)? = preprocessor, shape.count == 3, shape[2] == Image.channels,
            preprocessor.rescale != 0
        else { return nil }
        let bytes = input.enumerated().map { place, value -> UInt8 in
            let channel = place % Image.channels
            let level =
                (Double(value) * preprocessor.deviation[channel] + preprocessor.mean[channel]) / preprocessor.rescale
            return UInt8(max(0, min(255, level.rounded())))
        }
        return try? Image(width: shape[1], height: shape[0], bytes: bytes)
    }

    /// The input of an example as it is; of a recording its first window.
    package func input(_ example: Example) throws -> [Float] {
        switch example {
        case .image(let image): return try normalized(image)
        case .recording(let recording):
            let signal = try signalPreprocessor()
            return try checked(signal.input(signal.prepare(recording)))
        case .tensor(let values): return try checked(values)
        case .bytes: throw TrainerError.unusableExample("holds u8 numbers, but the model takes f32")
        }
    }

    /// The input of an example with random changes; of a longer recording any window.
    package func changedInput(_ example: Example, using random: inout SplitMix64) throws -> [Float] {
        switch example {
        case .image(let image): return try changed(image, &random)
        case .recording(let recording):
            let signal = try signalPreprocessor()
            let prepared = try signal.prepare(recording)
            let window = Int(random.next() % UInt64(signal.windowCount(prepared)))
            return changed(try checked(signal.input(prepared, window: window)), rate: signal.rate, &random)
        case .tensor(let values):
            let rate = if case .signal(let signal)? = preprocessor { signal.rate } else { 100.0 }
            return changed(try checked(values), rate: rate, &random)
        case .bytes: return try input(example)
        }
    }

    private func changed(_ image: Image, _ random: inout SplitMix64) throws -> [Float] {
        guard case .image(let preprocessor)? = preprocessor else { throw TrainerError.noPreprocessing("pictures") }
        var images = images
        // Changes are made where the picture is smallest: before it is enlarged to the model's size, after it is reduced.
        let isEnlarged = image.width * image.height * Image.channels < count
        let picture = isEnlarged ? image : try preprocessor.bytes(image)
        images.padding = Int((cropPadding * Double(min(picture.width, picture.height))).rounded())
        let changed = try images.applied(to: picture, using: &random)
        var input = isEnlarged ? try normalized(changed) : try checked(preprocessor.values(changed))
        if erasing > 0, shape.count == 3 {
            RandomErasing(probability: erasing).apply(&input, height: shape[0], width: shape[1], using: &random)
        }
        return input
    }

    private func changed(_ input: [Float], rate: Double, _ random: inout SplitMix64) -> [Float] {
        guard isSignal else { return input }
        var input = input
        signals.apply(&input, leads: shape[2], rate: rate, using: &random)
        return input
    }

    private func normalized(_ image: Image) throws -> [Float] {
        guard case .image(let preprocessor)? = preprocessor else { throw TrainerError.noPreprocessing("pictures") }
        let input = try preprocessor.normalized(image)
        guard [input.height, input.width, Image.channels] == shape else {
            throw TrainerError.unusableExample(
                "gives \(Shape([input.height, input.width, Image.channels]).description) after preprocessing, but the model takes \(Shape(shape).description)"
            )
        }
        return input.values
    }

    private func signalPreprocessor() throws -> SignalPreprocessor {
        guard case .signal(let signal)? = preprocessor else { throw TrainerError.noPreprocessing("recordings") }
        return signal
    }

    private func checked(_ values: [Float]) throws -> [Float] {
        guard values.count == count else {
            throw TrainerError.unusableExample(
                "has \(values.count) numbers, but the model takes \(Shape(shape).description)")
        }
        return values
    }
}
