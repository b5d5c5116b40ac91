import AlulaData
import AlulaGraph
import AlulaRuntime
import AlulaSystem

/// One input of a model.
enum Sample {
    /// Real numbers, row-major in the order of the graph's input.
    case floats([Float])
    /// The input's own u8 numbers.
    case quantized([UInt8])

    func set(on session: Session) throws(RuntimeError) {
        switch self {
        case .floats(let values): try session.setInput(0, floats: values)
        case .quantized(let bytes): try session.setInput(0, bytes: bytes)
        }
    }
}

/// The examples of one file, read one at a time.
struct SampleSet: Sendable {
    var count: Int
    var load: @Sendable (Int) throws -> Example
    /// What a person should know about how the file was read.
    var notes: [String] = []
}

extension ModelFile {
    /// How inputs are prepared (`alula.preprocess`); nil where the model does not say.
    func inputPreprocessor() throws -> InputPreprocessor? {
        try metadata[Key.preprocess].map { try InputPreprocessor(json: $0) }
    }
}

/// Turns files into inputs of one model: pictures and recordings by the model's preprocessing, arrays by their shapes.
struct SampleReader: Sendable {
    let inputName: String
    let type: TensorType
    private let preprocessor: InputPreprocessor?

    /// - Parameter path: the model's, for messages.
    init(_ model: ModelFile, path: String) throws {
        guard model.graph.inputs.count == 1 else {
            throw Failure(
                path, "has \(model.graph.inputs.count) inputs; this command reads samples for models with one")
        }
        let id = model.graph.inputs[0]
        inputName = model.graph[id].name
        type = model.graph.type(id)
        guard type.dataType == .f32 || type.dataType == .u8 else {
            throw Failure(path, "takes \(type.dataType.name) numbers; samples are read as f32 or u8")
        }
        preprocessor = try naming(path) { try model.inputPreprocessor() }
    }

    /// The shape of one sample: the input's without a leading axis of size 1.
    private var sampleShape: [Int] {
        let dimensions = type.shape.dimensions
        return dimensions.first == 1 ? Array(dimensions.dropFirst()) : dimensions
    }

    /// Numbers of one input.
    var inputLength: Int { type.shape.elementCount }

    /// Samples a second that the model's recordings have; nil for other models.
    var rate: Double? {
        if case .signal(let signal)? = preprocessor { signal.rate } else { nil }
    }

    // MARK: Files

    /// Opens a picture, a recording, an .npy or a .safetensors file, told apart by content; `-` is raw bytes on standard input.
    func open(_ path: String) throws -> SampleSet {
        if path == "-" { return try naming("standard input") { try rawSamples(try readStandardInput()) } }
        if path.hasSuffix(".hea") { return try recording(path) }
        let bytes: Bytes
        do throws(SystemError) { bytes = try Bytes(mapping: path) } catch {
            if error.kind == .notFound, (try? Bytes(mapping: path + ".hea")) != nil {
                return try recording(path + ".hea")
            }
            throw Failure(path, error.message)
        }
        return try naming(path) {
            switch FileKind(bytes) {
            case .png, .jpeg: return try picture(path)
            case .numpy: return try samples(of: try NumpyFile.array(bytes))
            case .safetensors: return try samples(of: try bestTensor(try SafetensorsFile(bytes: bytes)))
            case let kind:
                throw Failure(
                    path,
                    "is \(kind.description), not a JPEG or PNG picture, a WFDB header (.hea), .npy or .safetensors file"
                )
            }
        }
    }

    private func picture(_ path: String) throws -> SampleSet {
        guard case .image? = preprocessor else {
            throw Failure(path, "is a picture, but the model does not say how to prepare pictures (alula.preprocess)")
        }
        return SampleSet(count: 1) { _ in try naming(path) { .image(try Image(contentsOf: path)) } }
    }

    /// The windows of a recording, one after another.
    private func recording(_ path: String) throws -> SampleSet {
        try naming(path) {
            let (signal, prepared) = try self.prepared(ECGRecording(contentsOf: path))
            var windows = windows(signal, prepared)
            if !prepared.missing.isEmpty {
                windows.notes = ["\(path): leads taken as zero: \(prepared.missing.joined(separator: ", "))"]
            }
            return windows
        }
    }

    private func windows(_ signal: SignalPreprocessor, _ prepared: SignalPreprocessor.Prepared) -> SampleSet {
        SampleSet(count: signal.windowCount(prepared)) { .tensor(signal.input(prepared, window: $0)) }
    }

    private func prepared(_ recording: ECGRecording) throws -> (SignalPreprocessor, SignalPreprocessor.Prepared) {
        guard case .signal(let signal)? = preprocessor else {
            throw Failure(
                nil, "is a recording, but the model does not say how to prepare recordings (alula.preprocess)")
        }
        guard signal.length * signal.leads.count == inputLength else {
            throw Failure(
                nil,
                "gives \(signal.length) samples of \(signal.leads.count) leads after preprocessing, but the model takes \(type.shape.description)"
            )
        }
        return (signal, try signal.prepare(recording))
    }

    // MARK: Examples

    /// The windows of a recording, one after another; anything else is one by itself.
    func windows(of example: Example) throws -> SampleSet {
        guard case .recording(let recording) = example else { return SampleSet(count: 1) { _ in example } }
        let (signal, prepared) = try prepared(recording)
        return windows(signal, prepared)
    }

    /// The input of an example; of a recording its first window.
    func sample(of example: Example) throws -> Sample {
        switch example {
        case .image(let image): return .floats(try values(of: image))
        case .tensor(let values): return .floats(values)
        case .bytes(let bytes): return .quantized(bytes)
        case .recording(let recording):
            let (signal, prepared) = try prepared(recording)
            return .floats(signal.input(prepared))
        }
    }

    private func values(of image: Image) throws -> [Float] {
        guard case .image(let preprocessor)? = preprocessor else {
            throw Failure(nil, "is a picture, but the model does not say how to prepare pictures (alula.preprocess)")
        }
        let input = try preprocessor.normalized(image)
        guard [input.height, input.width, Image.channels] == sampleShape else {
            let found = Shape([input.height, input.width, Image.channels])
            throw Failure(
                nil, "gives \(found.description) after preprocessing, but the model takes \(type.shape.description)")
        }
        return input.values
    }

    private func bestTensor(_ file: SafetensorsFile) throws -> NumericArray {
        let tensors = file.tensors.filter { !["labels", "label"].contains($0.name) }
        let wanted = [inputName, "pixel_values", "image", "images", "signal", "signals"]
        guard let entry = wanted.lazy.compactMap({ name in tensors.first { $0.name == name } }).first ?? tensors.first
        else {
            throw Failure(nil, "holds no tensors")
        }
        guard NumericArray.isReadable(entry.dataType) else {
            throw Failure(
                nil, "tensor \(entry.name) holds \(entry.dataType.name) numbers, which are not read as samples")
        }
        return NumericArray(name: entry.name, dataType: entry.dataType, shape: entry.shape, data: file.data(of: entry))
    }

    // MARK: Arrays

    /// How an array is cut into samples.
    private enum Arrangement { case asIs, channelsFirst, pictures }

    /// Axis 0 counts samples, unless the array is one sample. Channels may come first. u8 arrays `[…,height,width,3]` are pictures to be
    /// prepared when the model says how.
    func samples(of array: NumericArray) throws -> SampleSet {
        let wanted = sampleShape
        let shape = array.shape
        if array.dataType == .u8, case .image? = preprocessor, shape.last == Image.channels,
            shape.count == 3 || shape.count == 4
        {
            return arranged(array, .pictures, sample: Array(shape.suffix(3)))
        }
        var layouts: [(Arrangement, [Int])] = [(.asIs, wanted)]
        if wanted.count == 3 { layouts.append((.channelsFirst, [wanted[2], wanted[0], wanted[1]])) }
        if wanted.count == 3, wanted[0] == 1 {
            // Signals come without the axis of one row, leads last or first.
            layouts += [(.asIs, [wanted[1], wanted[2]]), (.channelsFirst, [wanted[2], wanted[1]])]
        }
        // The one name whose layout is known, for shapes that fit both ways.
        if array.name == "pixel_values" { layouts.reverse() }
        for (arrangement, sample) in layouts
        where shape == sample || (shape.count == sample.count + 1 && Array(shape.dropFirst()) == sample) {
            return arranged(array, arrangement, sample: sample)
        }
        let name = array.name.isEmpty ? "the array" : "tensor \(array.name)"
        throw Failure(
            nil, "\(name) of shape \(Shape(shape).description) does not fit the model's input \(type.shape.description)"
        )
    }

    private func arranged(_ array: NumericArray, _ arrangement: Arrangement, sample shape: [Int]) -> SampleSet {
        let length = shape.reduce(1, *)
        let count = array.shape.count == shape.count ? 1 : array.shape[0]
        return SampleSet(count: count) { [type] index in
            let range = index * length..<(index + 1) * length
            switch arrangement {
            case .asIs where array.dataType == .u8 && type.dataType == .u8: return .bytes(array.bytes(range))
            case .asIs: return .tensor(array.floats(range))
            case .channelsFirst: return .tensor(SampleReader.channelsLast(array.floats(range), shape))
            case .pictures:
                return .image(try Image(width: shape[1], height: shape[0], bytes: array.bytes(range)))
            }
        }
    }

    private static func channelsLast(_ values: [Float], _ shape: [Int]) -> [Float] {
        let (channels, pixels) = (shape[0], shape.dropFirst().reduce(1, *))
        var result = [Float](repeating: 0, count: values.count)
        for channel in 0..<channels {
            for pixel in 0..<pixels { result[pixel * channels + channel] = values[channel * pixels + pixel] }
        }
        return result
    }

    // MARK: Raw bytes

    /// Bytes of the input's own type, sample after sample.
    private func rawSamples(_ bytes: [UInt8]) throws -> SampleSet {
        let size = type.byteCount
        guard !bytes.isEmpty, bytes.count % size == 0 else {
            throw Failure(
                nil, "has \(bytes.count) bytes; one input \(type.dataType.name)\(type.shape.description) has \(size)")
        }
        return SampleSet(count: bytes.count / size) { [type] index in
            let range = index * size..<(index + 1) * size
            if type.dataType == .u8 { return .bytes(Array(bytes[range])) }
            return .tensor(
                Array(bytes[range]).withUnsafeBytes { raw in
                    (0..<size / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
                })
        }
    }

    private func readStandardInput() throws -> [UInt8] {
        var (memory, size): (UnsafeMutableRawPointer?, Int) = (nil, 0)
        let code = alula_console_read(1 << 31, &memory, &size)
        guard code == 0, let memory else { throw SystemError(code: code) }
        defer { alula_free(memory) }
        return Array(UnsafeRawBufferPointer(start: memory, count: size))
    }
}
