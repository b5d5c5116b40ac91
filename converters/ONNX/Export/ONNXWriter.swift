import AlulaGraph
import COnnxProto

/// Serializes a model with protobuf-c. Weights are packed from where they lie.
final class ONNXWriter {
    /// Everything that the C messages point to, until the model is written.
    private var allocations: [UnsafeMutableRawPointer] = []

    deinit { for pointer in allocations { pointer.deallocate() } }

    func write(_ model: ONNXModel, to path: String) throws(ONNXError) {
        let weights = model.initializers.reduce(0) { $0 + $1.value.nativeData.count }
        // A protobuf message is at most 2 GiB; what is not weights is a small part of it.
        guard weights < 0x7F00_0000 else {
            throw .limit(what: "bytes of weights, which one file of ONNX holds,", count: weights, limit: 0x7F00_0000)
        }
        var message = proto(model)
        let count = onnx__model_proto__get_packed_size(&message)
        var bytes = [UInt8](repeating: 0, count: count)
        let written = bytes.withUnsafeMutableBufferPointer { onnx__model_proto__pack(&message, $0.baseAddress) }
        guard written == count else { throw .malformed(problem: "packed \(written) of \(count) bytes") }
        withExtendedLifetime(model) {}
        do throws(SystemError) { try AtomicFile.write(bytes, to: path) } catch { throw .system(error) }
    }

    // MARK: Messages

    private func proto(_ model: ONNXModel) -> Onnx__ModelProto {
        var graph = Onnx__GraphProto()
        onnx__graph_proto__init(&graph)
        graph.name = text("graph")
        (graph.node, graph.n_node) = list(model.nodes.map(proto))
        (graph.initializer, graph.n_initializer) = list(model.initializers.map { proto($0.value, name: $0.name) })
        (graph.input, graph.n_input) = list(model.inputs.map(proto))
        (graph.output, graph.n_output) = list(model.outputs.map(proto))
        var result = Onnx__ModelProto()
        onnx__model_proto__init(&result)
        (result.has_ir_version, result.ir_version) = (1, Int64(model.irVersion))
        result.producer_name = text(model.producer)
        result.graph = one(graph)
        (result.opset_import, result.n_opset_import) = list(
            model.opsets.sorted { $0.key < $1.key }.map { domain, version in
                var set = Onnx__OperatorSetIdProto()
                onnx__operator_set_id_proto__init(&set)
                set.domain = text(domain)
                (set.has_version, set.version) = (1, Int64(version))
                return set
            })
        (result.metadata_props, result.n_metadata_props) = list(
            model.metadata.map { key, value in
                var entry = Onnx__StringStringEntryProto()
                onnx__string_string_entry_proto__init(&entry)
                (entry.key, entry.value) = (text(key), text(value))
                return entry
            })
        return result
    }

    private func proto(_ node: ONNXNode) -> Onnx__NodeProto {
        var result = Onnx__NodeProto()
        onnx__node_proto__init(&result)
        (result.name, result.op_type) = (text(node.name), text(node.op))
        if !node.domain.isEmpty { result.domain = text(node.domain) }
        (result.input, result.n_input) = texts(node.inputs)
        (result.output, result.n_output) = texts(node.outputs)
        let attributes = node.attributes.sorted { $0.key < $1.key }
        (result.attribute, result.n_attribute) = list(attributes.map { proto($0.value, name: $0.key) })
        return result
    }

    private func proto(_ attribute: ONNXAttribute, name: String) -> Onnx__AttributeProto {
        var result = Onnx__AttributeProto()
        onnx__attribute_proto__init(&result)
        result.name = text(name)
        result.has_type = 1
        switch attribute {
        case .float(let value): (result.type, result.has_f, result.f) = (1, 1, value)
        case .int(let value): (result.type, result.has_i, result.i) = (2, 1, Int64(value))
        case .string(let value):
            (result.type, result.has_s) = (3, 1)
            result.s = binary(Array(value.utf8))
        case .ints(let values):
            result.type = 7
            (result.ints, result.n_ints) = (copy(values.map { Int64($0) }), values.count)
        case .floats(let values):
            result.type = 6
            (result.floats, result.n_floats) = (copy(values), values.count)
        case .tensor, .strings, .reference, .other: preconditionFailure("not an attribute of an exported operator")
        }
        return result
    }

    private func proto(_ tensor: HostTensor, name: String) -> Onnx__TensorProto {
        var result = Onnx__TensorProto()
        onnx__tensor_proto__init(&result)
        result.name = text(name)
        (result.has_data_type, result.data_type) = (1, Int32(tensor.type.onnxNumber))
        (result.dims, result.n_dims) = (copy(tensor.shape.map { Int64($0) }), tensor.shape.count)
        let data = tensor.nativeData
        result.has_raw_data = 1
        result.raw_data.len = data.count
        result.raw_data.data = UnsafeMutablePointer(mutating: data.baseAddress.assumingMemoryBound(to: UInt8.self))
        return result
    }

    private func proto(_ value: ONNXValueInfo) -> Onnx__ValueInfoProto {
        var shape = Onnx__TensorShapeProto()
        onnx__tensor_shape_proto__init(&shape)
        (shape.dim, shape.n_dim) = list(
            (value.shape ?? []).map { dimension in
                var result = Onnx__TensorShapeProto__Dimension()
                onnx__tensor_shape_proto__dimension__init(&result)
                switch dimension {
                case .size(let size): (result.has_dim_value, result.dim_value) = (1, Int64(size))
                case .symbol(let name): result.dim_param = text(name)
                }
                return result
            })
        var tensor = Onnx__TypeProto__Tensor()
        onnx__type_proto__tensor__init(&tensor)
        (tensor.has_elem_type, tensor.elem_type) = (1, Int32(value.elementType))
        tensor.shape = one(shape)
        var type = Onnx__TypeProto()
        onnx__type_proto__init(&type)
        type.tensor_type = one(tensor)
        var result = Onnx__ValueInfoProto()
        onnx__value_info_proto__init(&result)
        result.name = text(value.name)
        result.type = one(type)
        return result
    }

    // MARK: Memory

    private func copy<T: BitwiseCopyable>(_ values: [T]) -> UnsafeMutablePointer<T>? {
        guard !values.isEmpty else { return nil }
        let pointer = UnsafeMutablePointer<T>.allocate(capacity: values.count)
        pointer.initialize(from: values, count: values.count)
        allocations.append(UnsafeMutableRawPointer(pointer))
        return pointer
    }

    private func one<T>(_ value: T) -> UnsafeMutablePointer<T> {
        let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
        pointer.initialize(to: value)
        allocations.append(UnsafeMutableRawPointer(pointer))
        return pointer
    }

    private func list<T>(_ values: [T]) -> (UnsafeMutablePointer<UnsafeMutablePointer<T>?>?, Int) {
        (copy(values.map { Optional(one($0)) }), values.count)
    }

    private func text(_ value: String) -> UnsafeMutablePointer<CChar>? { copy(Array(value.utf8CString)) }

    private func texts(_ values: [String]) -> (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, Int) {
        (copy(values.map(text)), values.count)
    }

    private func binary(_ bytes: [UInt8]) -> ProtobufCBinaryData {
        ProtobufCBinaryData(len: bytes.count, data: copy(bytes))
    }
}

extension DataType {
    /// ONNX's number of the element type.
    var onnxNumber: Int {
        switch self {
        case .f32: 1
        case .u8: 2
        case .s8: 3
        case .u16: 4
        case .i16: 5
        case .i32: 6
        case .i64: 7
        case .bool: 9
        case .f16: 10
        case .f64: 11
        case .u32: 12
        case .u64: 13
        case .bf16: 16
        }
    }
}
