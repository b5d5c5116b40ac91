import AlulaGraph
import COnnxProto
import Foundation

/// Reads a model file: maps it, lifts the weights out, lets protobuf-c parse the rest, and copies that into Swift.
struct ONNXReader {
    private var model = ONNXModel()
    private var tensors: TensorReader

    /// - Parameter folder: where external data may lie; nil where there may be none.
    static func read(_ bytes: Bytes, folder: String?, limits: ONNXLimits) throws(ONNXError) -> ONNXModel {
        let graph = try bytes.withUnsafeBytes { (source) throws(ONNXError) in try WeightLifter.lift(source) }
        guard graph.count <= limits.parsedBytes / 4 else {
            throw .limit(what: "bytes of graph", count: graph.count, limit: limits.parsedBytes / 4)
        }
        var budget = limits.parsedBytes
        return try withUnsafeMutablePointer(to: &budget) { (budget) throws(ONNXError) in
            // protobuf-c gives up when an allocation fails. What counts is everything ever allocated: a file that makes it copy the same
            // data again and again ends here too.
            var allocator = ProtobufCAllocator(
                alloc: { data, size in
                    let budget = data!.assumingMemoryBound(to: Int.self)
                    guard size <= budget.pointee else { return nil }
                    budget.pointee -= size
                    return malloc(size)
                },
                free: { _, memory in free(memory) }, allocator_data: UnsafeMutableRawPointer(budget))
            let parsed = graph.withUnsafeBufferPointer {
                onnx__model_proto__unpack(&allocator, $0.count, $0.baseAddress)
            }
            guard let parsed else {
                throw budget.pointee < 1 << 20
                    ? .limit(
                        what: "bytes of parsed graph or more", count: limits.parsedBytes, limit: limits.parsedBytes)
                    : .malformed(problem: "its protobuf messages are damaged")
            }
            defer { onnx__model_proto__free_unpacked(parsed, &allocator) }
            var reader = ONNXReader(tensors: TensorReader(file: bytes, folder: folder))
            reader.model.limits = limits
            try reader.read(parsed.pointee)
            return reader.model
        }
    }

    /// A file that holds one tensor.
    static func tensor(_ bytes: Bytes) throws(ONNXError) -> (String, HostTensor) {
        let parsed = bytes.withUnsafeBytes {
            onnx__tensor_proto__unpack(nil, $0.count, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        guard let parsed else { throw .malformed(problem: "its protobuf messages are damaged") }
        defer { onnx__tensor_proto__free_unpacked(parsed, nil) }
        var reader = TensorReader(file: bytes, folder: nil)
        let name = text(parsed.pointee.name)
        return (name, try reader.read(parsed.pointee, name: name))
    }

    private mutating func read(_ proto: Onnx__ModelProto) throws(ONNXError) {
        let (limits, graph) = (model.limits, proto.graph.pointee)
        model.irVersion = Int(proto.ir_version)
        model.producer = [text(proto.producer_name), text(proto.producer_version)].filter { !$0.isEmpty }
            .joined(separator: " ")
        for entry in items(proto.metadata_props, proto.n_metadata_props) {
            model.metadata.append((text(entry.key), text(entry.value)))
        }
        model.opsets = opsets(proto.opset_import, proto.n_opset_import)
        let declared =
            graph.n_initializer + graph.n_input + graph.n_output + graph.n_value_info + proto.n_functions
            + proto.n_metadata_props
        guard declared <= limits.declarations else {
            throw .limit(what: "tensors and declarations", count: declared, limit: limits.declarations)
        }
        guard graph.n_sparse_initializer == 0 else { throw .malformed(problem: "sparse initializers are not read") }
        model.nodes = try nodes(graph.node, graph.n_node)
        for tensor in items(graph.initializer, graph.n_initializer) {
            let name = text(tensor.name)
            model.initializers.append(ONNXTensor(name: name, value: try tensors.read(tensor, name: name)))
        }
        model.inputs = values(graph.input, graph.n_input)
        model.outputs = values(graph.output, graph.n_output)
        model.valueInfo = values(graph.value_info, graph.n_value_info)
        for function in items(proto.functions, proto.n_functions) { model.functions.append(try read(function)) }
        model.externalFiles = tensors.externalFiles
    }

    private mutating func read(_ proto: Onnx__FunctionProto) throws(ONNXError) -> ONNXFunction {
        var function = ONNXFunction()
        (function.name, function.domain) = (text(proto.name), domain(proto.domain))
        function.overload = text(proto.overload)
        function.inputs = strings(proto.input, proto.n_input)
        function.outputs = strings(proto.output, proto.n_output)
        function.opsets = opsets(proto.opset_import, proto.n_opset_import)
        function.nodes = try nodes(proto.node, proto.n_node)
        for attribute in items(proto.attribute_proto, proto.n_attribute_proto) {
            function.defaults[text(attribute.name)] = try read(attribute)
        }
        return function
    }

    private mutating func nodes(
        _ list: UnsafeMutablePointer<UnsafeMutablePointer<Onnx__NodeProto>?>?, _ count: Int
    ) throws(ONNXError) -> [ONNXNode] {
        guard count <= model.limits.nodes else { throw .limit(what: "nodes", count: count, limit: model.limits.nodes) }
        var result: [ONNXNode] = []
        result.reserveCapacity(count)
        for proto in items(list, count) {
            var node = ONNXNode()
            (node.name, node.op) = (text(proto.name), text(proto.op_type))
            (node.domain, node.overload) = (domain(proto.domain), text(proto.overload))
            node.inputs = strings(proto.input, proto.n_input)
            node.outputs = strings(proto.output, proto.n_output)
            for attribute in items(proto.attribute, proto.n_attribute) {
                node.attributes[text(attribute.name)] = try read(attribute)
            }
            result.append(node)
        }
        return result
    }

    /// AttributeProto.type says which field counts; files of IR version 1 leave it out.
    private mutating func read(_ proto: Onnx__AttributeProto) throws(ONNXError) -> ONNXAttribute {
        if let reference = proto.ref_attr_name, reference.pointee != 0 { return .reference(text(reference)) }
        switch proto.type {
        case 1: return .float(proto.f)
        case 2: return .int(Int(proto.i))
        case 3: return .string(text(proto.s))
        case 4:
            guard let tensor = proto.t else { return .other }
            return .tensor(try tensors.read(tensor.pointee, name: text(proto.name)))
        case 6: return .floats(Array(UnsafeBufferPointer(start: proto.floats, count: proto.n_floats)))
        case 7: return .ints(UnsafeBufferPointer(start: proto.ints, count: proto.n_ints).map { Int($0) })
        case 8: return .strings(UnsafeBufferPointer(start: proto.strings, count: proto.n_strings).map { text($0) })
        case 0:
            if proto.has_f != 0 { return .float(proto.f) }
            if proto.has_i != 0 { return .int(Int(proto.i)) }
            if proto.has_s != 0 { return .string(text(proto.s)) }
            if let tensor = proto.t { return .tensor(try tensors.read(tensor.pointee, name: text(proto.name))) }
            if proto.n_floats > 0 {
                return .floats(Array(UnsafeBufferPointer(start: proto.floats, count: proto.n_floats)))
            }
            return .ints(UnsafeBufferPointer(start: proto.ints, count: proto.n_ints).map { Int($0) })
        default: return .other
        }
    }

    private func values(_ list: UnsafeMutablePointer<UnsafeMutablePointer<Onnx__ValueInfoProto>?>?, _ count: Int)
        -> [ONNXValueInfo]
    {
        items(list, count).map { proto in
            let tensor = proto.type?.pointee.tensor_type?.pointee
            let shape = tensor?.shape?.pointee
            return ONNXValueInfo(
                name: text(proto.name), elementType: Int(tensor?.elem_type ?? 0),
                shape: shape.map { shape in
                    items(shape.dim, shape.n_dim).map {
                        $0.has_dim_value != 0 ? .size(Int($0.dim_value)) : .symbol(text($0.dim_param))
                    }
                })
        }
    }

    private func opsets(
        _ list: UnsafeMutablePointer<UnsafeMutablePointer<Onnx__OperatorSetIdProto>?>?, _ count: Int
    ) -> [String: Int] {
        var result: [String: Int] = [:]
        for entry in items(list, count) { result[domain(entry.domain)] = Int(entry.version) }
        return result
    }

    private func strings(_ list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ count: Int) -> [String] {
        UnsafeBufferPointer(start: list, count: count).map { text($0) }
    }
}

// MARK: C values

/// The elements of a repeated message.
func items<Message>(_ list: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, _ count: Int) -> [Message] {
    UnsafeBufferPointer(start: list, count: count).compactMap { $0?.pointee }
}

/// What is not UTF-8 is replaced.
func text(_ string: UnsafeMutablePointer<CChar>?) -> String { string.map { String(cString: $0) } ?? "" }

private func text(_ data: ProtobufCBinaryData) -> String {
    String(decoding: UnsafeBufferPointer(start: data.data, count: data.len), as: UTF8.self)
}

/// ONNX's own operators have two spellings.
private func domain(_ string: UnsafeMutablePointer<CChar>?) -> String {
    let name = text(string)
    return name == "ai.onnx" ? "" : name
}
