/// One named tensor of pretrained weights, as its file holds it: dense, row-major, in the layout of the framework that wrote it.
public struct CheckpointTensor: Sendable {
    public let name: String
    public let dataType: DataType
    /// Sizes of the axes, outermost first; empty for a scalar.
    public let shape: [Int]
    public let data: TensorData

    public init(_ name: String, _ dataType: DataType, _ shape: [Int], _ data: TensorData) {
        (self.name, self.dataType, self.shape, self.data) = (name, dataType, shape, data)
    }
}

/// Pretrained weights by name, whatever file they came from.
///
/// A converter fills one, a model builder asks for tensors by name: neither knows the other. Names are compared byte by byte.
public struct Checkpoint: Sendable {
    /// In the order in which they were added.
    public private(set) var tensors: [CheckpointTensor] = []
    private var index: [UTF8Key: Int] = [:]
    private var isUsed: [Bool] = []

    public init() {}

    /// Adds a tensor whose data must be as long as its type and shape say.
    public mutating func add(_ tensor: CheckpointTensor) throws(CheckpointError) {
        guard tensor.shape.allSatisfy({ $0 >= 0 }),
            SafetensorsEntry.byteCount(tensor.dataType, tensor.shape) == tensor.data.count
        else {
            throw .sizeMismatch(
                name: tensor.name, dataType: tensor.dataType, shape: tensor.shape, bytes: tensor.data.count)
        }
        let key = UTF8Key(tensor.name)
        guard index[key] == nil else { throw .duplicate(name: tensor.name) }
        index[key] = tensors.count
        tensors.append(tensor)
        isUsed.append(false)
    }

    /// The tensor of that name; looking does not count as use.
    public subscript(name: String) -> CheckpointTensor? { index[UTF8Key(name)].map { tensors[$0] } }

    // MARK: Accounting

    /// The tensor of that name, which counts as used from now on.
    public mutating func take(_ name: String) -> CheckpointTensor? {
        guard let position = index[UTF8Key(name)] else { return nil }
        isUsed[position] = true
        return tensors[position]
    }

    /// The elements of a floating-point tensor, which counts as used from now on.
    public mutating func floats(_ name: String) throws(CheckpointError) -> [Float] {
        guard let tensor = take(name) else { throw .missing(name: name) }
        return try tensor.floats()
    }

    /// Names of the tensors that were never taken.
    public var unusedNames: [String] { tensors.indices.filter { !isUsed[$0] }.map { tensors[$0].name } }
}

/// Why a tensor of a checkpoint cannot be added or read. `message` says it in one line, without the file's name.
public enum CheckpointError: Error, Equatable, Sendable {
    case duplicate(name: String)
    case missing(name: String)
    case sizeMismatch(name: String, dataType: DataType, shape: [Int], bytes: Int)
    case notFloat(name: String, dataType: DataType)
    case notInteger(name: String, dataType: DataType)

    public var message: String {
        switch self {
        case .duplicate(let name): "tensor \(name.quotedForMessage) occurs twice"
        case .missing(let name): "tensor \(name.quotedForMessage) is missing"
        case .sizeMismatch(let name, let type, let shape, let bytes):
            "tensor \(name.quotedForMessage) has \(bytes) bytes, which are not \(type.name)\(Shape(shape).description)"
        case .notFloat(let name, let type):
            "tensor \(name.quotedForMessage) has the type \(type.name), where a floating-point type is needed"
        case .notInteger(let name, let type):
            "tensor \(name.quotedForMessage) has the type \(type.name), where an integer type is needed"
        }
    }
}

// MARK: Numbers

extension CheckpointTensor {
    public var elementCount: Int { data.count / dataType.size }

    /// The elements as aligned f32 data: the tensor's own bytes where they already are that, else a converted copy.
    /// f16 and bf16 convert exactly, f64 rounds to the nearest f32 (to infinity when it is too large).
    public func floatData() throws(CheckpointError) -> TensorData {
        switch dataType {
        case .f32: return data.aligned(to: DataType.f32.size)
        case .f16: return converted { (bits: UInt16) in Float(halfBits: bits) }
        case .bf16: return converted { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
        case .f64: return converted { (value: Double) in Float(value) }
        default: throw .notFloat(name: name, dataType: dataType)
        }
    }

    /// The elements as `Float`, converted as in `floatData`.
    public func floats() throws(CheckpointError) -> [Float] { try floatData().array(of: Float.self) }

    /// The elements of an integer tensor. Values of u64 above `Int.max` become `Int.max`.
    public func integers() throws(CheckpointError) -> [Int] {
        switch dataType {
        case .u8, .bool: return data.array(of: UInt8.self).map { Int($0) }
        case .s8: return data.array(of: Int8.self).map { Int($0) }
        case .i16: return data.array(of: Int16.self).map { Int($0) }
        case .u16: return data.array(of: UInt16.self).map { Int($0) }
        case .i32: return data.array(of: Int32.self).map { Int($0) }
        case .u32: return data.array(of: UInt32.self).map { Int(clamping: $0) }
        case .i64: return data.array(of: Int64.self).map { Int(clamping: $0) }
        case .u64: return data.array(of: UInt64.self).map { Int(clamping: $0) }
        case .f16, .bf16, .f32, .f64: throw .notInteger(name: name, dataType: dataType)
        }
    }

    private func converted<Source: BitwiseCopyable>(_ convert: (Source) -> Float) -> TensorData {
        let count = elementCount
        return data.withUnsafeBytes { source in
            TensorData(count: count * MemoryLayout<Float>.stride) { target in
                for index in 0..<count {
                    let element = source.loadUnaligned(
                        fromByteOffset: index * MemoryLayout<Source>.stride, as: Source.self)
                    let value = convert(element)
                    target.storeBytes(of: value, toByteOffset: index * MemoryLayout<Float>.stride, as: Float.self)
                }
            }
        }
    }
}

extension Float {
    /// The number that an IEEE 754 binary16 pattern means; every one of them is a `Float`. NaN payloads are kept.
    init(halfBits bits: UInt16) {
        let sign = UInt32(bits & 0x8000) << 16
        let exponent = UInt32(bits >> 10) & 0x1F
        let fraction = UInt32(bits) & 0x3FF
        switch exponent {
        case 0:
            // Zero or subnormal: fraction * 2^-24, which a Float holds as a normal number.
            let magnitude = Float(fraction) * 0x1p-24
            self = Float(bitPattern: magnitude.bitPattern | sign)
        case 0x1F:
            self = Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
        default:
            // The exponent's bias changes from 15 to 127.
            self = Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
