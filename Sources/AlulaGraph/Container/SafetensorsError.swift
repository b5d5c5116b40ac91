/// Why a file is not read as safetensors. `message` says it in one line, without the file's name.
public enum SafetensorsError: Error, Equatable, Sendable {
    /// The file cannot be opened or mapped.
    case system(SystemError)
    /// The file is shorter than the 8 bytes that hold the header's length.
    case tooSmall(fileBytes: Int)
    /// The header's length is over the limit.
    case headerTooLarge(bytes: UInt64, limit: Int)
    /// The header's length is more than the file holds.
    case headerBeyondFile(bytes: UInt64, available: Int)
    /// The header is empty or does not start with `{`.
    case headerNotAnObject
    /// The header is not the JSON it must be.
    case json(JSONError)

    case tooManyTensors(limit: Int)
    case tooManyMetadataEntries(limit: Int)
    case nameTooLong(name: String, bytes: Int, limit: Int)
    case rankTooLarge(tensor: String, limit: Int)

    /// A tensor lacks `dtype`, `shape` or `data_offsets`.
    case missingField(tensor: String, field: String)
    /// A tensor has a field that the format does not know.
    case unknownField(tensor: String, field: String)
    /// An element type that Alula does not know, for instance an 8-bit float.
    case unknownDataType(tensor: String, dataType: String)
    /// An axis or offset below zero.
    case negative(tensor: String, value: Int)
    /// `data_offsets` has another number of elements than two.
    case offsetCount(tensor: String)
    /// The shape's byte count does not fit an `Int`.
    case shapeOverflow(tensor: String, shape: [Int])

    /// The range ends before it begins.
    case invertedRange(tensor: String, begin: Int, end: Int)
    /// The range ends after the data.
    case rangeBeyondData(tensor: String, end: Int, dataBytes: Int)
    /// The range holds another number of bytes than type and shape say.
    case sizeMismatch(tensor: String, expected: Int, actual: Int)
    /// The range begins before the end of another tensor's.
    case overlap(tensor: String, begin: Int, other: String, otherEnd: Int)
    /// Bytes before the tensor belong to none.
    case hole(tensor: String, begin: Int, expected: Int)
    /// Bytes after the last tensor belong to none.
    case trailingData(end: Int, dataBytes: Int)

    public var message: String {
        switch self {
        case .system(let error): error.message
        case .tooSmall(let bytes): "\(bytes) bytes are too few for a safetensors file"
        case .headerTooLarge(let bytes, let limit): "the header has \(bytes) bytes, the limit is \(limit)"
        case .headerBeyondFile(let bytes, let available): "the header has \(bytes) bytes, but only \(available) follow"
        case .headerNotAnObject: "the header does not start with '{'"
        case .json(let error): "header is not valid " + error.message
        case .tooManyTensors(let limit): "more than \(limit) tensors"
        case .tooManyMetadataEntries(let limit): "more than \(limit) metadata entries"
        case .nameTooLong(let name, let bytes, let limit):
            "tensor name \(name.quotedForMessage) has \(bytes) bytes, the limit is \(limit)"
        case .rankTooLarge(let tensor, let limit): "tensor \(tensor.quotedForMessage) has more than \(limit) axes"
        case .missingField(let tensor, let field): "tensor \(tensor.quotedForMessage) has no \(field)"
        case .unknownField(let tensor, let field):
            "tensor \(tensor.quotedForMessage) has an unknown field \(field.quotedForMessage)"
        case .unknownDataType(let tensor, let dataType):
            "tensor \(tensor.quotedForMessage) has the unknown type \(dataType.quotedForMessage)"
        case .negative(let tensor, let value):
            "tensor \(tensor.quotedForMessage) has a negative size or offset, \(value)"
        case .offsetCount(let tensor): "tensor \(tensor.quotedForMessage) must have exactly two data_offsets"
        case .shapeOverflow(let tensor, let shape):
            "tensor \(tensor.quotedForMessage) of shape \(Shape(shape).description) is too large"
        case .invertedRange(let tensor, let begin, let end):
            "tensor \(tensor.quotedForMessage) begins at \(begin), after its end at \(end)"
        case .rangeBeyondData(let tensor, let end, let dataBytes):
            "tensor \(tensor.quotedForMessage) ends at \(end), but the file holds \(dataBytes) bytes of data"
        case .sizeMismatch(let tensor, let expected, let actual):
            "tensor \(tensor.quotedForMessage) needs \(expected) bytes but has \(actual)"
        case .overlap(let tensor, let begin, let other, let otherEnd):
            "tensor \(tensor.quotedForMessage) begins at \(begin), but \(other.quotedForMessage) ends at \(otherEnd)"
        case .hole(let tensor, let begin, let expected):
            "tensor \(tensor.quotedForMessage) begins at \(begin), which leaves a hole from \(expected)"
        case .trailingData(let end, let dataBytes):
            "the tensors end at \(end), but the file holds \(dataBytes) bytes of data"
        }
    }
}
