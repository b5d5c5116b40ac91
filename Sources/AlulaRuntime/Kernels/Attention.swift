import AlulaGraph
import AlulaKernels

extension StepBuilder {
    // MARK: Attention

    mutating func bind(_ op: Attention, _ node: Node) throws(RuntimeError) {
        let (q, result) = (try operand(node, 0), try result(node))
        let (k, v) = (try optionalOperand(node, 1) ?? q, try optionalOperand(node, 2) ?? q)
        let bias = try optionalOperand(node, Attention.bias)
        if let bias, bias.type.dataType != .f32 { throw unsupportedTypes(q, bias) }
        let places = AttentionPlaces(op)
        let shape = attentionShape(op, places, q, k, bias)
        let items = Int(shape.batch) * op.heads
        switch q.type.dataType {
        case .f32 where all(.f32, k, v, result):
            var arguments = alula_attention_f32_args()
            arguments.shape = shape
            arguments.q = UnsafePointer(q.pointer(to: Float.self))
            arguments.k = UnsafePointer(k.pointer(to: Float.self) + places.k)
            arguments.v = UnsafePointer(v.pointer(to: Float.self) + places.v)
            arguments.output = result.pointer()
            try append(.attentionF32, arguments, items: items, scratch: alula_attention_f32_scratch(&arguments))
        case .u8 where all(.u8, k, v, result):
            let (qs, ks, vs, own) = (
                try quantization(q), try quantization(k), try quantization(v), try quantization(result)
            )
            guard max(op.keyDim, Int(shape.tokens_k)) <= Int8Limits.depth else {
                throw unsupported("has too many tokens or channels")
            }
            var arguments = alula_attention_u8_args()
            arguments.shape = shape
            arguments.shape.qk_scale = Float(Double(op.scale) * Double(qs.scale) * Double(ks.scale))
            arguments.q = UnsafePointer(q.pointer(to: UInt8.self))
            arguments.k = UnsafePointer(k.pointer(to: UInt8.self) + places.k)
            arguments.v = UnsafePointer(v.pointer(to: UInt8.self) + places.v)
            arguments.output = result.pointer()
            (arguments.q_zero, arguments.k_zero) = (qs.zeroPoint, ks.zeroPoint)
            (arguments.v_zero, arguments.zero) = (vs.zeroPoint, own.zeroPoint)
            arguments.v_multiplier = vs.scale / own.scale
            try check(multiplier: arguments.v_multiplier)
            guard arguments.shape.qk_scale.isFinite else { throw unsupported("scales are too large") }
            try append(.attentionU8, arguments, items: items, scratch: alula_attention_u8_scratch(&arguments))
        default:
            throw unsupportedTypes(q, k, v, result)
        }
    }

    func attentionShape(
        _ op: Attention, _ places: AttentionPlaces, _ q: BoundValue, _ k: BoundValue, _ bias: BoundValue?
    ) -> alula_attention_shape {
        let rank = q.shape.rank
        var shape = alula_attention_shape()
        shape.batch = size(q.shape.count(0..<rank - 2))
        shape.heads = size(op.heads)
        shape.tokens_q = size(q.shape[rank - 2])
        shape.tokens_k = size(op.packing == .separate ? k.shape[k.shape.rank - 2] : q.shape[rank - 2])
        (shape.key_dim, shape.value_dim) = (size(op.keyDim), size(op.valueDim))
        (shape.q_stride, shape.q_head) = (size(places.keyRow), size(places.keyHead))
        (shape.k_stride, shape.k_head) = (size(places.keyRow), size(places.keyHead))
        (shape.v_stride, shape.v_head) = (size(places.valueRow), size(places.valueHead))
        (shape.o_stride, shape.o_head) = (size(op.heads * op.valueDim), size(op.valueDim))
        (shape.bias_batch, shape.bias_heads) = (1, 1)
        if let bias {
            shape.bias_batch = bias.shape.rank == 4 ? size(bias.shape[0]) : 1
            shape.bias_heads = size(bias.shape[bias.shape.rank - 3])
            shape.bias = UnsafePointer(bias.pointer())
        }
        shape.qk_scale = op.scale
        return shape
    }

    // MARK: Matrix product

    mutating func bind(_ op: MatMul, _ node: Node) throws(RuntimeError) {
        let (a, b, result) = (try operand(node, 0), try operand(node, 1), try result(node))
        guard all(.f32, a, b, result) else { throw unsupportedTypes(a, b, result) }
        let (m, k, n) = (a.shape[a.shape.rank - 2], a.shape.last, result.shape.last)
        var arguments = alula_matmul_f32_args()
        (arguments.m, arguments.n, arguments.k) = (size(m), size(n), size(k))
        (arguments.transpose_b, arguments.alpha) = (op.transposeB ? 1 : 0, op.scale)
        (arguments.a, arguments.b, arguments.output) = (
            UnsafePointer(a.pointer()), UnsafePointer(b.pointer()), result.pointer()
        )

        let leading = Shape(Array(result.shape.dimensions.dropLast(2)))
        var axes = StridedAxes(
            leading.dimensions,
            [matrixStrides(a.shape, elements: m * k, leading), matrixStrides(b.shape, elements: k * n, leading)])
        axes.merge()
        // One matrix b for all: the batches of a are more rows.
        if axes.rank == 1, axes.strides[1][0] == 0, axes.strides[0][0] == m * k {
            arguments.m = size(m * axes.shape[0])
            axes = StridedAxes([1], [[0], [0]])
        }
        let inner = axes.rank - 1
        arguments.batch = size(axes.shape[inner])
        (arguments.a_batch, arguments.b_batch) = (Int64(axes.strides[0][inner]), Int64(axes.strides[1][inner]))
        let items = Int(arguments.batch) * Int(arguments.m)
        let outer = axes.shape.dropLast().reduce(1, *)
        guard outer <= StepBuilder.maximumCalls else { throw unsupported("broadcasts in too irregular a way") }
        for call in 0..<outer {
            let offsets = axes.offsets(outerIndex: call)
            var part = arguments
            part.a += offsets[0]
            part.b += offsets[1]
            part.output += call * items * n
            try append(.matmulF32, part, items: items, parallel: call > 0)
        }
    }

    /// The most kernel calls that one node may become.
    static let maximumCalls = 4096

    /// Elements from matrix to matrix along each leading axis of the result; 0 where the operand is repeated.
    private func matrixStrides(_ shape: Shape, elements: Int, _ leading: Shape) -> [Int] {
        broadcastStrides(Shape(Array(shape.dimensions.dropLast(2))), to: leading).map { $0 * elements }
    }
}

/// Where q, k and v begin in their operands, and elements from token to token and from head to head.
struct AttentionPlaces {
    var k = 0
    var v = 0
    var (keyRow, valueRow) = (0, 0)
    var (keyHead, valueHead) = (0, 0)

    init(_ op: Attention) {
        let row = op.heads * (2 * op.keyDim + op.valueDim)
        switch op.packing {
        case .separate:
            (keyRow, valueRow) = (op.heads * op.keyDim, op.heads * op.valueDim)
            (keyHead, valueHead) = (op.keyDim, op.valueDim)
        case .perHead:
            (k, v) = (op.keyDim, 2 * op.keyDim)
            (keyRow, valueRow) = (row, row)
            (keyHead, valueHead) = (row / op.heads, row / op.heads)
        case .stacked:
            (k, v) = (op.heads * op.keyDim, 2 * op.heads * op.keyDim)
            (keyRow, valueRow) = (row, row)
            (keyHead, valueHead) = (op.keyDim, op.valueDim)
        }
    }
}
