import AlulaGraph

/// Transposes move in front of what does not care about the order of axes (elementwise operators; linear layers and layer norms, if the last axis
/// stays) where one meets its inverse there, or one that is computed anyway. Models whose tokens change between channels first and last around each
/// residual lose most of theirs like this.
@Sendable func raiseTransposes(_ graph: Graph) throws(CompilerError) -> Graph {
    var raising = TransposeRaising(graph)
    for index in graph.nodes.indices.reversed() { try raising.visit(index) }
    return raising.editor.finished()
}

private struct TransposeRaising {
    var editor: GraphEditor
    /// By value: the nodes that read it now.
    private var readers: [[Int]]

    private static let depth = 16

    init(_ graph: Graph) {
        editor = GraphEditor(graph)
        readers = graph.users()
    }

    /// Node `index`, whose result is only transposed, always alike, computes the transposed result if that takes fewer transposes.
    mutating func visit(_ index: Int) throws(CompilerError) {
        let result = editor.graph.nodes[index].outputs[0]
        guard editor.producer(result) == index else { return }
        let users = readers[Int(result.index)]
        guard let first = users.first, let permutation = permutation(first), !editor.graph.outputs.contains(result),
            users.allSatisfy({
                self.permutation($0) == permutation && !editor.graph.outputs.contains(editor.graph.nodes[$0].outputs[0])
            }), let cost = cost(ofRaising: permutation, over: index, TransposeRaising.depth), cost < 1
        else { return }
        try raise(permutation, over: index)
        var all: [Int] = []
        for user in users {
            let moved = editor.graph.nodes[user].outputs[0]
            all += readers[Int(moved.index)]
            readers[Int(moved.index)] = []
            editor.bypass(user, result)
        }
        readers[Int(result.index)] = all
    }

    private func permutation(_ index: Int) -> [Int]? {
        guard case .transpose(let transpose) = editor.graph.nodes[index].op else { return nil }
        return transpose.permutation
    }

    /// The operands whose axes are the result's; nil for an operator that a transpose cannot pass.
    private func operands(_ node: Node, _ permutation: [Int]) -> [Int]? {
        let keepsLast = permutation.last == permutation.count - 1
        switch node.op {
        case .unary where node.input(1).isNone: return [0]
        case .binary: return [0, 1]
        case .layerNorm where keepsLast: return [0]
        case .linear where keepsLast && node.input(WeightedOperand.residual).isNone: return [0]
        default: return nil
        }
    }

    /// How many transposes more there are when node `index` computes its result transposed; nil where it cannot.
    private func cost(ofRaising permutation: [Int], over index: Int, _ depth: Int) -> Int? {
        let node = editor.graph.nodes[index]
        let shape = editor.graph.shape(node.outputs[0])
        guard depth > 0, editor.graph.type(node.outputs[0]).dataType == .f32,
            let operands = operands(node, permutation)
        else { return nil }
        var sum = 0
        for place in operands {
            let id = node.inputs[place]
            if editor.graph[id].constant != nil {
                guard constantIsMovable(id, shape.rank) else { return nil }
                continue
            }
            guard editor.graph.shape(id).rank == shape.rank else { return nil }
            sum += cost(of: id, permutation, index, depth)
        }
        return sum
    }

    private func cost(of id: ValueID, _ permutation: [Int], _ reader: Int, _ depth: Int) -> Int {
        if transposed(id, permutation, before: reader) != nil { return 0 }
        guard let producer = editor.producer(id) else { return 1 }
        let isShared = !hasOneReader(id)
        if let own = self.permutation(producer) {
            let isInverse = TransposeRaising.isIdentity(permutation.map { own[$0] })
            return (isInverse ? 0 : 1) - (isShared ? 0 : 1)
        }
        if !isShared, let inner = cost(ofRaising: permutation, over: producer, depth - 1) { return min(inner, 1) }
        return 1
    }

    /// At most one axis is larger than 1, so that its numbers keep their order.
    private func constantIsMovable(_ id: ValueID, _ rank: Int) -> Bool {
        let shape = editor.graph.shape(id)
        return editor.graph[id].constant?.layout == .plain && shape.rank <= rank
            && shape.dimensions.filter { $0 != 1 }.count <= 1
    }

    private func hasOneReader(_ id: ValueID) -> Bool {
        readers[Int(id.index)].count == 1 && !editor.graph.outputs.contains(id)
    }

    /// The value that is `id` transposed like this, if it is computed before node `reader`.
    private func transposed(_ id: ValueID, _ permutation: [Int], before reader: Int) -> ValueID? {
        readers[Int(id.index)].first { $0 < reader && self.permutation($0) == permutation }
            .map { editor.graph.nodes[$0].outputs[0] }
    }

    private static func isIdentity(_ permutation: [Int]) -> Bool { permutation == Array(permutation.indices) }

    // MARK: Raising

    private mutating func raise(_ permutation: [Int], over index: Int) throws(CompilerError) {
        let node = editor.graph.nodes[index]
        let shape = editor.graph.shape(node.outputs[0])
        var inputs = node.inputs
        for place in operands(node, permutation)! {
            let id = inputs[place]
            if editor.graph[id].constant != nil {
                inputs[place] = movedConstant(id, permutation)
            } else {
                inputs[place] = try moved(id, permutation, index)
            }
        }
        for id in node.inputs where !id.isNone { readers[Int(id.index)].removeAll { $0 == index } }
        for id in Set(inputs.map(\.index)) where Int(id) < readers.count { readers[Int(id)].append(index) }
        editor.replace(index, node.op, inputs)
        editor.graph[node.outputs[0]].type.shape = Shape(permutation.map { shape[$0] })
    }

    /// `id` transposed, as cheaply as `cost(of:)` says.
    private mutating func moved(_ id: ValueID, _ permutation: [Int], _ reader: Int) throws(CompilerError) -> ValueID {
        if let known = transposed(id, permutation, before: reader) { return known }
        if let producer = editor.producer(id), hasOneReader(id) {
            if let own = self.permutation(producer) {
                let source = editor.graph.nodes[producer].inputs[0]
                let both = permutation.map { own[$0] }
                if TransposeRaising.isIdentity(both) {
                    readers[Int(source.index)].removeAll { $0 == producer }
                    return source
                }
                editor.replace(producer, .transpose(Transpose(both)), [source])
                let shape = editor.graph.shape(id)
                editor.graph[id].type.shape = Shape(permutation.map { shape[$0] })
                return id
            }
            if let inner = cost(ofRaising: permutation, over: producer, TransposeRaising.depth), inner <= 1 {
                try raise(permutation, over: producer)
                return id
            }
        }
        if let producer = editor.producer(id), let own = self.permutation(producer),
            TransposeRaising.isIdentity(permutation.map { own[$0] })
        {
            return editor.graph.nodes[producer].inputs[0]
        }
        return try editor.insert(.transpose(Transpose(permutation)), [id], before: reader)
    }

    private mutating func movedConstant(_ id: ValueID, _ permutation: [Int]) -> ValueID {
        let shape = editor.graph.shape(id)
        if shape.elementCount == 1 { return id }
        let whole = [Int](repeating: 1, count: permutation.count - shape.rank) + shape.dimensions
        let type = TensorType(editor.graph.type(id).dataType, Shape(permutation.map { whole[$0] }))
        return editor.graph.addConstant(editor.graph[id].name, type, editor.graph[id].constant?.data)
    }
}
