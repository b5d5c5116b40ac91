import AlulaGraph

extension Importer {
    mutating func padding(_ node: NodeContext) throws -> [ImportedValue] {
        if node.op == "CenterCropPad" { return [.view(try centred(node))] }
        var x = try view(node.input(0))
        guard let pads = try node.integers(attribute: "pads", orInput: 1) else {
            throw LoweringProblem.invalid("pads are missing")
        }
        let axes = try node.axes(node.integers(3, "axes") ?? Array(x.shape.indices), rank: x.rank)
        let limit = 1 << 24
        guard pads.count == 2 * axes.count, pads.allSatisfy({ (-limit...limit).contains($0) }) else {
            throw LoweringProblem.invalid("\(pads.count) pads for \(axes.count) axes")
        }
        var (before, after) = ([Int](repeating: 0, count: x.rank), [Int](repeating: 0, count: x.rank))
        for (index, axis) in axes.enumerated() {
            (before[axis], after[axis]) = (max(pads[index], 0), max(pads[index + axes.count], 0))
            // Negative pads take away.
            let (cut, end) = (max(-pads[index], 0), max(-pads[index + axes.count], 0))
            x = try taken(x, AxisRange(axis: axis, begin: cut, step: 1, count: x.shape[axis] - cut - end))
        }
        let mode = try node.string("mode", default: "constant")
        guard mode == "constant" else { return [.view(try padded(x, before, after, mode: mode))] }
        let value =
            try node.opset < 11
            ? Double(node.float("value", default: 0)) : node.scalar(2, "its value") ?? 0
        return [.view(try padded(x, before, after, value: Float(value)))]
    }

    private mutating func centred(_ node: NodeContext) throws -> View {
        var x = try view(node.input(0))
        guard let wanted = try node.integers(1, "its shape") else {
            throw LoweringProblem.invalid("the shape is missing")
        }
        let axes = try node.axes(node.ints("axes") ?? Array(x.shape.indices), rank: x.rank)
        guard axes.count == wanted.count, wanted.allSatisfy({ (1...1 << 24).contains($0) }) else {
            throw LoweringProblem.invalid("the shape does not fit")
        }
        var (before, after) = ([Int](repeating: 0, count: x.rank), [Int](repeating: 0, count: x.rank))
        for (axis, size) in zip(axes, wanted) {
            let rest = size - x.shape[axis]
            if rest < 0 {
                x = try taken(x, AxisRange(axis: axis, begin: -rest / 2, step: 1, count: size))
            } else {
                (before[axis], after[axis]) = (rest / 2, rest - rest / 2)
            }
        }
        return try padded(x, before, after, value: 0)
    }

    mutating func padded(_ x: View, _ before: [Int], _ after: [Int], value: Float) throws -> View {
        guard (before + after).contains(where: { $0 != 0 }) else { return x }
        let op = Pad(before: x.order.map { before[$0] }, after: x.order.map { after[$0] }, value: value)
        let shape = x.shape.indices.map { x.shape[$0] + before[$0] + after[$0] }
        return View(try emit(.pad(op), [x.id]), shape, order: x.order, type: x.type)
    }

    /// Pads with elements of the tensor itself, axis by axis.
    private mutating func padded(_ input: View, _ before: [Int], _ after: [Int], mode: String) throws -> View {
        var x = input
        for axis in x.shape.indices where before[axis] + after[axis] > 0 {
            let size = x.shape[axis]
            let indices = try (-before[axis]..<size + after[axis]).map { place in
                switch mode {
                case "edge": return min(max(place, 0), size - 1)
                case "wrap": return ((place % size) + size) % size
                case "reflect":
                    guard size > 1 else { return 0 }
                    let period = 2 * (size - 1)
                    let turned = ((place % period) + period) % period
                    return min(turned, period - turned)
                default: throw LoweringProblem.unsupported(needed: "mode \(mode.quotedForMessage)")
                }
            }
            x = try gathered(x, axis: axis, indices)
        }
        return x
    }
}
