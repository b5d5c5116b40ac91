import AlulaGraph

/// `softmax(q · kᵀ · scale + bias) · v` with the moves that split and merge heads, in any spelling, into attention. What a talking head or a
/// computed mask comes between stays as it is.
///
/// q, k and v are read as views of what they were moved from. If that is one linear layer, its output becomes the packed operand, its rows
/// reordered where they are in another order; otherwise each is an operand of its own.
@Sendable func fuseAttention(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    let users = graph.users()
    for index in graph.nodes.indices {
        guard let scores = attentionScores(editor, index), let product = valueProduct(editor, index, users),
            let heads = AttentionHeads(editor, scores, product)
        else { continue }
        try heads.replace(&editor)
    }
    return editor.finished()
}

/// What lies between the product of queries and keys and the softmax.
struct AttentionScores {
    /// `[…,T,D]` and, with `isKeyTransposed`, `[…,D,T']`, else `[…,T',D]`.
    var q, k: ValueID
    var isKeyTransposed: Bool
    var scale: Float
    /// Added constants over all scores, in the softmax's order; empty for none.
    var bias: [Float]
    var biasName: String
    var shape: Shape
}

private let largestBias = 1 << 24

/// The scores that node `index` takes the softmax of over the last axis.
private func attentionScores(_ editor: GraphEditor, _ index: Int) -> AttentionScores? {
    let graph = editor.graph
    guard case .softmax(let softmax) = graph.nodes[index].op,
        case let shape = graph.shape(graph.nodes[index].inputs[0]),
        shape.rank >= 2, softmax.axis == shape.rank - 1
    else { return nil }
    var id = graph.nodes[index].inputs[0]
    var (scale, bias, name): (Float, [Float], String) = (1, [], "")
    while editor.hasSingleUse(id), let producer = editor.producer(id) {
        let node = graph.nodes[producer]
        switch node.op {
        case .matmul(let product):
            return AttentionScores(
                q: node.inputs[0], k: node.inputs[1], isKeyTransposed: !product.transposeB,
                scale: scale * product.scale, bias: bias, biasName: name, shape: shape)
        case .reshape(let reshape) where reshape.shape.rank >= 2 && reshape.shape.last == shape.last:
            id = node.inputs[0]
        case .binary(let binary) where binary == Binary(.mul):
            guard let (x, constant) = graph.constantOperand(node), let factor = graph.scalar(constant) else {
                return nil
            }
            scale *= factor
            id = x
        case .binary(let binary) where binary == Binary(.add):
            guard let (x, constant) = graph.constantOperand(node), shape.elementCount <= largestBias,
                graph.shape(x) == graph.shape(id),
                let values = graph.expanded(constant, to: graph.shape(x))
            else { return nil }
            if bias.isEmpty { (bias, name) = ([Float](repeating: 0, count: values.count), graph[constant].name) }
            for place in values.indices { bias[place] += scale * values[place] }
            id = x
        default: return nil
        }
    }
    return nil
}

/// The matrix product with the values that alone reads the softmax of node `index`.
private func valueProduct(_ editor: GraphEditor, _ index: Int, _ users: [[Int]]) -> Int? {
    let graph = editor.graph
    var id = graph.nodes[index].outputs[0]
    let shape = graph.shape(id)
    while editor.hasSingleUse(id), let user = users[Int(id.index)].first {
        let node = graph.nodes[user]
        switch node.op {
        case .matmul(let product):
            return node.inputs[0] == id && node.inputs[1] != id && product.scale == 1 ? user : nil
        case .reshape(let reshape)
        where reshape.shape.rank >= 2 && reshape.shape.last == shape.last
            && reshape.shape[reshape.shape.rank - 2] == shape[shape.rank - 2]:
            id = node.outputs[0]
        default: return nil
        }
    }
    return nil
}

extension Graph {
    /// The numbers of a constant repeated to `shape`; nil where it does not broadcast to it.
    fileprivate func expanded(_ id: ValueID, to shape: Shape) -> [Float]? {
        guard let values = floats(id), self.shape(id).rank <= shape.rank else { return nil }
        let own = Shape([Int](repeating: 1, count: shape.rank - self.shape(id).rank) + self.shape(id).dimensions)
        guard zip(own.dimensions, shape.dimensions).allSatisfy({ $0 == $1 || $0 == 1 }) else { return nil }
        let strides = zip(own.dimensions, own.strides).map { $0 == 1 ? 0 : $1 }
        var result: [Float] = []
        result.reserveCapacity(shape.elementCount)
        var place = [Int](repeating: 0, count: shape.rank)
        for _ in 0..<shape.elementCount {
            result.append(values[zip(place, strides).reduce(0) { $0 + $1.0 * $1.1 }])
            for axis in place.indices.reversed() {
                place[axis] += 1
                if place[axis] < shape[axis] { break }
                place[axis] = 0
            }
        }
        return result
    }
}
