import AlulaGraph

/// Quantized models from elsewhere: `dequantize`, an operator in f32, `quantize` become the operator's int8 form with the file's own scales.
/// What has no int8 form, or weights that are no s8 numbers, stays f32 between the two.
///
/// Moves go in front of dequantizations first, and elementwise chains of one u8 tensor, roundings in between included, become one table, so that
/// what is left around each operator are the model's own scales.
@Sendable func fuseQuantized(_ graph: Graph) throws(CompilerError) -> Graph {
    let isQuantized = graph.nodes.contains { if case .dequantize = $0.op { true } else { false } }
    guard isQuantized else { return graph }
    var result = try splitIntoSlices(graph)
    result = try moveBytes(result)
    result = fuseTables(result)
    result = fuseDynamicLayers(result)
    result = try fuseQuantizedOperators(result)
    result = fuseTablesIntoLayers(result)
    return try simplifyLayout(takingBytes(result))
}

/// An f32 input that is only quantized becomes the u8 input itself: whoever sets it quantizes.
private func takingBytes(_ graph: Graph) -> Graph {
    var editor = GraphEditor(graph)
    let users = graph.users()
    for id in graph.inputs {
        guard users[Int(id.index)].count == 1, let user = users[Int(id.index)].first, !graph.outputs.contains(id),
            case .quantize = graph.nodes[user].op, case let result = graph.nodes[user].outputs[0],
            !graph.outputs.contains(result)
        else { continue }
        editor.graph[id].type = graph.type(result)
        editor.bypass(user, id)
    }
    return editor.finished()
}

extension GraphEditor {
    /// The u8 value that `id` is the dequantized form of.
    func quantizedSource(_ id: ValueID) -> ValueID? {
        guard let index = producer(id), case .dequantize = graph.nodes[index].op else { return nil }
        return graph.nodes[index].inputs[0]
    }

    mutating func addTable(_ table: [UInt8], for id: ValueID) -> ValueID {
        graph.addConstant(
            graph.displayName(id) + ".table", TensorType(.u8, [256]), TensorData(elements: table))
    }

    /// A value in other steps, by a table.
    mutating func requantized(_ x: ValueID, to quantization: Quantization, before place: Int) throws(CompilerError)
        -> ValueID
    {
        let own = graph.type(x).quantization!
        guard own != quantization else { return x }
        let table = addTable(activationTable(nil, from: own, to: quantization), for: x)
        let result = try insert(.requantize(Requantize()), [x, table], before: place)
        graph[result].type = TensorType(.u8, graph.shape(x), quantization)
        return result
    }
}

// MARK: Moves

/// A split of dequantized numbers is slices of each part: the operators behind then look for one producer each.
private func splitIntoSlices(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard case .split(let split) = node.op, editor.quantizedSource(node.inputs[0]) != nil,
            !node.outputs.contains(where: { editor.graph.outputs.contains($0) })
        else { continue }
        var begin = 0
        for (id, size) in zip(node.outputs, split.sizes) {
            let slice = Slice(axis: split.axis, begin: begin, end: begin + size)
            editor.replaceUses(of: id, with: try editor.insert(.slice(slice), [node.inputs[0]], before: index))
            begin += size
        }
    }
    return editor.finished()
}

/// A move of dequantized numbers is the dequantization of moved bytes.
private func moveBytes(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        guard node.op.movesOneOperand, let x = editor.quantizedSource(node.inputs[0]) else { continue }
        let moved = try editor.insert(node.op, [x] + node.inputs.dropFirst(), before: index)
        editor.replace(index, .dequantize(Dequantize()), [moved])
    }
    return editor.finished()
}

extension Operator {
    /// Moves whose result has the bytes of one operand, and zeros where that ends.
    fileprivate var movesOneOperand: Bool {
        switch self {
        case .reshape, .transpose, .slice, .gather, .roll, .expand: true
        case .pool(let pool): pool.kind == .maximum
        case .pad(let pad): pad.value == 0
        default: false
        }
    }
}
