/// The element type of a tensor, in a graph or in a file.
public enum DataType: UInt8, Sendable, Equatable, CaseIterable {
    case f32, f16, bf16, f64
    case u8, s8, i16, u16, i32, u32, i64, u64
    case bool

    /// Bytes of one element.
    public var size: Int {
        switch self {
        case .u8, .s8, .bool: 1
        case .f16, .bf16, .i16, .u16: 2
        case .f32, .i32, .u32: 4
        case .f64, .i64, .u64: 8
        }
    }

    /// The name in graph text.
    public var name: String {
        switch self {
        case .f32: "f32"
        case .f16: "f16"
        case .bf16: "bf16"
        case .f64: "f64"
        case .u8: "u8"
        case .s8: "s8"
        case .i16: "i16"
        case .u16: "u16"
        case .i32: "i32"
        case .u32: "u32"
        case .i64: "i64"
        case .u64: "u64"
        case .bool: "bool"
        }
    }

    /// The name in a safetensors header.
    public var safetensorsName: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .f64: "F64"
        case .u8: "U8"
        case .s8: "I8"
        case .i16: "I16"
        case .u16: "U16"
        case .i32: "I32"
        case .u32: "U32"
        case .i64: "I64"
        case .u64: "U64"
        case .bool: "BOOL"
        }
    }

    public init?(name: String) {
        guard let type = DataType.allCases.first(where: { $0.name == name }) else { return nil }
        self = type
    }

    public init?(safetensorsName name: String) {
        guard let type = DataType.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
        self = type
    }

    public var isFloat: Bool { self == .f32 || self == .f16 || self == .bf16 || self == .f64 }
}
