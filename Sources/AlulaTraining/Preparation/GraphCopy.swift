import AlulaGraph

/// A graph that is written anew, node by node, from another one: constants and inputs are there already, under their names.
struct GraphCopy {
    let source: Graph
    var graph = Graph()
    private var copies: [ValueID]

    /// `inputType` gives the type of each input of the copy.
    init(_ source: Graph, inputType: (ValueID) throws(TrainingError) -> TensorType) throws(TrainingError) {
        self.source = source
        copies = [ValueID](repeating: .none, count: source.values.count)
        for id in source.inputs { self[id] = graph.addInput(source[id].name, try inputType(id)) }
        for id in source.constants {
            let value = source[id]
            self[id] = graph.addConstant(
                value.name, value.type, layout: value.constant?.layout ?? .plain, value.constant?.data)
        }
    }

    init(_ source: Graph) throws(TrainingError) {
        try self.init(source) { (id) throws(TrainingError) in source.type(id) }
    }

    /// What stands for a value of the source.
    subscript(id: ValueID) -> ValueID {
        get { id.isNone ? .none : copies[Int(id.index)] }
        set { copies[Int(id.index)] = newValue }
    }

    func operands(_ node: Node) -> [ValueID] { node.inputs.map { self[$0] } }

    /// Writes a node with these operands, in place of `node`.
    mutating func add(_ op: Operator, _ operands: [ValueID], for node: Node) throws(TrainingError) {
        let results: [ValueID]
        if case .quantize = op {
            // Its scale stands in the result's type alone.
            let type = TensorType(.u8, graph.shape(operands[0]), source.type(node.outputs[0]).quantization)
            results = graph.addNode(op, operands, types: [type], names: [source[node.outputs[0]].name])
        } else if node.outputs.count == 1 {
            results = [try graph.emit(op, operands, name: source[node.outputs[0]].name)]
        } else {
            results = try graph.emitAll(op, operands)
            for (old, new) in zip(node.outputs, results) { graph[new].name = source[old].name }
        }
        for (old, new) in zip(node.outputs, results) { self[old] = new }
    }

    mutating func copy(_ node: Node) throws(TrainingError) { try add(node.op, operands(node), for: node) }

    func finished() -> Graph {
        var result = graph
        result.setOutputs(source.outputs.map { self[$0] })
        return result
    }
}
