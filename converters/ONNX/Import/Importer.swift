import AlulaGraph

/// Turns the nodes of a model into a graph, in their order.
struct Importer {
    let model: ONNXModel
    let options: ONNXImportOptions
    var graph = Graph()

    /// Values of the scope that is being imported, by name.
    private var values: [String: ImportedValue] = [:]
    private var declared: [String: ONNXValueInfo] = [:]
    private var functions: [String: Int] = [:]
    private var producers: [String: ONNXNodeName] = [:]
    private var nodeCount = 0

    private(set) var unsupported: [ONNXUnsupportedNode] = []
    private(set) var operatorCounts: [String: Int] = [:]
    var notes: [String] = []

    // Owned by ValueStorage.swift.
    var constantNames: Set<String> = []
    var nextSuffix: [String: Int] = [:]
    var hostConstants: [HostTensor.Identity: ValueID] = [:]
    var storedOrders: [StoredOrder: ValueID] = [:]
    /// The name that a constant made for the current node gets.
    var currentName = ""

    init(_ model: ONNXModel, _ options: ONNXImportOptions) {
        (self.model, self.options) = (model, options)
        for (index, function) in model.functions.enumerated() {
            functions[Importer.key(function.domain, function.name, function.overload)] = index
        }
        for info in model.valueInfo { declared[info.name] = info }
    }

    private static func key(_ domain: String, _ name: String, _ overload: String) -> String {
        domain + "\u{0}" + name + "\u{0}" + overload
    }

    /// What later operator sets mean is not known.
    static let newestOpset = 24

    // MARK: The whole model

    mutating func run() throws(ONNXError) -> ONNXImport {
        if let opset = model.opsets[""], opset > Importer.newestOpset {
            throw .limit(what: "as its operator set", count: opset, limit: Importer.newestOpset)
        }
        let inputs = try addInputs()
        for node in model.nodes { try lower(node, opsets: model.opsets, depth: 0) }
        guard unsupported.isEmpty else { throw .unsupported(unsupported) }
        let outputs = try addOutputs()
        let result = graph.pruned()
        do throws(GraphError) { try result.verify() } catch { throw .graph(error) }
        return ONNXImport(
            graph: result, inputs: inputs, outputs: outputs, foldedOutputs: foldedOutputs(),
            operators: operatorCounts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, notes: notes)
    }

    private mutating func addInputs() throws(ONNXError) -> [ONNXPort] {
        for tensor in model.initializers {
            var value = tensor.value
            value.name = tensor.name
            values[tensor.name] = .host(value)
        }
        let known = model.inputs.map(\.name)
        for name in options.shapes.keys.sorted() where !known.contains(name) {
            throw .unknownInput(name: name, known: known.filter { values[$0] == nil })
        }
        var ports: [ONNXPort] = []
        for input in model.inputs {
            if let constant = options.constants[input.name] {
                values[input.name] = .host(HostTensor(constant.dataType, constant.shape, data: constant.data))
            }
            // Models of IR version 3 list their initializers among the inputs.
            guard values[input.name] == nil else { continue }
            if let port = try addInput(input) { ports.append(port) }
        }
        return ports
    }

    /// nil for elements that the graph cannot hold: the nodes that read them are refused.
    private mutating func addInput(_ input: ONNXValueInfo) throws(ONNXError) -> ONNXPort? {
        let type = DataType(onnx: input.elementType)
        // f64 would lose digits without anybody noticing.
        guard let type, (type.isFloat && type != .f64) || type == .bool else {
            values[input.name] = .unreadable(
                type, shape: try? fixedShape(input),
                elements: "\(DataType.onnxName(input.elementType)) elements of input \(input.name.quotedForMessage)")
            return nil
        }
        let shape = try fixedShape(input)
        // Pictures lie channels-last, as everything here that reads pictures gives them.
        let isPicture = options.takesImages && shape.count == 4 && shape[1] == 3 && shape[3] != 3
        let order = isPicture ? [0, 2, 3, 1] : Array(shape.indices)
        let stored = Shape(order.map { shape[$0] })
        guard stored.isValid else {
            throw .tensor(name: input.name, problem: "its shape \(stored.description) is empty or too large")
        }
        let id = graph.addInput(input.name, TensorType(.f32, stored))
        values[input.name] = .view(View(id, shape, order: order, type: type))
        return ONNXPort(name: input.name, shape: shape, order: order, type: type)
    }

    /// The caller's shape, or the declared one with the batch size in place of a first axis of unknown size.
    private func fixedShape(_ input: ONNXValueInfo) throws(ONNXError) -> [Int] {
        guard let declared = input.shape else {
            guard let shape = options.shapes[input.name] else {
                throw .dynamicInput(name: input.name, shape: input.shapeText)
            }
            return shape
        }
        if let shape = options.shapes[input.name] {
            let fits =
                shape.count == declared.count
                && zip(shape, declared).allSatisfy { size, dimension in
                    if case .size(let fixed) = dimension { size == fixed } else { true }
                }
            guard fits else {
                throw .tensor(
                    name: input.name, problem: "\(Shape(shape).description) does not fit its shape \(input.shapeText)")
            }
            return shape
        }
        var shape: [Int] = []
        for (axis, dimension) in declared.enumerated() {
            switch dimension {
            case .size(let size): shape.append(size)
            case .symbol where axis == 0: shape.append(options.batch ?? 1)
            case .symbol: throw .dynamicInput(name: input.name, shape: input.shapeText)
            }
        }
        return shape
    }

    private mutating func addOutputs() throws(ONNXError) -> [ONNXPort] {
        var ids: [ValueID] = []
        var ports: [ONNXPort] = []
        guard !model.outputs.isEmpty else { throw .malformed(problem: "the graph has no output") }
        for output in model.outputs {
            guard let value = values[output.name] else {
                throw .malformed(problem: "output \(output.name.quotedForMessage) is not computed")
            }
            do {
                currentName = output.name
                let type = value.type ?? .f32
                let id = try plain(value)
                if graph[id].name.isEmpty { graph[id].name = output.name }
                ids.append(id)
                ports.append(ONNXPort(name: output.name, shape: value.shape ?? [], order: nil, type: type))
            } catch {
                guard let producer = producers[output.name] else {
                    throw .tensor(name: output.name, problem: describe(error))
                }
                let shapes = value.shape.map { [Shape($0).description] } ?? []
                throw .unsupported([ONNXUnsupportedNode(node: producer, shapes: shapes, needed: describe(error))])
            }
        }
        graph.setOutputs(ids)
        return ports
    }

    /// Outputs whose numbers are known without running anything.
    private func foldedOutputs() -> [String: HostTensor] {
        var result: [String: HostTensor] = [:]
        for output in model.outputs {
            if case .host(let tensor) = values[output.name] { result[output.name] = tensor }
        }
        return result
    }

    // MARK: Nodes

    private mutating func lower(_ node: ONNXNode, opsets: [String: Int], depth: Int) throws(ONNXError) {
        nodeCount += 1
        guard nodeCount <= model.limits.nodes else {
            throw .limit(what: "nodes with functions in place", count: nodeCount, limit: model.limits.nodes)
        }
        var inputs: [ImportedValue?] = []
        for name in node.inputs {
            guard !name.isEmpty else {
                inputs.append(nil)
                continue
            }
            guard let value = values[name] else {
                throw .node(node.label, problem: "input \(name.quotedForMessage) is not defined before it")
            }
            inputs.append(value)
        }
        if let index = functions[Importer.key(node.domain, node.op, node.overload)] {
            return try inline(model.functions[index], node, inputs, depth: depth)
        }
        operatorCounts[node.qualifiedOp, default: 0] += 1
        guard let opset = opsets[node.domain] ?? (node.domain.isEmpty ? nil : 1) else {
            throw .node(node.label, problem: "the model does not say which operator set it uses")
        }
        let context = NodeContext(node: node, opset: opset, inputs: inputs)
        do {
            try define(node, try results(context))
        } catch let error as ONNXError {
            throw error
        } catch {
            try reject(context, error)
        }
    }

    private mutating func results(_ context: NodeContext) throws -> [ImportedValue] {
        guard Importer.supports(context.node) else {
            throw LoweringProblem.unsupported(needed: "no counterpart of this operator")
        }
        if context.op != "Shape", context.op != "Size" {
            for case .unreadable(_, _, let elements)? in context.inputs {
                throw LoweringProblem.unsupported(needed: "\(elements) that are known at run time only")
            }
        }
        // What depends on an unsupported node can only be named.
        guard !context.inputs.contains(where: { if case .unknown? = $0 { true } else { false } }) else {
            return context.node.outputs.map { _ in .unknown }
        }
        currentName = context.node.outputs.first { !$0.isEmpty } ?? context.node.name
        let hosts = context.inputs.map { value -> HostTensor? in
            if case .host(let tensor)? = value { tensor } else { nil }
        }
        let evaluator = Evaluator(context: context, limit: model.limits.constantElements)
        if zip(hosts, context.inputs).allSatisfy({ $0 != nil || $1 == nil }),
            let results = try evaluator.evaluate(hosts)
        {
            return results.map { .host($0) }
        }
        return try lower(context)
    }

    private mutating func define(_ node: ONNXNode, _ results: [ImportedValue]) throws(ONNXError) {
        for (index, name) in node.outputs.enumerated() where !name.isEmpty {
            guard values[name] == nil else {
                throw .node(node.label, problem: "output \(name.quotedForMessage) is defined twice")
            }
            guard index < results.count else {
                unsupported.append(
                    ONNXUnsupportedNode(
                        node: node.label, shapes: [], needed: "its result \(index)")
                )
                values[name] = .unknown
                continue
            }
            values[name] = results[index]
            producers[name] = node.label
        }
    }

    /// Notes what is missing and goes on, so that all of it is reported at once: with the shape that the model declares for a result, what
    /// depends on it is examined too.
    private mutating func reject(_ context: NodeContext, _ error: any Error) throws(ONNXError) {
        if case LoweringProblem.invalid(let problem) = error { throw .node(context.node.label, problem: problem) }
        let shapes = context.inputs.map { value in
            value?.shape.map { Shape($0).description } ?? (value == nil ? "-" : "[?]")
        }
        var entry = ONNXUnsupportedNode(node: context.node.label, shapes: shapes, needed: describe(error))
        if case LoweringProblem.wantsConstant(let input, _) = error, case .view(let view)? = context.optional(input),
            graph.inputs.contains(view.id)
        {
            entry.constantInput = graph[view.id].name
        }
        unsupported.append(entry)
        for name in context.node.outputs where !name.isEmpty {
            values[name] = .unknown
            guard let info = declared[name], let type = DataType(onnx: info.elementType), type.isFloat,
                let dimensions = info.shape
            else { continue }
            let shape = dimensions.compactMap { if case .size(let size) = $0 { size } else { nil } }
            guard shape.count == dimensions.count, Shape(shape).isValid else { continue }
            values[name] = .view(View(graph.addInput("", TensorType(.f32, Shape(shape))), shape))
        }
    }

    func describe(_ error: any Error) -> String {
        switch error {
        case LoweringProblem.unsupported(let needed): needed
        case LoweringProblem.wantsConstant(_, let what): "\(what) must be a constant, but is computed at run time"
        case LoweringProblem.invalid(let problem): problem
        case let error as GraphError: error.message
        case let error as ONNXError: error.message
        default: "\(error)"
        }
    }

    /// A function's nodes in place of the node that calls it, in a scope of their own.
    private mutating func inline(
        _ function: ONNXFunction, _ call: ONNXNode, _ inputs: [ImportedValue?], depth: Int
    ) throws(ONNXError) {
        guard depth < model.limits.depth else {
            throw .limit(what: "functions within functions", count: depth + 1, limit: model.limits.depth)
        }
        let caller = values
        values = [:]
        for (name, value) in zip(function.inputs, inputs) { if let value { values[name] = value } }
        for var node in function.nodes {
            node.attributes = node.attributes.compactMapValues { attribute in
                guard case .reference(let name) = attribute else { return attribute }
                return call.attributes[name] ?? function.defaults[name]
            }
            // Inputs that the call leaves out stay left out.
            node.inputs = node.inputs.map { function.inputs.contains($0) && values[$0] == nil ? "" : $0 }
            try lower(node, opsets: function.opsets.isEmpty ? model.opsets : function.opsets, depth: depth + 1)
        }
        let results = function.outputs.map { values[$0] ?? .unknown }
        values = caller
        try define(call, results)
    }
}
