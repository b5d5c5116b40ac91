import AlulaGraph

// Attention and RotaryEmbedding of opset 23, as ONNX's own function definitions spell them out.
extension Importer {
    static let attentionOperators = ["Attention", "RotaryEmbedding"]

    mutating func attention(_ node: NodeContext) throws -> [ImportedValue] {
        node.op == "Attention" ? try multiHead(node) : [.view(try rotated(node))]
    }

    // MARK: Attention

    private mutating func multiHead(_ node: NodeContext) throws -> [ImportedValue] {
        let query = try view(node.input(0))
        let isFlat = query.rank == 3
        let q = try heads(query, node.int("q_num_heads", default: 0))
        var k = try heads(view(node.input(1)), node.int("kv_num_heads", default: 0))
        var v = try heads(view(node.input(2)), node.int("kv_num_heads", default: 0))
        if let past = node.optional(4) { k = try view(concatenated([past, .view(k)], axis: 2)) }
        if let past = node.optional(5) { v = try view(concatenated([past, .view(v)], axis: 2)) }
        let (presentKey, presentValue) = (k, v)
        k = try repeated(k, heads: q.shape[1])
        v = try repeated(v, heads: q.shape[1])

        let standard = 1 / Float(q.shape[3]).squareRoot()
        let scale = try node.float("scale", default: standard)
        let scaled = try binary(.mul, .view(q), number(Double(scale)))
        let raw = try product(scaled, .view(swapped(k)))
        let biased = try masked(node, raw, past: node.optional(4)?.shape?[2] ?? 0)
        var capped = biased
        let cap = Double(try node.float("softcap", default: 0))
        if cap != 0 {
            let bent = try unary(.tanh, view(binary(.div, biased, number(cap))))
            capped = try binary(.mul, .view(bent), number(cap))
        }
        let probabilities = ImportedValue.view(try softmax(view(capped), axis: 3))
        var result = try view(product(probabilities, .view(v)))
        if isFlat {
            let shape = result.shape
            result = try reshaped(result.transposed([0, 2, 1, 3]), to: [shape[0], shape[2], shape[1] * shape[3]])
        }
        let stages = [raw, biased, capped, probabilities]
        let mode = try node.int("qk_matmul_output_mode", default: 0)
        guard stages.indices.contains(mode) else { throw LoweringProblem.invalid("qk_matmul_output_mode \(mode)") }
        return [result, presentKey, presentValue, try view(stages[mode])].map { view in
            var typed = view
            typed.type = query.type
            return .view(typed)
        }
    }

    /// `[B,heads,T,d]`, from that or from `[B,T,heads · d]`.
    private mutating func heads(_ x: View, _ count: Int) throws -> View {
        if x.rank == 4 { return x }
        guard x.rank == 3, count > 0, x.shape[2] % count == 0 else {
            throw LoweringProblem.invalid("\(count) heads for \(Shape(x.shape).description)")
        }
        return try reshaped(x, to: [x.shape[0], x.shape[1], count, x.shape[2] / count]).transposed([0, 2, 1, 3])
    }

    /// Each head for as many query heads as share it.
    private mutating func repeated(_ x: View, heads: Int) throws -> View {
        let own = x.shape[1]
        guard own != heads else { return x }
        guard own > 0, heads % own == 0 else { throw LoweringProblem.invalid("\(heads) heads share \(own)") }
        let (batch, tokens, size) = (x.shape[0], x.shape[2], x.shape[3])
        let wide = try expanded(
            reshaped(x, to: [batch, own, 1, tokens, size]), to: [batch, own, heads / own, tokens, size])
        return try reshaped(wide, to: [batch, heads, tokens, size])
    }

    /// - Parameter past: keys in front of those that belong to the queries.
    private mutating func masked(_ node: NodeContext, _ scores: ImportedValue, past: Int) throws -> ImportedValue {
        guard let shape = scores.shape else { return scores }
        let (rows, columns) = (shape[2], shape[3])
        var result = scores
        if let mask = node.optional(3) {
            var bias = mask
            if mask.type == .bool { bias = try select(mask, number(0), number(-.infinity)) }
            if let size = bias.shape?.last, size < columns, size != 1 {
                // Keys that the mask does not reach are masked out.
                let view = try view(bias)
                var after = [Int](repeating: 0, count: view.rank)
                after[view.rank - 1] = columns - size
                let none = [Int](repeating: 0, count: view.rank)
                bias = .view(try padded(view, none, after, value: -.infinity))
            }
            result = try binary(.add, result, bias)
        }
        if try node.flag("is_causal") {
            let values = (0..<rows * columns).map { $0 % columns <= $0 / columns + past ? 0 : -Double.infinity }
            result = try binary(.add, result, .host(HostTensor(.f32, [rows, columns], reals: values)))
        }
        if let lengths = try node.integers(6, "nonpad_kv_seqlen") {
            let values = lengths.flatMap { length in (0..<columns).map { $0 < length ? 0 : -Double.infinity } }
            let bias = HostTensor(.f32, [lengths.count, 1, 1, columns], reals: values)
            result = try binary(.add, result, .host(bias))
        }
        return result
    }

    // MARK: Rotary positions

    private mutating func rotated(_ node: NodeContext) throws -> View {
        let input = try view(node.input(0))
        var x = input
        if input.rank == 4 {
            x = input.transposed([0, 2, 1, 3])
        } else {
            let count = try node.int("num_heads", default: 0)
            guard input.rank == 3, count > 0, input.shape[2] % count == 0 else {
                throw LoweringProblem.invalid("\(count) heads for \(Shape(input.shape).description)")
            }
            x = try reshaped(input, to: [input.shape[0], input.shape[1], count, input.shape[2] / count])
        }
        // x is [B,T,heads,d]; the first `size` of d turn.
        let given = try node.int("rotary_embedding_dim", default: 0)
        let size = given == 0 ? x.shape[3] : given
        guard size > 0, size % 2 == 0, size <= x.shape[3] else {
            throw LoweringProblem.invalid("\(size) turning channels")
        }
        let turning = try taken(x, AxisRange(axis: 3, begin: 0, step: 1, count: size))
        let (cosine, sine) = (try angles(node, 1, size / 2), try angles(node, 2, size / 2))
        let isInterleaved = try node.flag("interleaved")
        let step = isInterleaved ? 2 : 1
        let first = try taken(turning, AxisRange(axis: 3, begin: 0, step: step, count: size / 2))
        let second = try taken(
            turning, AxisRange(axis: 3, begin: isInterleaved ? 1 : size / 2, step: step, count: size / 2))
        let real = try binary(
            .sub, binary(.mul, cosine, .view(first)), binary(.mul, sine, .view(second)))
        let imaginary = try binary(
            .add, binary(.mul, sine, .view(first)), binary(.mul, cosine, .view(second)))
        var result: ImportedValue
        if isInterleaved {
            let column = Array(turning.shape.dropLast()) + [size / 2, 1]
            let pairs = try concatenated(
                [.view(reshaped(view(real), to: column)), .view(reshaped(view(imaginary), to: column))], axis: 4)
            result = .view(try reshaped(view(pairs), to: turning.shape))
        } else {
            result = try concatenated([real, imaginary], axis: 3)
        }
        if size < x.shape[3] {
            let rest = try taken(x, AxisRange(axis: 3, begin: size, step: 1, count: x.shape[3] - size))
            result = try concatenated([result, .view(rest)], axis: 3)
        }
        let whole = try view(result)
        return input.rank == 4 ? whole.transposed([0, 2, 1, 3]) : try reshaped(whole, to: input.shape)
    }

    /// Cosines or sines `[B,T,1,size]`, picked by position where positions are given.
    private mutating func angles(_ node: NodeContext, _ index: Int, _ size: Int) throws -> ImportedValue {
        var table = try view(node.input(index))
        if let positions = try node.host(3, "its positions") {
            guard positions.shape.count == 2, table.rank == 2,
                positions.integers.allSatisfy({ (0..<table.shape[0]).contains($0) })
            else { throw LoweringProblem.invalid("a position is not in its tables") }
            table = try reshaped(
                gathered(table, axis: 0, positions.integers), to: positions.shape + [table.shape[1]])
        }
        guard table.rank == 3, table.shape[2] == size else {
            throw LoweringProblem.invalid("angles \(Shape(table.shape).description) for \(2 * size) turning channels")
        }
        return .view(try reshaped(table, to: [table.shape[0], table.shape[1], 1, size]))
    }
}
