import AlulaGraph
import COnnxProto
import Foundation

/// Gives tensors their data, which lie in the parsed message, in the model file, or in files beside it.
struct TensorReader {
    private let file: Bytes
    private let folder: String?
    private var external: [String: Bytes] = [:]

    init(file: Bytes, folder: String?) { (self.file, self.folder) = (file, folder) }

    var externalFiles: [String] { external.keys.sorted() }

    mutating func read(_ proto: Onnx__TensorProto, name: String) throws(ONNXError) -> HostTensor {
        guard let type = DataType(onnx: Int(proto.data_type)) else {
            throw .tensor(
                name: name, problem: "holds \(DataType.onnxName(Int(proto.data_type))) elements, which are not read")
        }
        let shape = UnsafeBufferPointer(start: proto.dims, count: proto.n_dims).map { Int($0) }
        guard let byteCount = HostTensor.byteCount(type, shape) else {
            throw .tensor(name: name, problem: "its shape \(Shape(shape).description) is negative or too large")
        }
        if proto.data_location == 1 {
            return HostTensor(type, shape, data: try externalData(proto, name: name, byteCount))
        }
        if proto.has_mapped_offset != 0 {
            let (offset, count) = (Int(clamping: proto.mapped_offset), Int(clamping: proto.mapped_count))
            // Packed float_data are the same bytes as raw_data.
            guard count == byteCount, offset <= file.count - count else { throw wrongSize(name, count, byteCount) }
            return HostTensor(type, shape, data: TensorData(file, offset..<offset + count))
        }
        if proto.has_raw_data != 0 {
            guard proto.raw_data.len == byteCount else { throw wrongSize(name, proto.raw_data.len, byteCount) }
            let bytes = UnsafeRawBufferPointer(start: proto.raw_data.data, count: byteCount)
            return HostTensor(type, shape, data: TensorData(copying: bytes))
        }
        return try typed(proto, type, shape, name: name)
    }

    /// Data in a field of their own type. Small types share `int32_data`.
    private func typed(_ proto: Onnx__TensorProto, _ type: DataType, _ shape: [Int], name: String)
        throws(ONNXError) -> HostTensor
    {
        let count = shape.reduce(1, *)
        let integers = { (found: Int, values: () -> [Int]) throws(ONNXError) in
            guard found == count else { throw self.wrongSize(name, found * type.size, count * type.size) }
            return HostTensor(type, shape, integers: values())
        }
        switch type {
        case .f32:
            guard proto.n_float_data == count else { throw wrongSize(name, proto.n_float_data * 4, count * 4) }
            let values = UnsafeBufferPointer(start: proto.float_data, count: count)
            return HostTensor(type, shape, data: TensorData(copying: UnsafeRawBufferPointer(values)))
        case .f64:
            guard proto.n_double_data == count else { throw wrongSize(name, proto.n_double_data * 8, count * 8) }
            let values = UnsafeBufferPointer(start: proto.double_data, count: count)
            return HostTensor(type, shape, data: TensorData(copying: UnsafeRawBufferPointer(values)))
        case .f16, .bf16:
            guard proto.n_int32_data == count else { throw wrongSize(name, proto.n_int32_data * 2, count * 2) }
            let bits = UnsafeBufferPointer(start: proto.int32_data, count: count).map { UInt16(truncatingIfNeeded: $0) }
            return HostTensor(type, shape, data: TensorData(elements: bits))
        case .i64:
            return try integers(proto.n_int64_data) {
                UnsafeBufferPointer(start: proto.int64_data, count: count).map { Int($0) }
            }
        case .u32, .u64:
            return try integers(proto.n_uint64_data) {
                UnsafeBufferPointer(start: proto.uint64_data, count: count).map { Int(clamping: $0) }
            }
        default:
            return try integers(proto.n_int32_data) {
                UnsafeBufferPointer(start: proto.int32_data, count: count).map { Int($0) }
            }
        }
    }

    private func wrongSize(_ name: String, _ found: Int, _ expected: Int) -> ONNXError {
        .tensor(name: name, problem: "has \(found) bytes of data, where its type and shape need \(expected)")
    }

    // MARK: External data

    /// A range of a file in the model's folder or below it: a model is input like any other and must not reach elsewhere, neither by its
    /// words nor through a link.
    private mutating func externalData(_ proto: Onnx__TensorProto, name: String, _ byteCount: Int) throws(ONNXError)
        -> TensorData
    {
        var (location, offset, length) = ("", 0, byteCount)
        for entry in items(proto.external_data, proto.n_external_data) {
            let value = text(entry.value)
            switch text(entry.key) {
            case "location": location = value
            case "offset": offset = Int(value) ?? -1
            case "length": length = Int(value) ?? -1
            default: break
            }
        }
        let bytes = try externalFile(location, tensor: name)
        guard length == byteCount, offset >= 0, offset <= bytes.count, length <= bytes.count - offset else {
            throw .externalData(
                tensor: name,
                problem: "\(length) bytes at \(offset) of \(location.quotedForMessage), which has \(bytes.count); "
                    + "its type and shape need \(byteCount)")
        }
        return TensorData(bytes, offset..<offset + length)
    }

    private mutating func externalFile(_ location: String, tensor: String) throws(ONNXError) -> Bytes {
        guard let folder else { throw .externalData(tensor: tensor, problem: "there is no folder to look in") }
        let parts = location.split(separator: "/", omittingEmptySubsequences: false)
        guard !location.isEmpty, parts.allSatisfy({ !$0.isEmpty && $0 != ".." }), !location.utf8.contains(0),
            !location.contains("\\")
        else {
            throw .externalData(
                tensor: tensor, problem: "\(location.quotedForMessage) is not a file of the model's folder")
        }
        let path = folder + "/" + location
        if let known = external[path] { return known }
        let root = URL(fileURLWithPath: folder, isDirectory: true).resolvingSymlinksInPath().standardizedFileURL.path
        let target = URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
        guard target.hasPrefix(root == "/" ? root : root + "/") else {
            throw .externalData(
                tensor: tensor, problem: "\(location.quotedForMessage) leads out of the model's folder")
        }
        do throws(SystemError) {
            let bytes = try Bytes(mapping: target)
            external[path] = bytes
            return bytes
        } catch {
            throw .externalData(tensor: tensor, problem: "\(location.quotedForMessage): \(error.message)")
        }
    }
}

extension HostTensor {
    /// Bytes of a dense tensor; nil if a size is negative or the product of those that are not 0 too large to count.
    static func byteCount(_ type: DataType, _ shape: [Int]) -> Int? {
        guard shape.count <= 64 else { return nil }
        var product = type.size
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
            guard size >= 0, !overflow, next <= 1 << 40 else { return nil }
            product = next
        }
        return shape.contains(0) ? 0 : product
    }
}
