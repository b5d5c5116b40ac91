import AlulaGraph

/// A matched attention: how q, k and v lie in what they were moved from, and the nodes that take its place.
struct AttentionHeads {
    private let scores: AttentionScores
    /// The matrix product with the values, whose place attention takes.
    private let product: Int
    private let batch, heads, tokens, keyTokens, keyDim, valueDim: Int
    private var q, k, v: Part
    /// One operand holds all three parts: the source, and the order of its channels where it is not a packing's.
    private var packed: (source: ValueID, packing: Attention.Packing, order: [Int]?)?

    /// One of q, k and v.
    private struct Part {
        var value: ValueID
        /// `value` ends in dim, tokens.
        var isTransposed: Bool
        var tokens, dim: Int
        /// Where the rows of a source hold this part; nil where none does.
        var rows: Rows?
        /// What the source was multiplied by.
        var scale: Float
    }

    /// A source of `batch · tokens` rows: head h is the elements `offset + h · stride ..< + dim` of each.
    private struct Rows: Equatable {
        var source: ValueID
        var offset, stride: Int
        /// The source has `tokens · batch` rows instead.
        var hasBatchInside = false
    }

    /// nil where the operands do not have the same batch and heads.
    init?(_ editor: GraphEditor, _ scores: AttentionScores, _ product: Int) {
        self.scores = scores
        self.product = product
        let graph = editor.graph
        let node = graph.nodes[product]
        guard case .matmul(let valueProduct) = node.op else { return nil }
        let (qShape, kShape, vShape) = (graph.shape(scores.q), graph.shape(scores.k), graph.shape(node.inputs[1]))
        let leading = qShape.count(0..<qShape.rank - 2)
        guard kShape.count(0..<kShape.rank - 2) == leading, vShape.count(0..<vShape.rank - 2) == leading,
            scores.shape.elementCount == leading * qShape[qShape.rank - 2] * scores.shape.last
        else { return nil }
        (tokens, keyTokens, keyDim) = (qShape[qShape.rank - 2], scores.shape.last, qShape.last)
        valueDim = graph.shape(node.outputs[0]).last

        let ownHeads = AttentionHeads.headFactor(editor.scaledView(scores.q).view, graph)
        heads = ownHeads ?? (qShape.rank >= 4 ? qShape[qShape.rank - 3] : 1)
        guard leading % heads == 0 else { return nil }
        batch = leading / heads
        let part = { (id: ValueID, tokens: Int, dim: Int, isTransposed: Bool) in
            Part(value: id, isTransposed: isTransposed, tokens: tokens, dim: dim, rows: nil, scale: 1)
        }
        q = part(scores.q, tokens, keyDim, false)
        k = part(scores.k, keyTokens, keyDim, scores.isKeyTransposed)
        v = part(node.inputs[1], keyTokens, valueDim, valueProduct.transposeB)
        locate(editor, &q, mayScale: true)
        locate(editor, &k, mayScale: true)
        locate(editor, &v, mayScale: false)
        packed = packing(editor)
        if packed == nil {
            for part in [\AttentionHeads.q, \.k, \.v] { dropUnusableRows(editor, &self[keyPath: part]) }
        }
    }

    /// The number of heads where they are parts of the source's last axis.
    private static func headFactor(_ view: StridedView, _ graph: Graph) -> Int? {
        let channels = graph.shape(view.source).last
        let factors = StridedView.joined(Array(view.axes.dropLast(2).joined())).filter { $0.stride < channels }
        return factors.count == 1 ? factors[0].size : nil
    }

    // MARK: Where the parts come from

    /// Looks for rows of a source that hold the part.
    private func locate(_ editor: GraphEditor, _ part: inout Part, mayScale: Bool) {
        let (view, scale) = editor.scaledView(part.value)
        let last = view.axes.count - 1
        let ordered = part.isTransposed ? view.transposed(Array(0..<last - 1) + [last, last - 1]) : view
        let shape = Shape([batch, heads, part.tokens, part.dim])
        guard mayScale || scale == 1, let split = ordered.reshaped(shape),
            let rows = AttentionHeads.rows(split, shape, editor.graph)
        else { return }
        (part.rows, part.scale) = (rows, scale)
    }

    private static func rows(_ view: StridedView, _ shape: Shape, _ graph: Graph) -> Rows? {
        let source = graph.shape(view.source)
        let channels = source.last
        let isAxis = { (axis: Int, stride: Int) in
            view.axes[axis] == (shape[axis] == 1 ? [] : [StridedView.Factor(size: shape[axis], stride: stride)])
        }
        let stride = view.axes[1].first?.stride ?? shape[3]
        guard source.elementCount == shape[0] * shape[2] * channels, isAxis(1, stride), isAxis(3, 1),
            view.offset + (shape[1] - 1) * stride + shape[3] <= channels
        else { return nil }
        let rows = Rows(source: view.source, offset: view.offset, stride: stride)
        if isAxis(0, shape[2] * channels), isAxis(2, channels) { return rows }
        guard isAxis(0, channels), isAxis(2, shape[0] * channels) else { return nil }
        return Rows(source: rows.source, offset: rows.offset, stride: stride, hasBatchInside: true)
    }

    private func channels(_ rows: Rows, _ part: Part) -> [Int] {
        (0..<heads).flatMap { head in (0..<part.dim).map { rows.offset + head * rows.stride + $0 } }
    }

    /// How one source holds all parts, if one does.
    private func packing(_ editor: GraphEditor) -> (source: ValueID, packing: Attention.Packing, order: [Int]?)? {
        guard let queries = q.rows, let keys = k.rows, let values = v.rows, queries.source == keys.source,
            keys.source == values.source, tokens == keyTokens, keys.hasBatchInside == queries.hasBatchInside,
            values.hasBatchInside == queries.hasBatchInside
        else { return nil }
        let source = queries.source
        let order = channels(queries, q) + channels(keys, k) + channels(values, v)
        let width = 2 * keyDim + valueDim
        let perHead = (0..<heads).map { $0 * width }
        let parts = [(0, keyDim), (keyDim, keyDim), (2 * keyDim, valueDim)]
        let interleaved = parts.flatMap { first, count in perHead.flatMap { Array($0 + first..<$0 + first + count) } }
        if editor.graph.shape(source).last == heads * width {
            if order == interleaved { return (source, .perHead, nil) }
            if order == Array(0..<heads * width) { return (source, .stacked, nil) }
        }
        return editor.pickableLayer(source) == nil ? nil : (source, .stacked, order)
    }

    /// Rows of an operand of its own are all of a source, some of a layer's outputs, or a slice.
    private func dropUnusableRows(_ editor: GraphEditor, _ part: inout Part) {
        guard let rows = part.rows,
            rows.hasBatchInside || editor.pickableLayer(rows.source) == nil && heads > 1 && rows.stride != part.dim
        else { return }
        (part.rows, part.scale) = (nil, 1)
    }

    // MARK: Replacing

    func replace(_ editor: inout GraphEditor) throws(CompilerError) {
        var operands: [ValueID]
        if let packed {
            let source = try packed.order.map { (order) throws(CompilerError) in
                try editor.picking(order, of: packed.source, before: product)
            }
            let width = heads * (2 * keyDim + valueDim)
            var rows = source ?? packed.source
            if q.rows?.hasBatchInside == true {
                rows = try reshaped(&editor, rows, Shape([tokens, batch, width]))
                rows = try editor.insert(.transpose(Transpose([1, 0, 2])), [rows], before: product)
            }
            operands = [try reshaped(&editor, rows, Shape([batch, tokens, width])), .none, .none]
        } else {
            operands = [try operand(&editor, q), try operand(&editor, k), try operand(&editor, v)]
        }
        if !scores.bias.isEmpty { operands.append(bias(&editor)) }
        let attention = Attention(
            heads: heads, keyDim: keyDim, valueDim: valueDim, scale: scores.scale * q.scale * k.scale,
            packing: packed?.packing ?? .separate)
        let merged = try editor.insert(.attention(attention), operands, before: product)
        // The product's own form; the layout pass removes what merged the heads of that again.
        let split = try reshaped(&editor, merged, Shape([batch, tokens, heads, valueDim]))
        let heads = try editor.insert(.transpose(Transpose([0, 2, 1, 3])), [split], before: product)
        let result = editor.graph.shape(editor.graph.nodes[product].outputs[0])
        editor.replace(product, .reshape(Reshape(result)), [heads])
    }

    /// One part as `[batch, tokens, heads · dim]`.
    private func operand(_ editor: inout GraphEditor, _ part: Part) throws(CompilerError) -> ValueID {
        let shape = Shape([batch, part.tokens, heads * part.dim])
        guard let rows = part.rows else {
            let last = part.isTransposed ? [part.dim, part.tokens] : [part.tokens, part.dim]
            let split = try reshaped(&editor, part.value, Shape([batch, heads] + last))
            let order = part.isTransposed ? [0, 3, 1, 2] : [0, 2, 1, 3]
            let merged = try editor.insert(.transpose(Transpose(order)), [split], before: product)
            return try reshaped(&editor, merged, shape)
        }
        let order = channels(rows, part)
        let width = editor.graph.shape(rows.source).last
        if order == Array(0..<width) { return try reshaped(&editor, rows.source, shape) }
        if editor.pickableLayer(rows.source) != nil {
            return try reshaped(&editor, try editor.picking(order, of: rows.source, before: product), shape)
        }
        let all = try reshaped(&editor, rows.source, Shape([batch, part.tokens, width]))
        let slice = Slice(axis: 2, begin: rows.offset, end: rows.offset + order.count)
        return try editor.insert(.slice(slice), [all], before: product)
    }

    private func reshaped(_ editor: inout GraphEditor, _ x: ValueID, _ shape: Shape) throws(CompilerError) -> ValueID {
        editor.graph.shape(x) == shape ? x : try editor.insert(.reshape(Reshape(shape)), [x], before: product)
    }

    /// The added constants as attention takes them: once where all heads have the same, once where all batch items have.
    private func bias(_ editor: inout GraphEditor) -> ValueID {
        let matrix = tokens * keyTokens
        let values = scores.bias
        let repeats = { (period: Int) in values.indices.allSatisfy { values[$0] == values[$0 % period] } }
        let name = scores.biasName
        if repeats(matrix) {
            return editor.graph.addFloats(name, [1, tokens, keyTokens], Array(values[..<matrix]))
        }
        if repeats(heads * matrix) {
            return editor.graph.addFloats(name, [heads, tokens, keyTokens], Array(values[..<(heads * matrix)]))
        }
        let windows = (2...batch).first { batch % $0 == 0 && repeats($0 * heads * matrix) }!
        let count = windows * heads * matrix
        return editor.graph.addFloats(name, [windows, heads, tokens, keyTokens], Array(values[..<count]))
    }
}

extension GraphEditor {
    /// The convolution or linear layer that computes `id` and could compute its outputs in another order, since its result is only moved.
    func pickableLayer(_ id: ValueID) -> Int? {
        guard let index = producer(id), case let node = graph.nodes[index], node.op.isWeighted,
            node.op.weightGroups == 1, node.input(WeightedOperand.residual).isNone,
            graph.floats(node.inputs[WeightedOperand.weight]) != nil, !graph.outputs.contains(id)
        else { return nil }
        let biasID = node.input(WeightedOperand.bias)
        guard biasID.isNone || graph.floats(biasID) != nil else { return nil }
        let isOnlyMoved = graph.nodes.allSatisfy { user in
            guard user.inputs.contains(id) else { return true }
            switch user.op {
            case .reshape, .transpose, .slice, .split: return true
            case .binary(let binary): return binary.kind == .mul && graph.constantOperand(user) != nil
            default: return false
            }
        }
        return isOnlyMoved ? index : nil
    }

    /// The result of a layer with these of its outputs, in this order.
    mutating func picking(_ order: [Int], of id: ValueID, before place: Int) throws(CompilerError) -> ValueID {
        let node = graph.nodes[pickableLayer(id)!]
        var inputs = node.inputs
        let weightID = inputs[WeightedOperand.weight]
        var shape = graph.shape(weightID)
        let rows = WeightRows(values: graph.floats(weightID)!, rows: shape[0])
        shape[0] = order.count
        let values = order.flatMap { rows.values[$0 * rows.length..<($0 + 1) * rows.length] }
        inputs[WeightedOperand.weight] = graph.addFloats(graph[weightID].name, shape, values)
        if let bias = graph.floats(node.input(WeightedOperand.bias)) {
            let name = graph[inputs[WeightedOperand.bias]].name
            inputs[WeightedOperand.bias] = graph.addFloats(name, [order.count], order.map { bias[$0] })
        }
        return try insert(node.op, inputs, before: place)
    }
}
