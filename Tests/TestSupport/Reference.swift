import AlulaGraph
import Foundation

/// A dense tensor of f64 numbers.
package struct ReferenceTensor {
    package var shape: [Int]
    package var values: [Double]

    package init(_ shape: [Int], _ values: [Double]) { (self.shape, self.values) = (shape, values) }

    package init(_ shape: [Int], _ value: (_ index: [Int]) -> Double) {
        self.shape = shape
        values = []
        var index = [Int](repeating: 0, count: shape.count)
        for _ in 0..<shape.reduce(1, *) {
            values.append(value(index))
            for axis in shape.indices.reversed() {
                index[axis] += 1
                if index[axis] < shape[axis] { break }
                index[axis] = 0
            }
        }
    }

    /// The element at an index; indices of missing leading axes are dropped, and axes of size 1 repeat.
    package subscript(index: [Int]) -> Double {
        var position = 0
        for (axis, size) in shape.enumerated() {
            let place = index[index.count - shape.count + axis]
            position = position * size + (size == 1 ? 0 : place)
        }
        return values[position]
    }

    func map(_ body: (Double) -> Double) -> ReferenceTensor { ReferenceTensor(shape, values.map(body)) }

    /// The axes grouped before, at and after some neighbouring ones.
    func grouped(_ axes: Range<Int>) -> (outer: Int, n: Int, inner: Int) {
        (shape[..<axes.lowerBound].reduce(1, *), shape[axes].reduce(1, *), shape[axes.upperBound...].reduce(1, *))
    }
}

/// Runs float graphs in f64, one element at a time, straight from the operators' definitions. It shares no code with the runtime.
package struct Reference {
    private var values: [ReferenceTensor?]
    private let graph: Graph

    /// Every value of the graph for these inputs.
    package init(_ graph: Graph, inputs: [[Float]]) {
        self.init(graph, inputs: inputs.map { $0.map { Double($0) } })
    }

    package init(_ graph: Graph, inputs: [[Double]]) {
        self.graph = graph
        values = graph.values.map { value in
            guard let data = value.constant?.data else { return nil }
            return ReferenceTensor(value.type.shape.dimensions, Reference.numbers(data, value.type.dataType))
        }
        for (id, input) in zip(graph.inputs, inputs) {
            self[id] = ReferenceTensor(graph.shape(id).dimensions, input)
        }
        for node in graph.nodes { run(node) }
    }

    package subscript(id: ValueID) -> ReferenceTensor {
        get { values[Int(id.index)]! }
        set { values[Int(id.index)] = newValue }
    }

    package var outputs: [ReferenceTensor] { graph.outputs.map { self[$0] } }

    private static func numbers(_ data: TensorData, _ type: DataType) -> [Double] {
        switch type {
        case .f32: data.array(of: Float.self).map { Double($0) }
        case .i32: data.array(of: Int32.self).map { Double($0) }
        case .u8: data.array(of: UInt8.self).map { Double($0) }
        case .s8: data.array(of: Int8.self).map { Double($0) }
        default: fatalError("the reference does not read \(type.name)")
        }
    }

    private mutating func run(_ node: Node) {
        let x = self[node.inputs[0]]
        let operands = node.inputs.map { $0.isNone ? nil : self[$0] }
        let shape = graph.shape(node.outputs[0]).dimensions
        let operand = { (index: Int) in index < operands.count ? operands[index] : nil }
        let result: ReferenceTensor
        switch node.op {
        case .conv2D(let op):
            result = finish(referenceConvolution(op, x, operands[1]!, operand(2), shape), op.activation, operand(5))
        case .linear(let op):
            let weight = operands[1]!
            result = finish(
                ReferenceTensor(shape) { at in
                    weight.shape[1].sum { x[at.dropLast() + [$0]] * weight[[at.last!, $0]] }
                        + (operand(2)?[[at.last!]] ?? 0)
                }, op.activation, operand(5))
        case .convTranspose2D(let op):
            result = finish(referenceTransposedConvolution(op, x, operands[1]!, operand(2), shape), op.activation, nil)
        case .matmul(let op):
            result = ReferenceTensor(shape) { at in
                let (lead, row, column) = (Array(at.dropLast(2)), at[at.count - 2], at[at.count - 1])
                return x.shape.last!.sum { k in
                    x[lead + [row, k]] * operands[1]![lead + (op.transposeB ? [column, k] : [k, column])]
                } * Double(op.scale)
            }
        case .attention(let op): result = referenceAttention(op, x, operand(1), operand(2), operand(3), shape)
        case .binary(let op):
            let b = operands[1]!
            result = finish(ReferenceTensor(shape) { combine(op.kind, x[$0], b[$0]) }, op.activation, nil)
        case .unary(let op): result = x.map { apply(op.function, $0, op.parameters.map { Double($0) }) }
        case .select:
            result = ReferenceTensor(shape) { x[$0] != 0 ? operands[1]![$0] : operands[2]![$0] }
        case .batchNorm(let op):
            result = ReferenceTensor(shape) { at in
                let c = [at.last!]
                let deviation = (operands[4]![c] + Double(op.epsilon)).squareRoot()
                let y = (x[at] - operands[3]![c]) / deviation * operands[1]![c] + operands[2]![c]
                return op.activation.map { apply($0, y) } ?? y
            }
        case .layerNorm(let op): result = referenceLayerNorm(op, x, operands[1]!, operands[2]!)
        case .softmax(let op): result = referenceSoftmax(x, op.axis)
        case .pool(let op): result = referencePool(op, x, shape)
        case .poolMixer(let op):
            let average = referencePool(
                Pool(.average, kernel: Pair(op.size), stride: Pair(1), padding: Padding(op.size / 2)), x, shape)
            result = ReferenceTensor(shape) { x[$0] + operands[1]![[$0.last!]] * (average[$0] - x[$0]) }
        case .reduce(let op): result = referenceReduction(op, x, shape)
        case .topK(let op):
            let (values, indices) = referenceTopK(op, x, shape)
            self[node.outputs[0]] = values
            self[node.outputs[1]] = indices
            return
        case .resample(let op):
            let (indices, weights) = (operands[1]!, operands[2]!)
            result = ReferenceTensor(shape) { at in
                weights.shape[1].sum { tap in
                    var index = at
                    index[op.axis] = Int(indices[[at[op.axis], tap]])
                    return weights[[at[op.axis], tap]] * x[index]
                }
            }
        case .conv2DWeightGradient(let op): result = referenceWeightGradient(op, x, operands[1]!, shape)
        case .unaryGradient(let op):
            let parameters = op.unary.parameters.map { Double($0) }
            result = ReferenceTensor(shape) { x[$0] * slope(op.unary.function, operands[1]![$0], parameters) }
        case .channelSum:
            let c = shape[0]
            let products = operand(1).map { b in zip(x.values, b.values).map { $0 * $1 } } ?? x.values
            result = ReferenceTensor(shape) { at in
                (products.count / c).sum { products[$0 * c + at[0]] }
            }
        case .batchStatistics:
            (self[node.outputs[0]], self[node.outputs[1]]) = referenceStatistics(x)
            return
        case .batchNormGradient(let op):
            return set(node, referenceBatchNormGradient(op, operands.compactMap { $0 }))
        case .layerNormGradient(let op):
            return set(node, referenceLayerNormGradient(op, operands.compactMap { $0 }))
        case .poolGradient(let op): result = referencePoolGradient(op, x, operand(1), shape)
        case .attentionGradient(let op):
            return set(node, referenceAttentionGradient(op.attention, (0..<5).map(operand)))
        case .split(let op):
            var begin = 0
            for (id, size) in zip(node.outputs, op.sizes) {
                self[id] = referencePart(x, op.axis, from: begin, step: 1, graph.shape(id).dimensions)
                begin += size
            }
            return
        default: result = referenceMovement(node.op, operands.compactMap { $0 }, shape)
        }
        self[node.outputs[0]] = result
    }

    private mutating func set(_ node: Node, _ results: [ReferenceTensor]) {
        for (id, result) in zip(node.outputs, results) { self[id] = result }
    }

    /// Activation, then residual.
    private func finish(_ x: ReferenceTensor, _ activation: Activation, _ residual: ReferenceTensor?) -> ReferenceTensor
    {
        ReferenceTensor(x.shape) { at in (activation.map { apply($0, x[at]) } ?? x[at]) + (residual?[at] ?? 0) }
    }
}

extension Int {
    func sum(_ body: (Int) -> Double) -> Double { (0..<self).reduce(0) { $0 + body($1) } }
}

private func combine(_ kind: Binary.Kind, _ a: Double, _ b: Double) -> Double {
    switch kind {
    case .add: a + b
    case .sub: a - b
    case .mul: a * b
    case .div: a / b
    case .max: Swift.max(a, b)
    case .min: Swift.min(a, b)
    case .pow: Foundation.pow(a, b)
    case .equal: a == b ? 1 : 0
    case .less: a < b ? 1 : 0
    case .lessEqual: a <= b ? 1 : 0
    case .mod: a - b * (a / b).rounded(.down)
    case .fmod: a.truncatingRemainder(dividingBy: b)
    case .prelu: a < 0 ? a * b : a
    }
}

/// The functions' textbook definitions; `p` holds their parameters.
package func apply(_ function: UnaryFunction, _ x: Double, _ p: [Double] = []) -> Double {
    switch function {
    case .relu: max(x, 0)
    case .relu6: min(max(x, 0), 6)
    case .sigmoid: 1 / (1 + exp(-x))
    case .tanh: tanh(x)
    case .exp: exp(x)
    case .log: log(x)
    case .sqrt: x.squareRoot()
    case .rsqrt: 1 / x.squareRoot()
    case .reciprocal: 1 / x
    case .negate: -x
    case .abs: abs(x)
    case .erf: erf(x)
    case .gelu: x * 0.5 * erfc(-x / 2.0.squareRoot())
    case .geluTanh: x / 2 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .silu: x / (1 + exp(-x))
    case .hardSwish: x * min(max(x + 3, 0), 6) / 6
    case .hardSigmoid: min(max(x / 6 + 0.5, 0), 1)
    case .sin: sin(x)
    case .cos: cos(x)
    case .tan: tan(x)
    case .asin: asin(x)
    case .acos: acos(x)
    case .atan: atan(x)
    case .sinh: sinh(x)
    case .cosh: cosh(x)
    case .asinh: asinh(x)
    case .acosh: acosh(x)
    case .atanh: atanh(x)
    case .floor: floor(x)
    case .ceil: ceil(x)
    case .round: nearbyint(x)
    case .sign: x == 0 ? 0 : x / abs(x)
    case .softplus: log1p(exp(x))
    case .softsign: x / (1 + abs(x))
    case .mish: x * tanh(log1p(exp(x)))
    case .swish: x / (1 + exp(-p[0] * x))
    case .leakyRelu: max(x, 0) + p[0] * min(x, 0)
    case .elu: p[1] * (max(x, 0) + min(0, p[0] * expm1(p[2] * x)))
    case .thresholdedRelu: x > p[0] ? x : 0
    case .shrink: abs(x) <= p[0] ? 0 : x > 0 ? x - p[1] : x + p[1]
    case .clip: max(p[0], min(p[1], p[2] * x + p[3]))
    }
}
