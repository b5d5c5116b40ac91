import AlulaGraph
import AlulaKernels

// Two layers in a row, both int8 or both f32, run as one step in bands of rows: what lies between them needs no memory in the arena. The MLP
// of a transformer block is such a pair, and so are the convolutions at a network's beginning, whose images are large.

/// How a node and the next one run.
enum LayerPair: Equatable {
    /// One by one.
    case none
    /// As one step. Rows of the result depend on the input's rows at the same place only.
    case rowwise
    /// As one step. The second one's window spans several rows.
    case spatial
}

/// By node: whether it and the next node run as one step. Both are layers of one element type, nothing else reads what lies between them,
/// and that is two bands or more.
func layerPairs(_ graph: Graph) -> [LayerPair] {
    var result = [LayerPair](repeating: .none, count: graph.nodes.count)
    var readers = [Int](repeating: 0, count: graph.values.count)
    for node in graph.nodes {
        for id in node.inputs where !id.isNone { readers[Int(id.index)] += 1 }
    }
    for id in graph.outputs { readers[Int(id.index)] += 1 }
    for index in graph.nodes.indices.dropLast() where index == 0 || result[index - 1] == .none {
        let (first, second) = (graph.nodes[index], graph.nodes[index + 1])
        let hidden = first.outputs[0]
        guard second.inputs[0] == hidden, readers[Int(hidden.index)] == 1, first.input(WeightedOperand.residual).isNone,
            let type = elementType(graph, first), type == elementType(graph, second)
        else { continue }
        if isRowwise(graph, first), isRowwise(graph, second) {
            result[index] = isWorthBands(graph, first, second) ? .rowwise : .none
        } else if isConvolution(graph, first, depthwise: false), isConvolution(graph, second, depthwise: nil) {
            result[index] = isWorthBands(graph, first, second) ? .spatial : .none
        }
    }
    return result
}

/// An MLP's hidden rows are wider than its result; images pass whenever they are large.
private func isWorthBands(_ graph: Graph, _ first: Node, _ second: Node) -> Bool {
    guard let layer = weightedLayer(graph, second, asRows: isRowwise(graph, second)) else { return false }
    var window = layer.window
    let isNarrower = graph.shape(first.outputs[0]).last >= graph.shape(second.outputs[0]).last
    let isFloat = graph.type(second.outputs[0]).dataType == .f32
    let rows = isFloat ? alula_pair_f32_rows(&window) : alula_pair_u8_rows(&window)
    return Int(window.out_h) >= 2 * rows && (isNarrower || window.kernel_h > 1)
}

/// The type that a layer reads and writes: u8, f32, or nil for a node that is none such.
private func elementType(_ graph: Graph, _ node: Node) -> DataType? {
    let (x, weight) = (node.inputs[0], node.input(WeightedOperand.weight))
    let type = graph.type(x).dataType
    guard type == .u8 || type == .f32, type == graph.type(node.outputs[0]).dataType, graph[x].constant == nil,
        !weight.isNone, graph[weight].constant != nil
    else { return nil }
    return type
}

/// Whether the node is a layer whose output rows depend on the input rows at the same place only.
private func isRowwise(_ graph: Graph, _ node: Node) -> Bool {
    switch node.op {
    case .linear: return true
    case .conv2D(let op):
        let weight = graph.shape(node.inputs[WeightedOperand.weight])
        return weight[1] == 1 && weight[2] == 1 && op.groups == 1 && op.stride == Pair(1) && op.padding.isZero
    default: return false
    }
}

private func isConvolution(_ graph: Graph, _ node: Node, depthwise: Bool?) -> Bool {
    guard case .conv2D(let op) = node.op else { return false }
    let geometry = WeightGeometry(graph.shape(node.inputs[WeightedOperand.weight]), groups: op.groups)
    return depthwise.map { $0 == geometry.isDepthwise } ?? true
}

/// A convolution or linear layer; `asRows`: over rows of channels, whatever axes these rows had, as an image of width 1.
private func weightedLayer(_ graph: Graph, _ node: Node, asRows: Bool) -> WeightedLayer? {
    let (x, weight) = (graph.shape(node.inputs[0]), graph.shape(node.inputs[WeightedOperand.weight]))
    let result = graph.shape(node.outputs[0])
    let image: (Shape) -> Shape = { asRows ? [1, $0.elementCount / $0.last, 1, $0.last] : $0 }
    switch node.op {
    case .linear(let op):
        var conv = Conv2D(activation: op.activation)
        conv.preActivation = op.preActivation
        return WeightedLayer(conv, image(x), [weight[0], 1, 1, weight[1]], image(result))
    case .conv2D(let op): return WeightedLayer(op, image(x), weight, image(result))
    default: return nil
    }
}

extension StepBuilder {
    /// Appends the step of two nodes; `node` is the index of the second one.
    mutating func bindPair(_ first: Node, _ second: Node, _ kind: LayerPair) throws(RuntimeError) {
        guard let firstLayer = weightedLayer(graph, first, asRows: kind == .rowwise),
            let secondLayer = weightedLayer(graph, second, asRows: kind == .rowwise)
        else { throw unsupported("is no layer") }
        let between = first.outputs[0]
        // The kernel puts its own band in the place of this address.
        let placeholder = UnsafeMutableRawPointer(bitPattern: Memory.alignment)!
        let hidden = BoundValue(id: between, type: graph.type(between), address: placeholder)
        let (items, grain) = (secondLayer.items(depthwise: true), kind == .rowwise ? tileGrain : 1)
        node -= 1  // for messages
        let x = try operand(first, WeightedOperand.x)
        if x.type.dataType == .u8 {
            var arguments = alula_pair_u8_args()
            arguments.first = try int8Arguments(firstLayer, first, x, hidden).0
            node += 1
            let layout: Layout
            (arguments.second, layout) = try int8Arguments(secondLayer, second, hidden, try result(second))
            arguments.depthwise = layout == .taps ? 1 : 0
            try append(
                .pairU8, arguments, items: items, grain: grain, scratch: alula_pair_u8_scratch(&arguments), pair: kind)
        } else {
            var arguments = alula_pair_f32_args()
            arguments.first = try floatArguments(firstLayer, first, x, hidden).0
            node += 1
            let layout: Layout
            (arguments.second, layout) = try floatArguments(secondLayer, second, hidden, try result(second))
            arguments.depthwise = layout == .taps ? 1 : 0
            try append(
                .pairF32, arguments, items: items, grain: grain, scratch: alula_pair_f32_scratch(&arguments), pair: kind
            )
        }
    }
}
