import AlulaGraph
import AlulaKernels

extension StepBuilder {
    mutating func bind(_ op: Reduce, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        if all(.f32, x, result) {
            try appendReduction(op, x, result)
        } else {
            guard all(.u8, x), all(.u8, result) || all(.f32, result) else { throw unsupportedTypes(x, result) }
            try appendSummation(op, x, result)
        }
    }

    private mutating func appendReduction(_ op: Reduce, _ x: BoundValue, _ result: BoundValue) throws(RuntimeError) {
        let strides = x.shape.strides
        let part = { (reduced: Bool) -> StridedAxes in
            let axes = x.shape.dimensions.indices.filter { op.axes.contains($0) == reduced && x.shape[$0] > 1 }
            var result = StridedAxes(axes.map { x.shape[$0] }, [axes.map { strides[$0] }])
            result.merge()
            return result
        }
        let (kept, reduced) = (part(false), part(true))
        let count = op.axes.reduce(1) { $0 * x.shape[$1] }
        let function =
            switch op.kind {
            case .mean, .sum: ALULA_REDUCE_SUM
            case .product: ALULA_REDUCE_PRODUCT
            case .maximum: ALULA_REDUCE_MAX
            case .minimum: ALULA_REDUCE_MIN
            }
        let arguments = alula_reduce_f32_args(
            input: UnsafePointer(x.pointer()), output: result.pointer(), scale: op.kind == .mean ? 1 / Float(count) : 1,
            function: Int32(bitPattern: function.rawValue), kept_rank: size(kept.rank),
            reduced_rank: size(reduced.rank), kept: kept.kernelShape, reduced: reduced.kernelShape,
            kept_strides: kept.kernelStrides(0), reduced_strides: reduced.kernelStrides(0))
        let outputs = kept.shape[kept.rank - 1]
        try append(.reduceF32, arguments, items: kept.rows * ((outputs + 63) / 64))
    }

    /// int8 mean or sum.
    private mutating func appendSummation(_ op: Reduce, _ x: BoundValue, _ result: BoundValue) throws(RuntimeError) {
        guard op.isSummation, op.hasNeighbouringAxes else {
            throw unsupported("int8 knows mean and sum over neighbouring axes only")
        }
        let (first, end) = (op.axes[0], op.axes[0] + op.axes.count)
        let (outer, n) = (x.shape.count(0..<first), x.shape.count(first..<end))
        // 255 · n must stay below 2^31.
        guard n <= 1 << 23 else { throw unsupported("sums too many numbers") }
        let its = try quantization(x)
        var arguments = alula_mean_u8_args()
        arguments.input = UnsafePointer(x.pointer())
        (arguments.outer, arguments.n, arguments.zero_in) = (size(outer), size(n), its.zeroPoint)
        arguments.inner = size(x.shape.count(end..<x.shape.rank))
        let divisor = op.kind == .mean ? Double(n) : 1
        if all(.f32, result) {
            arguments.output_f32 = result.pointer()
            arguments.multiplier = Float(Double(its.scale) / divisor)
        } else {
            let own = try quantization(result)
            arguments.output = result.pointer()
            arguments.zero = own.zeroPoint
            arguments.multiplier = Float(Double(its.scale) / (divisor * Double(own.scale)))
        }
        try check(multiplier: arguments.multiplier)
        try append(.meanU8, arguments, items: outer)
    }

    mutating func bind(_ op: TopK, _ node: Node) throws(RuntimeError) {
        let (x, values, indices) = (try operand(node, 0), try result(node, 0), try result(node, 1))
        guard all(.f32, x, values), all(.i32, indices) else { throw unsupportedTypes(x, values, indices) }
        let outer = x.shape.count(0..<op.axis)
        let arguments = alula_top_k_f32_args(
            input: UnsafePointer(x.pointer()), values: values.pointer(), indices: indices.pointer(), outer: size(outer),
            n: size(x.shape[op.axis]), inner: size(x.shape.count(op.axis + 1..<x.shape.rank)), count: size(op.count),
            smallest: op.isLargest ? 0 : 1, prefers_last: op.prefersLast ? 1 : 0)
        try append(.topKF32, arguments, items: outer)
    }

    mutating func bind(_ op: Resample, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        let indices = try checkedIndices(node.inputs[1], of: op.axis, x)
        let weights = try operand(node, 2)
        guard all(.f32, weights), weights.shape.count(0..<1) == result.shape[op.axis] else {
            throw unsupportedTypes(x, weights)
        }
        let (n, inner) = (size(x.shape[op.axis]), size(x.shape.count(op.axis + 1..<x.shape.rank)))
        let (count, taps) = (size(result.shape[op.axis]), size(weights.shape.last))
        let items = x.shape.count(0..<op.axis) * result.shape[op.axis]
        if all(.f32, x, result) {
            let arguments = alula_resample_f32_args(
                input: UnsafePointer(x.pointer()), output: result.pointer(), index: indices,
                weights: UnsafePointer(weights.pointer()), n: n, inner: inner, count: count, taps: taps)
            try append(.resampleF32, arguments, items: items)
            return
        }
        guard all(.u8, x, result) else { throw unsupportedTypes(x, result) }
        let (its, own) = (try quantization(x), try quantization(result))
        let arguments = alula_resample_u8_args(
            input: UnsafePointer(x.pointer()), output: result.pointer(), index: indices,
            weights: UnsafePointer(weights.pointer()), n: n, inner: inner, count: count, taps: taps,
            zero_in: its.zeroPoint, zero: own.zeroPoint, multiplier: its.scale / own.scale)
        try check(multiplier: arguments.multiplier)
        try append(.resampleU8, arguments, items: items)
    }
}
