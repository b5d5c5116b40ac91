import AlulaGraph

/// A frozen graph as an ONNX model of operator set 17.
///
/// f32 graphs become plain operators; int8 graphs become the QDQ form: weights s8 with a scale for each output channel, each operator in f32
/// between a DequantizeLinear and a QuantizeLinear. Pictures lie channels-first, as everything that reads ONNX expects.
public struct ONNXExport: Sendable {
    /// The operator set of every export.
    public static let opset = 17

    var model: ONNXModel
    public let notes: [String]
    /// How many nodes it has of each operator, by name.
    public var operators: [(name: String, count: Int)] {
        var counts: [String: Int] = [:]
        for node in model.nodes { counts[node.qualifiedOp, default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// - Parameter metadata: becomes the model's metadata_props, in this order.
    public init(_ graph: Graph, metadata: [(key: String, value: String)] = []) throws(ONNXError) {
        var exporter = GraphExporter(graph)
        do { try exporter.run() } catch let error as ONNXError { throw error } catch {
            throw .malformed(problem: "\(error)")
        }
        model = exporter.model
        model.metadata = metadata
        notes = exporter.notes
    }

    /// Writes the model whole or not at all.
    ///
    /// - Throws: `ONNXError.limit` for more than protobuf's 2 GiB.
    public func write(to path: String) throws(ONNXError) { try ONNXWriter().write(model, to: path) }
}

/// Builds the nodes of an ONNX model from those of a graph, in their order.
struct GraphExporter {
    let graph: Graph
    var model = ONNXModel()
    var notes: [String] = []
    private var taken: Set<String> = []
    /// The ONNX tensor of each value with its axes as in the graph, and of images also channels-first, as far as either exists.
    private var plainNames: [ValueID: String] = [:]
    private var imageNames: [ValueID: String] = [:]
    /// Dequantized forms of u8 tensors.
    private var floatNames: [String: String] = [:]

    init(_ graph: Graph) { self.graph = graph }

    mutating func run() throws {
        model.irVersion = 8
        model.producer = "alula"
        model.opsets = ["": ONNXExport.opset]
        for id in graph.outputs { taken.insert(graph.displayName(id)) }
        for id in graph.inputs { addInput(id) }
        for node in graph.nodes {
            guard graph.type(node.outputs[0]).dataType == .f32 || graph.type(node.outputs[0]).dataType == .u8 else {
                throw ONNXError.malformed(problem: "\(node.op.name) of \(graph.type(node.outputs[0]).text)")
            }
            try export(node)
        }
        for id in graph.outputs { addOutput(id) }
    }

    // MARK: Inputs and outputs

    private mutating func addInput(_ id: ValueID) {
        let type = graph.type(id)
        let name = unique(graph.displayName(id))
        let shape = type.shape.dimensions
        let isPicture = shape.count == 4 && shape[3] == 3
        let order = isPicture ? channelsFirst : Array(shape.indices)
        model.inputs.append(
            ONNXValueInfo(name: name, elementType: 1, shape: order.map { .size(shape[$0]) }))
        var value = name
        if let quantization = type.quantization { value = quantize(name, quantization) }
        if isPicture { imageNames[id] = value } else { plainNames[id] = value }
    }

    private mutating func addOutput(_ id: ValueID) {
        let value = graph.type(id).dataType == .u8 ? float(id) : plain(id)
        let name = graph.displayName(id)
        model.nodes.append(ONNXNode(name: name, op: "Identity", inputs: [value], outputs: [name]))
        model.outputs.append(
            ONNXValueInfo(name: name, elementType: 1, shape: graph.shape(id).dimensions.map { .size($0) }))
    }

    // MARK: Names and constants

    mutating func unique(_ base: String) -> String {
        var name = base
        var suffix = 1
        while !taken.insert(name).inserted {
            name = "\(base).\(suffix)"
            suffix += 1
        }
        return name
    }

    /// Adds a node with one result.
    @discardableResult
    mutating func emit(
        _ op: String, _ inputs: [String], _ attributes: [String: ONNXAttribute] = [:], name: String? = nil
    )
        -> String
    {
        let result = unique(name ?? op)
        model.nodes.append(ONNXNode(name: result, op: op, inputs: inputs, outputs: [result], attributes: attributes))
        return result
    }

    mutating func constant(_ name: String, _ type: DataType, _ shape: [Int], _ data: TensorData) -> String {
        let unique = unique(name)
        model.initializers.append(ONNXTensor(name: unique, value: HostTensor(type, shape, data: data)))
        return unique
    }

    mutating func floats(_ values: [Float], _ shape: [Int], _ name: String) -> String {
        constant(name, .f32, shape, TensorData(elements: values))
    }

    mutating func number(_ value: Float) -> String { floats([value], [], "constant") }

    mutating func integers(_ values: [Int]) -> String {
        constant("constant", .i64, [values.count], TensorData(elements: values.map { Int64($0) }))
    }

    // MARK: Values

    /// Channels-first from channels-last, and back.
    var channelsFirst: [Int] { [0, 3, 1, 2] }
    var channelsLast: [Int] { [0, 2, 3, 1] }

    /// The tensor of a value in its own element type, axes as in the graph.
    mutating func plain(_ id: ValueID) -> String {
        if let name = plainNames[id] { return name }
        let name: String
        if let image = imageNames[id] {
            name = emit("Transpose", [image], ["perm": .ints(channelsLast)])
        } else {
            let value = graph[id]
            name = constant(value.name, value.type.dataType, value.type.shape.dimensions, plainData(id))
        }
        plainNames[id] = name
        return name
    }

    /// The tensor of a value of four axes, channels-first. Constants that broadcast get the axes they leave out.
    mutating func image(_ id: ValueID) -> String {
        if let name = imageNames[id] { return name }
        let shape = graph.shape(id).dimensions
        let name: String
        if graph[id].constant != nil {
            let whole = [Int](repeating: 1, count: 4 - shape.count) + shape
            let data = permute(plainData(id), whole, channelsFirst, elementBytes: graph.type(id).dataType.size)
            name = constant(graph[id].name, graph.type(id).dataType, channelsFirst.map { whole[$0] }, data)
        } else {
            name = emit("Transpose", [plain(id)], ["perm": .ints(channelsFirst)])
        }
        imageNames[id] = name
        return name
    }

    /// The real numbers of a value.
    mutating func float(_ id: ValueID, image isImage: Bool = false) -> String {
        let name = isImage ? image(id) : plain(id)
        guard let quantization = graph.type(id).quantization else { return name }
        if let known = floatNames[name] { return known }
        let result = emit("DequantizeLinear", [name] + parameters(quantization))
        floatNames[name] = result
        return result
    }

    func isImage(_ id: ValueID) -> Bool { imageNames[id] != nil && plainNames[id] == nil }

    /// Whether four-axis operands are at hand channels-first, and the others are constants.
    func prefersImages(_ ids: [ValueID]) -> Bool {
        ids.contains { isImage($0) }
            && ids.allSatisfy { graph.shape($0).rank == 4 || (graph[$0].constant != nil && graph.shape($0).rank < 4) }
    }

    /// Names the real numbers of a node's result; a u8 result is rounded.
    mutating func define(_ id: ValueID, _ name: String, image isImage: Bool = false) {
        var value = name
        if let quantization = graph.type(id).quantization { value = quantize(name, quantization) }
        defineRaw(id, value, image: isImage)
    }

    /// Names a node's result in its own element type.
    mutating func defineRaw(_ id: ValueID, _ name: String, image isImage: Bool = false) {
        if isImage { imageNames[id] = name } else { plainNames[id] = name }
    }

    mutating func quantize(_ x: String, _ quantization: Quantization) -> String {
        emit("QuantizeLinear", [x] + parameters(quantization))
    }

    mutating func parameters(_ quantization: Quantization) -> [String] {
        [
            floats([quantization.scale], [], "scale"),
            constant("zero", .u8, [], TensorData(elements: [UInt8(quantization.zeroPoint)])),
        ]
    }

    /// A constant's elements in row-major order.
    func plainData(_ id: ValueID, groups: Int = 1) -> TensorData {
        guard let constant = graph[id].constant, let data = constant.data else {
            return TensorData(elements: [UInt8]())
        }
        return data
    }
}
