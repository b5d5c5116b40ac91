import AlulaGraph
import Foundation

// The operators of training graphs, from their definitions.

/// The derivatives that calculus books give; `p` holds the function's parameters.
package func slope(_ function: UnaryFunction, _ x: Double, _ p: [Double] = []) -> Double {
    let sigmoid = { (x: Double) in 1 / (1 + exp(-x)) }
    switch function {
    case .relu: return x > 0 ? 1 : 0
    case .relu6: return x > 0 && x < 6 ? 1 : 0
    case .sigmoid: return sigmoid(x) * (1 - sigmoid(x))
    case .tanh: return 1 - tanh(x) * tanh(x)
    case .exp: return exp(x)
    case .log: return 1 / x
    case .sqrt: return 0.5 / x.squareRoot()
    case .rsqrt: return -0.5 * pow(x, -1.5)
    case .reciprocal: return -1 / (x * x)
    case .negate: return -1
    case .abs: return x < 0 ? -1 : x > 0 ? 1 : 0
    case .erf: return 2 / Double.pi.squareRoot() * exp(-x * x)
    case .gelu: return 0.5 * erfc(-x / 2.0.squareRoot()) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    case .geluTanh:
        let c = (2 / Double.pi).squareRoot()
        let t = tanh(c * (x + 0.044715 * x * x * x))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)
    case .silu: return sigmoid(x) * (1 + x * (1 - sigmoid(x)))
    case .hardSwish: return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6
    case .hardSigmoid: return x > -3 && x < 3 ? 1 / 6 : 0
    case .sin: return cos(x)
    case .cos: return -sin(x)
    case .tan: return 1 / (cos(x) * cos(x))
    case .asin: return 1 / (1 - x * x).squareRoot()
    case .acos: return -1 / (1 - x * x).squareRoot()
    case .atan: return 1 / (1 + x * x)
    case .sinh: return cosh(x)
    case .cosh: return sinh(x)
    case .asinh: return 1 / (x * x + 1).squareRoot()
    case .acosh: return 1 / (x * x - 1).squareRoot()
    case .atanh: return 1 / (1 - x * x)
    case .floor, .ceil, .round, .sign: return 0
    case .softplus: return sigmoid(x)
    case .softsign: return 1 / ((1 + abs(x)) * (1 + abs(x)))
    case .mish:
        let t = tanh(log1p(exp(x)))
        return t + x * (1 - t * t) * sigmoid(x)
    case .swish:
        let s = sigmoid(p[0] * x)
        return s + x * p[0] * s * (1 - s)
    case .leakyRelu: return x < 0 ? p[0] : 1
    case .elu: return x > 0 ? p[1] : p[1] * p[0] * p[2] * exp(p[2] * x)
    case .thresholdedRelu: return x > p[0] ? 1 : 0
    case .shrink: return abs(x) > p[0] ? 1 : 0
    case .clip:
        let y = p[2] * x + p[3]
        return y > p[0] && y < p[1] ? p[2] : 0
    }
}

func referenceWeightGradient(
    _ op: Conv2DWeightGradient, _ dy: ReferenceTensor, _ x: ReferenceTensor, _ shape: [Int]
) -> ReferenceTensor {
    let (inputs, outputs) = (shape[3], shape[0] / op.groups)
    return ReferenceTensor(shape) { at in
        let channel = at[0] / outputs * inputs + at[3]
        var sum = 0.0
        for n in 0..<dy.shape[0] {
            for row in 0..<dy.shape[1] {
                for column in 0..<dy.shape[2] {
                    let y = row * op.stride.height - op.padding.top + at[1] * op.dilation.height
                    let place = column * op.stride.width - op.padding.left + at[2] * op.dilation.width
                    guard y >= 0, y < x.shape[1], place >= 0, place < x.shape[2] else { continue }
                    sum += dy[[n, row, column, at[0]]] * x[[n, y, place, channel]]
                }
            }
        }
        return sum
    }
}

/// Mean and variance by channel.
func referenceStatistics(_ x: ReferenceTensor) -> (ReferenceTensor, ReferenceTensor) {
    let c = x.shape.last!
    let rows = x.values.count / c
    let mean = (0..<c).map { i in rows.sum { x.values[$0 * c + i] } / Double(rows) }
    let variance = (0..<c).map { i in
        rows.sum { (x.values[$0 * c + i] - mean[i]) * (x.values[$0 * c + i] - mean[i]) } / Double(rows)
    }
    return (ReferenceTensor([c], mean), ReferenceTensor([c], variance))
}

/// dx, dgamma, dbeta. `o`: dy, x, gamma, beta, mean, variance.
func referenceBatchNormGradient(_ op: BatchNormGradient, _ o: [ReferenceTensor]) -> [ReferenceTensor] {
    let c = o[1].shape.last!
    let rows = o[1].values.count / c
    var results = [o[1], ReferenceTensor([c]) { _ in 0 }, ReferenceTensor([c]) { _ in 0 }]
    for i in 0..<c {
        let inverse = 1 / (o[5].values[i] + Double(op.norm.epsilon)).squareRoot()
        let normal = (0..<rows).map { (o[1].values[$0 * c + i] - o[4].values[i]) * inverse }
        let g = (0..<rows).map { row in
            let y = normal[row] * o[2].values[i] + o[3].values[i]
            return o[0].values[row * c + i] * (op.norm.activation.map { slope($0, y) } ?? 1)
        }
        let dbeta = g.reduce(0, +)
        let dgamma = rows.sum { g[$0] * normal[$0] }
        for row in 0..<rows {
            let through = op.usesBatchStatistics ? (dbeta + normal[row] * dgamma) / Double(rows) : 0
            results[0].values[row * c + i] = o[2].values[i] * inverse * (g[row] - through)
        }
        (results[1].values[i], results[2].values[i]) = (dgamma, dbeta)
    }
    return results
}

/// dx, dgamma, dbeta. `o`: dy, x, gamma.
func referenceLayerNormGradient(_ op: LayerNormGradient, _ o: [ReferenceTensor]) -> [ReferenceTensor] {
    let c = o[1].shape.last!
    var results = [o[1], ReferenceTensor([c]) { _ in 0 }, ReferenceTensor([c]) { _ in 0 }]
    for row in 0..<o[1].values.count / c {
        let x = Array(o[1].values[row * c..<(row + 1) * c])
        let dy = Array(o[0].values[row * c..<(row + 1) * c])
        let mean = x.reduce(0, +) / Double(c)
        let inverse = 1 / (c.sum { (x[$0] - mean) * (x[$0] - mean) } / Double(c) + Double(op.epsilon)).squareRoot()
        let normal = x.map { ($0 - mean) * inverse }
        let h = (0..<c).map { dy[$0] * o[2].values[$0] }
        let (first, second) = (h.reduce(0, +) / Double(c), c.sum { h[$0] * normal[$0] } / Double(c))
        for i in 0..<c {
            results[0].values[row * c + i] = inverse * (h[i] - first - normal[i] * second)
            results[1].values[i] += dy[i] * normal[i]
            results[2].values[i] += dy[i]
        }
    }
    return results
}

func referencePoolGradient(
    _ op: PoolGradient, _ dy: ReferenceTensor, _ x: ReferenceTensor?, _ shape: [Int]
) -> ReferenceTensor {
    var result = ReferenceTensor(shape) { _ in 0 }
    let pool = op.pool
    for n in 0..<dy.shape[0] {
        for row in 0..<dy.shape[1] {
            for column in 0..<dy.shape[2] {
                for c in 0..<dy.shape[3] {
                    var (taps, padded): ([Int], Int) = ([], 0)
                    for ky in 0..<pool.kernel.height {
                        for kx in 0..<pool.kernel.width {
                            let y = row * pool.stride.height - pool.padding.top + ky * pool.dilation.height
                            let place = column * pool.stride.width - pool.padding.left + kx * pool.dilation.width
                            guard y < shape[1] + pool.padding.bottom, place < shape[2] + pool.padding.right else {
                                continue
                            }
                            padded += 1
                            guard y >= 0, y < shape[1], place >= 0, place < shape[2] else { continue }
                            taps.append(((n * shape[1] + y) * shape[2] + place) * shape[3] + c)
                        }
                    }
                    let own = dy[[n, row, column, c]]
                    if let x, pool.kind == .maximum {
                        let best = taps.map { x.values[$0] }.max()
                        if let tap = taps.first(where: { x.values[$0] == best }) { result.values[tap] += own }
                    } else {
                        for tap in taps { result.values[tap] += own / Double(pool.countsPadding ? padded : taps.count) }
                    }
                }
            }
        }
    }
    return result
}

/// Gradients of q, k and v (or of the packed operand), and of the scores. `o`: dy, then the attention's operands.
func referenceAttentionGradient(_ op: Attention, _ o: [ReferenceTensor?]) -> [ReferenceTensor] {
    let flat = { (tensor: ReferenceTensor) in
        ReferenceTensor([tensor.shape.dropLast(2).reduce(1, *)] + tensor.shape.suffix(2), tensor.values)
    }
    let (dy, q) = (flat(o[0]!), flat(o[1]!))
    let (k, v) = (flat(o[2] ?? o[1]!), flat(o[3] ?? o[1]!))
    let bias = o.count > 4 ? o[4] : nil
    let place = { (part: Int, head: Int) -> Int in
        switch op.packing {
        case .separate: head * (part == 2 ? op.valueDim : op.keyDim)
        case .perHead: head * (2 * op.keyDim + op.valueDim) + part * op.keyDim
        case .stacked: part * op.heads * op.keyDim + head * (part == 2 ? op.valueDim : op.keyDim)
        }
    }
    let zero = { (tensor: ReferenceTensor) in ReferenceTensor(tensor.shape) { _ in 0 } }
    var (dq, dk, dv) = (zero(q), zero(k), zero(v))
    let isSeparate = op.packing == .separate
    let (queries, keys) = (q.shape[1], k.shape[1])
    var scores = ReferenceTensor([q.shape[0], op.heads, queries, keys]) { _ in 0 }
    for b in 0..<q.shape[0] {
        for h in 0..<op.heads {
            for i in 0..<queries {
                var weights = (0..<keys).map { j -> Double in
                    let product = op.keyDim.sum { q[[b, i, place(0, h) + $0]] * k[[b, j, place(1, h) + $0]] }
                    guard let bias else { return product * Double(op.scale) }
                    let window = bias.shape.count == 4 ? [b % bias.shape[0]] : []
                    return product * Double(op.scale) + bias[window + [h, i, j]]
                }
                let largest = weights.max()!
                weights = weights.map { exp($0 - largest) }
                let total = weights.reduce(0, +)
                weights = weights.map { $0 / total }
                let dp = (0..<keys).map { j in
                    op.valueDim.sum { dy[[b, i, h * op.valueDim + $0]] * v[[b, j, place(2, h) + $0]] }
                }
                let mean = keys.sum { weights[$0] * dp[$0] }
                for j in 0..<keys {
                    let ds = weights[j] * (dp[j] - mean)
                    scores.values[((b * op.heads + h) * queries + i) * keys + j] = ds
                    for d in 0..<op.keyDim {
                        let (qAt, kAt) = (
                            (b * queries + i) * q.shape[2] + place(0, h) + d,
                            (b * keys + j) * k.shape[2] + place(1, h) + d
                        )
                        dq.values[qAt] += ds * k.values[kAt] * Double(op.scale)
                        if isSeparate {
                            dk.values[kAt] += ds * q.values[qAt] * Double(op.scale)
                        } else {
                            dq.values[kAt] += ds * q.values[qAt] * Double(op.scale)
                        }
                    }
                    for d in 0..<op.valueDim {
                        let vAt = (b * keys + j) * v.shape[2] + place(2, h) + d
                        let own = weights[j] * dy[[b, i, h * op.valueDim + d]]
                        if isSeparate { dv.values[vAt] += own } else { dq.values[vAt] += own }
                    }
                }
            }
        }
    }
    let shaped = { (tensor: ReferenceTensor, like: ReferenceTensor) in ReferenceTensor(like.shape, tensor.values) }
    return isSeparate
        ? [shaped(dq, o[1]!), shaped(dk, o[2]!), shaped(dv, o[3]!), scores] : [shaped(dq, o[1]!), scores]
}
