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

/// The samples of one file, read one at a time.
struct SampleSet {
    var count: Int
    var load: (Int) throws -> Sample
}

/// Turns files into inputs of one model: pictures by the model's preprocessing, arrays by their shapes.
struct SampleReader {
    let inputName: String
    let type: TensorType
    private let preprocessor: ImagePreprocessor?

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
        preprocessor = try model.metadata[ModelFile.Key.preprocess].map { json in
            try naming(path) { try ImagePreprocessor(json: json) }
        }
    }

    /// The shape of one sample: the input's without a leading axis of size 1.
    private var sampleShape: [Int] {
        let dimensions = type.shape.dimensions
        return dimensions.first == 1 ? Array(dimensions.dropFirst()) : dimensions
    }

    // MARK: Files

    /// Opens a picture, an .npy or a .safetensors file, told apart by content; `-` is raw bytes on standard input.
    func open(_ path: String) throws -> SampleSet {
        if path == "-" { return try naming("standard input") { try rawSamples(try readStandardInput()) } }
        let bytes: Bytes
        do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { throw Failure(path, error.message) }
        return try naming(path) {
            switch FileKind(bytes) {
            case .png, .jpeg: return try picture(path)
            case .numpy: return try samples(of: try NumpyFile.array(bytes))
            case .safetensors: return try samples(of: try bestTensor(try SafetensorsFile(bytes: bytes)))
            case let kind:
                throw Failure(path, "is \(kind.description), not a JPEG or PNG picture, .npy or .safetensors file")
            }
        }
    }

    private func picture(_ path: String) throws -> SampleSet {
        guard preprocessor != nil else {
            throw Failure(path, "is a picture, but the model does not say how to prepare pictures (alula.preprocess)")
        }
        return SampleSet(count: 1) { _ in
            try naming(path) { try sample(of: try Image(contentsOf: path)) }
        }
    }

    private func sample(of image: Image) throws -> Sample {
        let input = try preprocessor!.normalized(image)
        guard [input.height, input.width, Image.channels] == sampleShape else {
            let found = Shape([input.height, input.width, Image.channels])
            throw Failure(
                nil, "gives \(found.description) after preprocessing, but the model takes \(type.shape.description)")
        }
        return .floats(input.values)
    }

    private func bestTensor(_ file: SafetensorsFile) throws -> NumericArray {
        let tensors = file.tensors
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
        if array.dataType == .u8, preprocessor != nil, shape.last == Image.channels,
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
        return SampleSet(count: count) { index in
            let range = index * length..<(index + 1) * length
            switch arrangement {
            case .asIs where array.dataType == .u8 && type.dataType == .u8: return .quantized(array.bytes(range))
            case .asIs: return .floats(array.floats(range))
            case .channelsFirst: return .floats(SampleReader.channelsLast(array.floats(range), shape))
            case .pictures:
                return try self.sample(of: try Image(width: shape[1], height: shape[0], bytes: array.bytes(range)))
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
        return SampleSet(count: bytes.count / size) { index in
            let range = index * size..<(index + 1) * size
            if type.dataType == .u8 { return .quantized(Array(bytes[range])) }
            return .floats(
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
