import AlulaGraph

// Operators that move elements along axes that they name; every other axis stays where the graph has it.
extension Importer {
    mutating func movement(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "Concat": return [try concat(node)]
        case "Split": return try split(node)
        case "Slice": return [.view(try slice(node))]
        case "Expand": return [try expand(node)]
        case "Tile": return [try tile(node)]
        case "DepthToSpace": return [.view(try depthToSpace(node))]
        default: return [.view(try spaceToDepth(node))]
        }
    }

    private mutating func concat(_ node: NodeContext) throws -> ImportedValue {
        // Empty parts add nothing.
        let parts = try node.inputs.indices.map { try node.input($0) }.filter { !($0.shape ?? []).contains(0) }
        guard let first = parts.first, let rank = first.shape?.count, rank > 0 else {
            throw LoweringProblem.unsupported(needed: "tensors without elements")
        }
        let axis = try node.axis(node.int("axis", default: 1), rank: rank)
        guard parts.allSatisfy({ $0.shape?.count == rank }) else {
            throw LoweringProblem.invalid("its inputs differ in rank")
        }
        return try concatenated(parts, axis: axis)
    }

    mutating func concatenated(_ parts: [ImportedValue], axis: Int) throws -> ImportedValue {
        let views = try parts.map { try view($0) }
        guard views.count > 1 else { return parts[0] }
        let runtime = views.filter { !isConstant($0) }
        let leader = runtime.max { $0.shape.reduce(1, *) < $1.shape.reduce(1, *) } ?? views[0]
        let ids = try views.map { try stored($0, as: leader.order) }
        var shape = leader.shape
        shape[axis] = views.reduce(0) { $0 + $1.shape[axis] }
        let id = try emit(.concat(Concat(axis: leader.storedAxis(axis))), ids)
        return .view(View(id, shape, order: leader.order, type: leader.type))
    }

    private mutating func split(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
        let sizes = try splitSizes(node, x.shape[axis])
        let filled = sizes.filter { $0 > 0 }
        guard sizes.count > 1, !filled.isEmpty else { return [.view(x)] }
        var ids =
            try filled.count == 1
            ? [x.id] : graph.addAll(.split(Split(axis: x.storedAxis(axis), sizes: filled)), [x.id])
        return sizes.map { size in
            var shape = x.shape
            shape[axis] = size
            guard size > 0 else { return .host(HostTensor(x.type, shape, reals: [])) }
            return .view(View(ids.removeFirst(), shape, order: x.order, type: x.type))
        }
    }

    private func splitSizes(_ node: NodeContext, _ size: Int) throws -> [Int] { try Importer.splitSizes(node, size) }

    static func splitSizes(_ node: NodeContext, _ size: Int) throws -> [Int] {
        if let sizes = try node.integers(attribute: "split", orInput: 1) {
            guard sizes.allSatisfy({ $0 >= 0 && $0 <= size }), sizes.reduce(0, +) == size,
                sizes.count == node.outputCount
            else { throw LoweringProblem.invalid("its sizes do not add up to \(size)") }
            return sizes
        }
        // Equal parts; the last one may be smaller.
        let parts = try node.int("num_outputs", default: node.outputCount)
        guard parts >= 1, parts <= max(size, 1), parts == node.outputCount else {
            throw LoweringProblem.invalid("\(parts) parts of \(size)")
        }
        let part = (size + parts - 1) / parts
        return (0..<parts).map { min(part, max(size - $0 * part, 0)) }
    }

    // MARK: Slices

    /// Elements begin, begin + step, … of one axis, `count` of them.
    struct AxisRange {
        var axis, begin, step, count: Int
    }

    private mutating func slice(_ node: NodeContext) throws -> View {
        var x = try view(node.input(0))
        for range in try Importer.sliceRanges(node, x.shape) { x = try taken(x, range) }
        return x
    }

    static func sliceRanges(_ node: NodeContext, _ shape: [Int]) throws -> [AxisRange] {
        guard let starts = try node.integers(attribute: "starts", orInput: 1),
            let ends = try node.integers(attribute: "ends", orInput: 2), starts.count == ends.count
        else { throw LoweringProblem.invalid("starts and ends do not match") }
        let named = try node.integers(attribute: "axes", orInput: 3) ?? Array(starts.indices)
        let axes = try node.axes(named, rank: shape.count)
        let steps = try node.opset < 10 ? nil : node.integers(4, "steps")
        guard axes.count == starts.count, steps == nil || steps!.count == starts.count else {
            throw LoweringProblem.invalid("starts and axes do not match")
        }
        return try axes.enumerated().map { index, axis in
            let (size, step) = (shape[axis], steps?[index] ?? 1)
            guard step != 0, step != .min else { throw LoweringProblem.invalid("step \(step)") }
            let bound = { (value: Int, low: Int, high: Int) in min(max(value < 0 ? value + size : value, low), high) }
            // Backwards, the first element is at most the last one, and the end may lie before the first.
            let begin = step > 0 ? bound(starts[index], 0, size) : bound(starts[index], 0, size - 1)
            let end = step > 0 ? bound(ends[index], 0, size) : bound(ends[index], -1, size - 1)
            let distance = step > 0 ? end - begin : begin - end
            let stride = abs(step)
            return AxisRange(
                axis: axis, begin: begin, step: step, count: distance <= 0 ? 0 : (distance - 1) / stride + 1)
        }
    }

    mutating func taken(_ x: View, _ range: AxisRange) throws -> View {
        guard range.count > 0 else { throw LoweringProblem.unsupported(needed: "tensors without elements") }
        guard range.count != x.shape[range.axis] || range.step != 1 else { return x }
        var shape = x.shape
        shape[range.axis] = range.count
        let axis = x.storedAxis(range.axis)
        if range.step > 0 {
            let op = Slice(
                axis: axis, begin: range.begin, end: range.begin + (range.count - 1) * range.step + 1, step: range.step)
            return View(try emit(.slice(op), [x.id]), shape, order: x.order, type: x.type)
        }
        return try gathered(x, axis: range.axis, (0..<range.count).map { range.begin + $0 * range.step })
    }

    /// Elements at the given places of one axis.
    mutating func gathered(_ x: View, axis: Int, _ indices: [Int]) throws -> View {
        var shape = x.shape
        shape[axis] = indices.count
        let first = indices.first ?? 0
        if indices == Array(first..<first + indices.count) {
            return try taken(x, AxisRange(axis: axis, begin: first, step: 1, count: indices.count))
        }
        let id = try emit(.gather(Gather(axis: x.storedAxis(axis))), [x.id, addIndices(indices)])
        return View(id, shape, order: x.order, type: x.type)
    }

    // MARK: Repetition

    private mutating func expand(_ node: NodeContext) throws -> ImportedValue {
        guard let wanted = try node.integers(1, "its shape") else {
            throw LoweringProblem.invalid("the shape is missing")
        }
        let x = try view(node.input(0))
        return try .view(expanded(x, to: broadcastShape([x.shape, wanted])))
    }

    mutating func expanded(_ x: View, to shape: [Int]) throws -> View {
        let wide = x.extended(to: shape.count)
        guard wide.shape != shape else { return try reshaped(x, to: shape) }
        let id = try emit(.expand(Expand(Shape(wide.order.map { shape[$0] }))), [x.id])
        return View(id, shape, order: wide.order, type: x.type)
    }

    private mutating func tile(_ node: NodeContext) throws -> ImportedValue {
        guard let repeats = try node.integers(1, "repeats") else {
            throw LoweringProblem.invalid("repeats are missing")
        }
        var x = try view(node.input(0))
        guard repeats.count == x.rank else { throw LoweringProblem.invalid("repeats are not for \(x.rank) axes") }
        for (axis, count) in repeats.enumerated() where count != 1 {
            guard count > 0, count <= 1 << 20 else { throw LoweringProblem.unsupported(needed: "\(count) repeats") }
            if x.shape[axis] == 1 {
                var shape = x.shape
                shape[axis] = count
                x = try expanded(x, to: shape)
            } else {
                guard count <= 64 else { throw LoweringProblem.unsupported(needed: "\(count) repeats") }
                x = try view(concatenated([ImportedValue](repeating: .view(x), count: count), axis: axis))
            }
        }
        return .view(x)
    }

    // MARK: Depth and space

    private mutating func depthToSpace(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let block = try node.int("blocksize", default: 0)
        guard x.rank == 4, block > 0, x.shape[1] % (block * block) == 0 else {
            throw LoweringProblem.invalid("blocks of \(block) do not divide its channels")
        }
        let (n, c, h, w) = (x.shape[0], x.shape[1] / (block * block), x.shape[2], x.shape[3])
        let mode = try node.string("mode", default: "DCR")
        let parts = mode == "CRD" ? [n, c, block, block, h, w] : [n, block, block, c, h, w]
        let order = mode == "CRD" ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]
        return try reshaped(reshaped(x, to: parts).transposed(order), to: [n, c, h * block, w * block])
    }

    private mutating func spaceToDepth(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let block = try node.int("blocksize", default: 0)
        guard x.rank == 4, block > 0, x.shape[2] % block == 0, x.shape[3] % block == 0 else {
            throw LoweringProblem.invalid("blocks of \(block) do not divide its height and width")
        }
        let (n, c, h, w) = (x.shape[0], x.shape[1], x.shape[2] / block, x.shape[3] / block)
        let cut = try reshaped(x, to: [n, c, h, block, w, block]).transposed([0, 3, 5, 1, 2, 4])
        return try reshaped(cut, to: [n, c * block * block, h, w])
    }
}
