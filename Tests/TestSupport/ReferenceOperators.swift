import AlulaGraph
import Foundation

// The operators of `Reference` that take more than an expression.

func referenceConvolution(
    _ op: Conv2D, _ x: ReferenceTensor, _ weight: ReferenceTensor, _ bias: ReferenceTensor?, _ shape: [Int]
) -> ReferenceTensor {
    let (inputs, outputs) = (weight.shape[3], weight.shape[0] / op.groups)
    return ReferenceTensor(shape) { at in
        let first = at[3] / outputs * inputs
        var sum = bias?[[at[3]]] ?? 0
        for ky in 0..<weight.shape[1] {
            for kx in 0..<weight.shape[2] {
                let y = at[1] * op.stride.height - op.padding.top + ky * op.dilation.height
                let column = at[2] * op.stride.width - op.padding.left + kx * op.dilation.width
                guard y >= 0, y < x.shape[1], column >= 0, column < x.shape[2] else {
                    if !op.paddingValues.isEmpty {
                        sum += inputs.sum { Double(op.paddingValues[$0]) * weight[[at[3], ky, kx, $0]] }
                    }
                    continue
                }
                sum += inputs.sum { x[[at[0], y, column, first + $0]] * weight[[at[3], ky, kx, $0]] }
            }
        }
        return sum
    }
}

func referenceTransposedConvolution(
    _ op: ConvTranspose2D, _ x: ReferenceTensor, _ weight: ReferenceTensor, _ bias: ReferenceTensor?, _ shape: [Int]
) -> ReferenceTensor {
    var result = ReferenceTensor(shape) { bias?[[$0[3]]] ?? 0 }
    let (inputs, outputs) = (x.shape[3] / op.groups, weight.shape[3])
    for n in 0..<x.shape[0] {
        for y in 0..<x.shape[1] {
            for column in 0..<x.shape[2] {
                for ky in 0..<weight.shape[1] {
                    for kx in 0..<weight.shape[2] {
                        let row = y * op.stride.height - op.padding.top + ky * op.dilation.height
                        let place = column * op.stride.width - op.padding.left + kx * op.dilation.width
                        guard row >= 0, row < shape[1], place >= 0, place < shape[2] else { continue }
                        for c in 0..<x.shape[3] {
                            for o in 0..<outputs {
                                let target =
                                    ((n * shape[1] + row) * shape[2] + place) * shape[3] + c / inputs * outputs + o
                                result.values[target] += x[[n, y, column, c]] * weight[[c, ky, kx, o]]
                            }
                        }
                    }
                }
            }
        }
    }
    return result
}

func referenceAttention(
    _ op: Attention, _ x: ReferenceTensor, _ keys: ReferenceTensor?, _ values: ReferenceTensor?,
    _ bias: ReferenceTensor?, _ shape: [Int]
) -> ReferenceTensor {
    // q, k and v of head h as functions of batch, token and channel.
    let (keyDim, valueDim) = (op.keyDim, op.valueDim)
    let flat = { (tensor: ReferenceTensor) in
        ReferenceTensor([tensor.shape.dropLast(2).reduce(1, *)] + tensor.shape.suffix(2), tensor.values)
    }
    let (q, k, v) = (flat(x), flat(keys ?? x), flat(values ?? x))
    let place = { (part: Int, head: Int) -> Int in
        switch op.packing {
        case .separate: head * (part == 2 ? valueDim : keyDim)
        case .perHead: head * (2 * keyDim + valueDim) + part * keyDim
        case .stacked: part * op.heads * keyDim + head * (part == 2 ? valueDim : keyDim)
        }
    }
    let result = ReferenceTensor([q.shape[0], q.shape[1], op.heads, valueDim]) { at in
        let (batch, token, head) = (at[0], at[1], at[2])
        var scores = (0..<k.shape[1]).map { other -> Double in
            let product = keyDim.sum {
                q[[batch, token, place(0, head) + $0]] * k[[batch, other, place(1, head) + $0]]
            }
            guard let bias else { return product * Double(op.scale) }
            let window = bias.shape.count == 4 ? [batch % bias.shape[0]] : []
            return product * Double(op.scale) + bias[window + [head, token, other]]
        }
        let largest = scores.max()!
        scores = scores.map { exp($0 - largest) }
        let total = scores.reduce(0, +)
        return scores.indices.reduce(0) { $0 + scores[$1] / total * v[[batch, $1, place(2, head) + at[3]]] }
    }
    return ReferenceTensor(shape, result.values)
}

func referenceLayerNorm(_ op: LayerNorm, _ x: ReferenceTensor, _ gamma: ReferenceTensor, _ beta: ReferenceTensor)
    -> ReferenceTensor
{
    let c = x.shape.last!
    var result = x
    for row in 0..<x.values.count / c {
        let values = x.values[row * c..<(row + 1) * c]
        let mean = values.reduce(0, +) / Double(c)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(c)
        for i in 0..<c {
            let normal = (x.values[row * c + i] - mean) / (variance + Double(op.epsilon)).squareRoot()
            result.values[row * c + i] = normal * gamma.values[i] + beta.values[i]
        }
    }
    return result
}

func referenceSoftmax(_ x: ReferenceTensor, _ axis: Int) -> ReferenceTensor {
    let (outer, n, inner) = x.grouped(axis..<axis + 1)
    let flat = ReferenceTensor([outer, n, inner], x.values)
    let result = ReferenceTensor(flat.shape) { at in
        let column = (0..<n).map { flat[[at[0], $0, at[2]]] }
        let largest = column.max()!
        return exp(flat[at] - largest) / column.reduce(0) { $0 + exp($1 - largest) }
    }
    return ReferenceTensor(x.shape, result.values)
}

func referenceReduction(_ op: Reduce, _ x: ReferenceTensor, _ shape: [Int]) -> ReferenceTensor {
    var groups = [[Double]](repeating: [], count: shape.reduce(1, *))
    // Every element goes to the result whose index is its own without the reduced axes.
    for (position, value) in x.values.enumerated() {
        var (rest, target, step) = (position, 0, 1)
        for axis in x.shape.indices.reversed() {
            let index = rest % x.shape[axis]
            rest /= x.shape[axis]
            guard !op.axes.contains(axis) else { continue }
            target += index * step
            step *= x.shape[axis]
        }
        groups[target].append(value)
    }
    return ReferenceTensor(
        shape,
        groups.map { group in
            switch op.kind {
            case .mean: group.reduce(0, +) / Double(group.count)
            case .sum: group.reduce(0, +)
            case .product: group.reduce(1, *)
            case .maximum: group.max()!
            case .minimum: group.min()!
            }
        })
}

func referenceTopK(_ op: TopK, _ x: ReferenceTensor, _ shape: [Int]) -> (ReferenceTensor, ReferenceTensor) {
    let best = { (at: [Int]) -> (value: Double, index: Int) in
        let column = (0..<x.shape[op.axis]).map { place -> (value: Double, index: Int) in
            var index = at
            index[op.axis] = place
            return (x[index], place)
        }
        let sorted = column.sorted { a, b in
            guard a.value == b.value else { return op.isLargest ? a.value > b.value : a.value < b.value }
            return op.prefersLast ? a.index > b.index : a.index < b.index
        }
        return sorted[at[op.axis]]
    }
    return (ReferenceTensor(shape) { best($0).value }, ReferenceTensor(shape) { Double(best($0).index) })
}

func referencePool(_ op: Pool, _ x: ReferenceTensor, _ shape: [Int]) -> ReferenceTensor {
    ReferenceTensor(shape) { at in
        var (sum, largest, count, padded) = (0.0, -Double.infinity, 0, 0)
        for ky in 0..<op.kernel.height {
            for kx in 0..<op.kernel.width {
                let y = at[1] * op.stride.height - op.padding.top + ky * op.dilation.height
                let column = at[2] * op.stride.width - op.padding.left + kx * op.dilation.width
                guard y < x.shape[1] + op.padding.bottom, column < x.shape[2] + op.padding.right else { continue }
                padded += 1
                guard y >= 0, y < x.shape[1], column >= 0, column < x.shape[2] else { continue }
                count += 1
                sum += x[[at[0], y, column, at[3]]]
                largest = max(largest, x[[at[0], y, column, at[3]]])
            }
        }
        if op.kind == .maximum { return largest }
        return sum / Double(op.countsPadding ? padded : count)
    }
}

/// The part of `x` that begins at an index of one axis.
func referencePart(_ x: ReferenceTensor, _ axis: Int, from begin: Int, step: Int, _ shape: [Int]) -> ReferenceTensor {
    ReferenceTensor(shape) { at in
        var index = at
        index[axis] = begin + at[axis] * step
        return x[index]
    }
}

func referenceMovement(_ op: Operator, _ operands: [ReferenceTensor], _ shape: [Int]) -> ReferenceTensor {
    let x = operands[0]
    switch op {
    case .reshape: return ReferenceTensor(shape, x.values)
    case .transpose(let op):
        return ReferenceTensor(shape) { at in
            var index = at
            for (axis, from) in op.permutation.enumerated() { index[from] = at[axis] }
            return x[index]
        }
    case .slice(let op): return referencePart(x, op.axis, from: op.begin, step: op.step, shape)
    case .concat(let op):
        return ReferenceTensor(shape) { at in
            var (index, part) = (at, 0)
            while index[op.axis] >= operands[part].shape[op.axis] {
                index[op.axis] -= operands[part].shape[op.axis]
                part += 1
            }
            return operands[part][index]
        }
    case .gather(let op):
        return ReferenceTensor(shape) { at in
            var index = at
            index[op.axis] = Int(operands[1].values[at[op.axis]])
            return x[index]
        }
    case .roll(let op):
        let size = shape[op.axis]
        return ReferenceTensor(shape) { at in
            var index = at
            index[op.axis] = ((at[op.axis] - op.shift) % size + size) % size
            return x[index]
        }
    case .pad(let op):
        return ReferenceTensor(shape) { at in
            let index = at.indices.map { at[$0] - op.before[$0] }
            return index.indices.allSatisfy { index[$0] >= 0 && index[$0] < x.shape[$0] } ? x[index] : Double(op.value)
        }
    case .expand: return ReferenceTensor(shape) { x[$0] }
    default: fatalError("the reference does not compute \(op.name)")
    }
}
