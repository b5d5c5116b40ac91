import AlulaGraph

/// How a value that was only moved (reshaped, transposed, sliced, split) reads from the value it was moved from: each of its axes is a row of
/// factors, a factor is a number of steps of a fixed stride in the source. Any chain of moves is one view, however it is spelled.
struct StridedView: Equatable {
    struct Factor: Equatable {
        var size: Int
        var stride: Int
    }

    let source: ValueID
    var offset = 0
    /// The factors of each axis, outermost first, without factors of size 1.
    var axes: [[Factor]]

    init(of source: ValueID, _ shape: Shape) {
        self.source = source
        axes = zip(shape.dimensions, shape.strides).map { $0 == 1 ? [] : [Factor(size: $0, stride: $1)] }
    }

    /// All factors in order, neighbours that follow on from each other joined.
    var factors: [Factor] { StridedView.joined(Array(axes.joined())) }

    static func joined(_ factors: [Factor]) -> [Factor] {
        var result: [Factor] = []
        for factor in factors {
            if let last = result.last, last.stride == factor.size * factor.stride {
                result[result.count - 1] = Factor(size: last.size * factor.size, stride: factor.stride)
            } else {
                result.append(factor)
            }
        }
        return result
    }

    func transposed(_ permutation: [Int]) -> StridedView {
        var result = self
        result.axes = permutation.map { axes[$0] }
        return result
    }

    /// The same elements in the same order under other axes; nil where an axis would begin or end within a factor.
    func reshaped(_ shape: Shape) -> StridedView? {
        var rest = factors[...]
        var result = self
        result.axes = []
        for size in shape.dimensions {
            var missing = size
            var axis: [Factor] = []
            while missing > 1 {
                guard let factor = rest.first else { return nil }
                if missing % factor.size == 0 {
                    axis.append(factor)
                    missing /= factor.size
                    rest.removeFirst()
                } else if factor.size % missing == 0 {
                    let inner = factor.size / missing
                    axis.append(Factor(size: missing, stride: factor.stride * inner))
                    rest[rest.startIndex].size = inner
                    missing = 1
                } else {
                    return nil
                }
            }
            result.axes.append(StridedView.joined(axis))
        }
        return result
    }

    /// Elements `begin`, `begin + step`, … below `end` of one axis; nil where that is no view of this form.
    func sliced(_ slice: Slice) -> StridedView? {
        var result = self
        let count = (slice.end - slice.begin + slice.step - 1) / slice.step
        guard let outer = axes[slice.axis].first else { return self }
        let inner = axes[slice.axis].dropFirst().reduce(1) { $0 * $1.size }
        guard inner == 1 || (slice.step == 1 && slice.begin % inner == 0 && count % inner == 0) else { return nil }
        result.offset += slice.begin / inner * outer.stride
        result.axes[slice.axis][0] = Factor(size: count / inner, stride: outer.stride * slice.step)
        if count / inner == 1 { result.axes[slice.axis].removeFirst() }
        return result
    }
}

extension GraphEditor {
    /// `id` as a view of the value it was moved from, and the product of the single numbers it was multiplied by on the way.
    func scaledView(_ id: ValueID, depth: Int = 32) -> (view: StridedView, scale: Float) {
        guard depth > 0, let index = producer(id), case let node = graph.nodes[index] else {
            return (StridedView(of: id, graph.shape(id)), 1)
        }
        var (moved, scale): (StridedView?, Float) = (nil, 1)
        switch node.op {
        case .binary(let binary) where binary == Binary(.mul):
            if let (x, constant) = graph.constantOperand(node), let factor = graph.scalar(constant),
                graph.shape(x) == graph.shape(id)
            {
                (moved, scale) = scaledView(x, depth: depth - 1)
                scale *= factor
            }
        case .reshape, .transpose, .slice, .split:
            let inner: StridedView
            (inner, scale) = scaledView(node.inputs[0], depth: depth - 1)
            moved = inner.moved(by: node, to: id, graph)
        default: break
        }
        return moved.map { ($0, scale) } ?? (StridedView(of: id, graph.shape(id)), 1)
    }

    /// `id` as a view of the value that it was reshaped and transposed from; all elements of the source are in it.
    func permutedView(_ id: ValueID, depth: Int = 32) -> StridedView {
        if depth > 0, let index = producer(id), case let node = graph.nodes[index] {
            switch node.op {
            case .reshape, .transpose:
                if let view = permutedView(node.inputs[0], depth: depth - 1).moved(by: node, to: id, graph) {
                    return view
                }
            default: break
            }
        }
        return StridedView(of: id, graph.shape(id))
    }
}

extension StridedView {
    fileprivate func moved(by node: Node, to id: ValueID, _ graph: Graph) -> StridedView? {
        switch node.op {
        case .reshape(let reshape): return reshaped(reshape.shape)
        case .transpose(let transpose): return transposed(transpose.permutation)
        case .slice(let slice): return sliced(slice)
        case .split(let split):
            let part = node.outputs.firstIndex(of: id)!
            let begin = split.sizes[..<part].reduce(0, +)
            return sliced(Slice(axis: split.axis, begin: begin, end: begin + split.sizes[part]))
        default: return nil
        }
    }
}
