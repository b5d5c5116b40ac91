import AlulaGraph

/// What a pickle can make here: numbers, texts, containers, descriptions of tensors. Containers are numbers of rows in the reader's tables, so
/// that nesting, sharing and cycles cost nothing and nothing recurses.
enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case text(Int)
    /// A tuple or a list.
    case sequence(Int)
    case dictionary(Int)
    case global(PickleGlobal)
    case storage(Int)
    case tensor(Int)
    /// Something that is allowed and never looked at: floating-point numbers, bytes, options of a training run.
    case inert
}

/// The functions and classes that a pickle may name. None of them is run: each has its meaning here, or none at all.
enum PickleGlobal: Equatable {
    case dictionary
    case defaultDictionary
    /// `(storage, offset, shape, strides, …)`
    case rebuildTensor
    /// The same with an element type at index 6.
    case rebuildTypedTensor
    /// `(tensor, …)`
    case rebuildParameter
    /// nil: bytes without a type.
    case storage(DataType?)
    case dataType(DataType)
    case inert

    private static let known: [String: PickleGlobal] = {
        var known: [String: PickleGlobal] = [
            "collections.OrderedDict": .dictionary, "builtins.dict": .dictionary, "__builtin__.dict": .dictionary,
            "collections.defaultdict": .defaultDictionary,
            "torch._utils._rebuild_tensor": .rebuildTensor, "torch._utils._rebuild_tensor_v2": .rebuildTensor,
            "torch._utils._rebuild_tensor_v3": .rebuildTypedTensor,
            "torch._utils._rebuild_parameter": .rebuildParameter,
            "torch._utils._rebuild_parameter_with_state": .rebuildParameter,
            "torch.storage.UntypedStorage": .storage(nil), "torch.UntypedStorage": .storage(nil),
        ]
        let storages: [(String, DataType)] = [
            ("Float", .f32), ("Double", .f64), ("Half", .f16), ("BFloat16", .bf16), ("Long", .i64), ("Int", .i32),
            ("Short", .i16), ("Char", .s8), ("Byte", .u8), ("Bool", .bool),
        ]
        for (name, type) in storages { known["torch.\(name)Storage"] = .storage(type) }
        let types: [(String, DataType)] = [
            ("float32", .f32), ("float64", .f64), ("float16", .f16), ("bfloat16", .bf16), ("int64", .i64),
            ("int32", .i32), ("int16", .i16), ("int8", .s8), ("uint8", .u8), ("bool", .bool), ("uint16", .u16),
            ("uint32", .u32), ("uint64", .u64),
        ]
        for (name, type) in types { known["torch.\(name)"] = .dataType(type) }
        // What training scripts store beside the weights.
        let inert = [
            "argparse.Namespace", "torch.Size", "torch.device", "_codecs.encode", "numpy.dtype", "numpy.ndarray",
            "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
            "numpy._core.multiarray._reconstruct", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath",
            "pathlib.PureWindowsPath", "collections.Counter", "datetime.datetime", "datetime.timedelta",
        ]
        for name in inert { known[name] = .inert }
        for name in [
            "int", "float", "bool", "str", "bytes", "complex", "list", "tuple", "set", "frozenset", "slice", "range",
        ] {
            known["builtins." + name] = .inert
            known["__builtin__." + name] = .inert
        }
        return known
    }()

    init?(module: String, name: String) {
        guard let global = PickleGlobal.known[module + "." + name] else { return nil }
        self = global
    }
}

/// A run of numbers in a file of the archive.
struct PickledStorage: Equatable {
    /// The last part of the file's name.
    var key: String
    /// nil: bytes without a type.
    var dataType: DataType?
    /// Elements, or bytes where there is no type.
    var count: Int
}

/// A view of a storage; offset and strides count elements.
struct PickledTensor {
    var storage: Int
    var dataType: DataType
    var offset: Int
    var shape: [Int]
    var strides: [Int]
}
