import AlulaGraph

/// A tensor whose numbers are known while importing: an initializer, a shape, or what is computed from them.
struct HostTensor: Sendable {
    enum Storage: Sendable {
        /// As stored in a file: dense, little-endian, in the tensor's own element type.
        case data(TensorData)
        case integers([Int])
        case reals([Double])
    }

    var type: DataType
    var shape: [Int]
    var storage: Storage
    /// The initializer's, for the constant of the graph.
    var name: String?

    /// The bytes of an initializer under one shape, so that they become one constant however often they are used.
    struct Identity: Hashable {
        var address: UInt
        var type: DataType
        var shape: [Int]
    }

    var identity: Identity? {
        guard name != nil, case .data(let data) = storage else { return nil }
        return Identity(address: UInt(bitPattern: data.baseAddress), type: type, shape: shape)
    }

    var count: Int { shape.reduce(1, *) }

    init(_ type: DataType, _ shape: [Int], data: TensorData) {
        (self.type, self.shape, storage) = (type, shape, .data(data))
    }

    /// Integers wrap around to the type's range, as in the arithmetic of every framework.
    init(_ type: DataType, _ shape: [Int], integers: [Int]) {
        (self.type, self.shape) = (type, shape)
        storage = .integers(type == .i64 ? integers : integers.map { type.wrap($0) })
    }

    /// Real numbers are rounded to the type.
    init(_ type: DataType, _ shape: [Int], reals: [Double]) {
        (self.type, self.shape) = (type, shape)
        storage = .reals(type == .f64 ? reals : reals.map { type.round($0) })
    }

    /// A vector of sizes or indices.
    init(indices: [Int]) { self.init(.i64, [indices.count], integers: indices) }

    init(scalar value: Double, _ type: DataType = .f32) { self.init(type, [], reals: [value]) }

    func reshaped(_ shape: [Int]) -> HostTensor {
        var result = self
        result.shape = shape
        return result
    }

    // MARK: Numbers

    /// The elements as integers; reals are cut off towards zero.
    var integers: [Int] {
        switch storage {
        case .integers(let values): values
        case .reals(let values): values.map { Int(clamping: $0) }
        case .data(let data): type.isFloat ? HostTensor.reals(data, type).map { Int(clamping: $0) } : tensor(data)
        }
    }

    var reals: [Double] {
        switch storage {
        case .integers(let values): values.map { Double($0) }
        case .reals(let values): values
        case .data(let data): type.isFloat ? HostTensor.reals(data, type) : tensor(data).map { Double($0) }
        }
    }

    /// The elements as f32: the file's own bytes where they are that already. They need not be aligned.
    var floatData: TensorData {
        if type == .f32, case .data(let data) = storage { return data }
        if type.isFloat, case .data(let data) = storage,
            let converted = try? CheckpointTensor("", type, shape, data).floatData()
        {
            return converted
        }
        return TensorData(elements: reals.map { Float($0) })
    }

    /// Whether f32 holds every integer.
    var isExactFloat: Bool { integers.allSatisfy { $0.magnitude <= 1 << 24 } }

    /// Whether a finite f64 number has no f32.
    var exceedsFloat: Bool { type == .f64 && reals.contains { $0.isFinite && !Float($0).isFinite } }

    /// The elements in the tensor's own type.
    var nativeData: TensorData {
        switch storage {
        case .data(let data): data
        case .reals(let values): type == .f64 ? TensorData(elements: values) : floatData
        case .integers(let values): TensorData(elements: values.map { UInt64(bitPattern: Int64($0)) }, bytes: type.size)
        }
    }

    private func tensor(_ data: TensorData) -> [Int] {
        (try? CheckpointTensor("", type, shape, data).integers()) ?? []
    }

    private static func reals(_ data: TensorData, _ type: DataType) -> [Double] {
        switch type {
        case .f32: data.array(of: Float.self).map { Double($0) }
        case .f64: data.array(of: Double.self)
        default: ((try? CheckpointTensor("", type, [data.count / 2], data).floats()) ?? []).map { Double($0) }
        }
    }
}

extension DataType {
    var isInteger: Bool { !isFloat && self != .bool }

    /// ONNX's number of the element type (TensorProto.DataType).
    init?(onnx number: Int) {
        let types: [Int: DataType] = [
            1: .f32, 2: .u8, 3: .s8, 4: .u16, 5: .i16, 6: .i32, 7: .i64, 9: .bool, 10: .f16, 11: .f64, 12: .u32,
            13: .u64, 16: .bf16,
        ]
        guard let type = types[number] else { return nil }
        self = type
    }

    /// What ONNX calls an element type that is not read.
    static func onnxName(_ number: Int) -> String {
        let names = [
            0: "undefined", 8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
            19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
        ]
        return DataType(onnx: number)?.name ?? names[number] ?? "element type \(number)"
    }

    func wrap(_ value: Int) -> Int {
        switch self {
        case .u8: Int(UInt8(truncatingIfNeeded: value))
        case .s8: Int(Int8(truncatingIfNeeded: value))
        case .u16: Int(UInt16(truncatingIfNeeded: value))
        case .i16: Int(Int16(truncatingIfNeeded: value))
        case .u32: Int(UInt32(truncatingIfNeeded: value))
        case .i32: Int(Int32(truncatingIfNeeded: value))
        case .bool: value == 0 ? 0 : 1
        default: value
        }
    }

    func round(_ value: Double) -> Double {
        switch self {
        case .f32: Double(Float(value))
        case .f16: Double(Float16(value))
        case .bf16: Double(DataType.bfloat16(Float(value)))
        default: value
        }
    }

    /// To the nearest number with 8 significant bits, ties to even.
    private static func bfloat16(_ value: Float) -> Float {
        guard value.isFinite else { return value }
        let bits = value.bitPattern
        return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
    }
}

extension TensorData {
    /// The low bytes of each number.
    fileprivate init(elements: [UInt64], bytes: Int) {
        self.init(count: elements.count * bytes) { target in
            for (index, value) in elements.enumerated() {
                for byte in 0..<bytes {
                    target[index * bytes + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte)))
                }
            }
        }
    }
}

extension Int {
    /// The nearest integer towards zero; NaN becomes 0.
    init(clamping value: Double) {
        if value.isNaN {
            self = 0
        } else if value >= 0x1p63 {
            self = .max
        } else {
            self = value <= -0x1p63 ? .min : Int(value)
        }
    }
}
