import AlulaGraph

/// Everything between two u8 tensors that works element by element on one tensor and single numbers, with any number of roundings to u8 on
/// the way, is a function of 256 numbers: a table, computed in f32 as the nodes say.
func fuseTables(_ graph: Graph) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices.reversed() {
        let node = editor.graph.nodes[index]
        guard case .quantize = node.op, editor.producer(node.outputs[0]) == index,
            let (x, table) = tableMatch(editor, index)
        else { continue }
        let result = node.outputs[0]
        let type = editor.graph.type(result)
        if editor.graph.type(x) == type, table == Array(0...255) {
            editor.bypass(index, x)
        } else {
            editor.replace(index, .requantize(Requantize()), [x, editor.addTable(table, for: result)])
        }
    }
    return editor.finished()
}

/// The earliest u8 value that node `index` is a function of, and the function.
private func tableMatch(_ editor: GraphEditor, _ index: Int) -> (x: ValueID, table: [UInt8])? {
    let graph = editor.graph
    let shape = graph.shape(graph.nodes[index].outputs[0])
    var chain: [Int] = []
    var frontier = [graph.nodes[index].outputs[0]]
    var longest: (x: ValueID, nodes: [Int])?
    let longestChain = 64
    while chain.count < longestChain {
        guard let latest = frontier.max(by: { editor.producer($0) ?? -1 < editor.producer($1) ?? -1 }),
            let producer = editor.producer(latest), graph.shape(latest) == shape,
            let operands = tableOperands(graph, graph.nodes[producer])
        else { break }
        chain.append(producer)
        frontier.removeAll { $0 == latest }
        for id in operands where !frontier.contains(id) { frontier.append(id) }
        if frontier.count == 1, graph.type(frontier[0]).dataType == .u8, graph.shape(frontier[0]) == shape {
            longest = (frontier[0], chain)
        }
    }
    guard let longest, let table = table(graph, longest.nodes, from: longest.x) else { return nil }
    return (longest.x, table)
}

/// The operands of an elementwise node that are not single numbers; nil for every other node.
private func tableOperands(_ graph: Graph, _ node: Node) -> [ValueID]? {
    switch node.op {
    case .unary where node.input(1).isNone, .quantize, .dequantize: return [node.inputs[0]]
    case .binary(let binary) where binary.activation == nil: return node.inputs.filter { graph.scalar($0) == nil }
    case .requantize: return [node.inputs[0]]
    default: return nil
    }
}

/// The results for each of the 256 numbers, evaluated in f32.
private func table(_ graph: Graph, _ chain: [Int], from x: ValueID) -> [UInt8]? {
    var values: [ValueID: [Float]] = [x: (0..<256).map { Float($0) }]
    for index in chain.reversed() {
        let node = graph.nodes[index]
        let operands = node.inputs.prefix(2).map { id in
            graph.scalar(id).map { [Float](repeating: $0, count: 256) } ?? values[id] ?? []
        }
        let result: [Float]
        switch node.op {
        case .unary(let unary): result = operands[0].map { Float(unary.value(Double($0))) }
        case .binary(let binary): result = zip(operands[0], operands[1]).map { binary.kind.value($0, $1) }
        case .dequantize:
            guard let own = graph.type(node.inputs[0]).quantization else { return nil }
            result = operands[0].map { own.scale * ($0 - Float(own.zeroPoint)) }
        case .quantize:
            guard let own = graph.type(node.outputs[0]).quantization else { return nil }
            result = operands[0].map { value in
                let level = (value / own.scale).rounded(.toNearestOrEven) + Float(own.zeroPoint)
                return level.isNaN ? Float(own.zeroPoint) : min(max(level, 0), 255)
            }
        case .requantize:
            guard let bytes = graph[node.inputs[1]].constant?.data?.array(of: UInt8.self) else { return nil }
            result = operands[0].map { Float(bytes[Int($0)]) }
        default: return nil
        }
        values[node.outputs[0]] = result
    }
    return values[graph.nodes[chain[0]].outputs[0]]?.map { UInt8($0) }
}

/// A table behind an int8 convolution or linear layer that it alone reads becomes the layer's own.
func fuseTablesIntoLayers(_ graph: Graph) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .requantize = node.op, let producer = editor.producer(node.inputs[0]),
            editor.hasSingleUse(node.inputs[0]), case let layer = editor.graph.nodes[producer], layer.op.isWeighted,
            layer.op.weightedActivation == nil, layer.input(WeightedOperand.table).isNone,
            layer.input(WeightedOperand.residual).isNone,
            let own = editor.graph.type(node.inputs[0]).quantization
        else { continue }
        var inputs = layer.inputs
        while inputs.count < WeightedOperand.table { inputs.append(.none) }
        editor.fuse(
            producer, into: index, layer.op.withActivation(nil, preActivation: own), inputs + [node.inputs[1]])
    }
    return editor.finished()
}
