import AlulaGraph
import TestSupport
import Testing

/// A small graph whose inputs are all differentiated, with numbers for them.
struct GradientCase: CustomTestStringConvertible, Sendable {
    let name: String
    let graph: Graph
    let inputs: [[Float]]
    /// Which inputs are parameters.
    let parameters: [Int]
    var testDescription: String { name }

    /// `build` adds operators to inputs of these shapes and gives results that the loss weighs.
    init(
        _ name: String, _ shapes: [Shape], in range: ClosedRange<Float> = -2...2, parameters: [Int]? = nil,
        _ build: (inout Graph, [ValueID]) throws -> [ValueID]
    ) {
        var random = RandomNumbers(seed: UInt64(truncatingIfNeeded: name.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
        var graph = Graph()
        let ids = shapes.enumerated().map { graph.addInput("x\($0)", TensorType(.f32, $1)) }
        graph.setOutputs(try! build(&graph, ids))
        self.name = name
        self.graph = graph
        self.parameters = parameters ?? Array(shapes.indices)
        inputs = shapes.map { random.floats($0.elementCount, in: range) }
    }

    init(
        _ name: String, _ op: Operator, _ shapes: [Shape], in range: ClosedRange<Float> = -2...2,
        parameters: [Int]? = nil
    ) {
        self.init(name, shapes, in: range, parameters: parameters) { graph, ids in [try graph.add(op, ids)] }
    }

    static let all =
        layers + randomConvolutions + attention + unary + binary + normalization + pooling + reductions + movement
        + combinations
}

extension Graph {
    fileprivate mutating func indices(_ values: [Int32], _ shape: Shape? = nil) -> ValueID {
        addConstant(
            "indices\(self.values.count)", TensorType(.i32, shape ?? [values.count]), TensorData(elements: values))
    }
}

extension GradientCase {
    static let layers: [GradientCase] = [
        GradientCase("conv2d 1x1", .conv2D(Conv2D()), [[2, 3, 3, 4], [5, 1, 1, 4], [5]]),
        GradientCase(
            "conv2d 3x3 stride 2", .conv2D(Conv2D(stride: Pair(2), padding: Padding(1))),
            [[1, 5, 6, 3], [4, 3, 3, 3], [4]]),
        GradientCase(
            "conv2d with a rest",
            .conv2D(Conv2D(stride: Pair(3, 2), padding: Padding(top: 0, left: 1, bottom: 0, right: 2))),
            [[1, 7, 6, 2], [3, 2, 3, 2]]),
        GradientCase(
            "conv2d groups", .conv2D(Conv2D(padding: Padding(1), dilation: Pair(2, 1), groups: 2)),
            [[1, 5, 4, 4], [6, 3, 3, 2], [6]]),
        GradientCase(
            "conv2d of 18 channels", .conv2D(Conv2D(padding: Padding(1))), [[1, 3, 3, 18], [17, 1, 3, 18], [17]]),
        GradientCase(
            "depthwise", .conv2D(Conv2D(padding: Padding(1), groups: 5)), [[2, 4, 5, 5], [5, 3, 3, 1], [5]]),
        GradientCase(
            "depthwise stride 2", .conv2D(Conv2D(stride: Pair(2), padding: Padding(2), groups: 3)),
            [[1, 6, 5, 3], [3, 5, 5, 1]]),
        GradientCase(
            "depthwise 2x2", .conv2D(Conv2D(stride: Pair(2), groups: 17)), [[1, 4, 4, 17], [17, 2, 2, 1]]),
        GradientCase(
            "conv2d stride beyond its kernel", .conv2D(Conv2D(stride: Pair(3))), [[1, 7, 6, 3], [4, 2, 1, 3]]),
        GradientCase(
            "conv_transpose2d",
            .convTranspose2D(ConvTranspose2D(stride: Pair(2), padding: Padding(1), outputPadding: Pair(1), groups: 2)),
            [[1, 3, 4, 4], [4, 3, 3, 3], [6]]),
        GradientCase(
            "conv_transpose2d spread", .convTranspose2D(ConvTranspose2D(stride: Pair(2), groups: 6)),
            [[2, 2, 3, 6], [6, 2, 2, 1], [6]]),
        GradientCase("linear", .linear(Linear()), [[2, 3, 7], [5, 7], [5]]),
        GradientCase("linear of a vector", .linear(Linear()), [[9], [4, 9]]),
        GradientCase("matmul", .matmul(MatMul(scale: 0.5)), [[2, 3, 4], [2, 4, 5]]),
        GradientCase("matmul broadcast", .matmul(MatMul()), [[2, 3, 3, 4], [3, 4, 2]]),
        GradientCase("matmul transposed", .matmul(MatMul(transposeB: true)), [[1, 3, 4], [2, 5, 4]]),
    ]

    /// Convolutions of random shapes and attributes.
    static let randomConvolutions: [GradientCase] = (0..<12).map { seed in
        var random = RandomNumbers(seed: UInt64(seed) + 100)
        let pick = { (range: ClosedRange<Int>) in Int.random(in: range, using: &random) }
        let groups = [1, 1, 2, 3][pick(0...3)]
        let depthwise = seed % 4 == 3
        let inputs = depthwise ? groups * 2 : groups * pick(1...3)
        let kernel = Pair(pick(1...3), pick(1...3))
        let op = Conv2D(
            stride: Pair(pick(1...3), pick(1...3)),
            padding: Padding(top: pick(0...2), left: pick(0...2), bottom: pick(0...2), right: pick(0...2)),
            dilation: Pair(pick(1...2), pick(1...2)), groups: depthwise ? inputs : groups)
        let outputs = depthwise ? inputs : groups * pick(1...3)
        return GradientCase(
            "conv2d number \(seed)", .conv2D(op),
            [
                [pick(1...2), pick(5...7), pick(5...7), inputs],
                [outputs, kernel.height, kernel.width, depthwise ? 1 : inputs / groups], [outputs],
            ])
    }

    static let attention: [GradientCase] = [
        GradientCase(
            "attention separate",
            .attention(Attention(heads: 2, keyDim: 3, valueDim: 2, scale: 0.6, packing: .separate)),
            [[2, 3, 6], [2, 4, 6], [2, 4, 4], [2, 3, 4]]),
        GradientCase("attention per head", [[1, 4, 14], [1, 4, 4]]) { graph, ids in
            let op = Attention(heads: 2, keyDim: 2, valueDim: 3, scale: 0.7, packing: .perHead)
            return [try graph.add(.attention(op), [ids[0], .none, .none, ids[1]])]
        },
        GradientCase("attention stacked in windows", [[4, 3, 12], [2, 2, 3, 3]]) { graph, ids in
            let op = Attention(heads: 2, keyDim: 2, valueDim: 2, scale: 0.7, packing: .stacked)
            return [try graph.add(.attention(op), [ids[0], .none, .none, ids[1]])]
        },
        GradientCase("attention without bias", [[1, 5, 9]]) { graph, ids in
            let op = Attention(heads: 1, keyDim: 3, valueDim: 3, scale: 1, packing: .stacked)
            return [try graph.add(.attention(op), [ids[0]])]
        },
    ]

    /// Every function where it is smooth.
    static let unary: [GradientCase] = UnaryFunction.allCases.map { function in
        let range: ClosedRange<Float> =
            switch function {
            case .log, .sqrt, .rsqrt, .reciprocal: 0.3...2
            case .asin, .acos, .atanh: -0.8...0.8
            case .acosh: 1.2...3
            case .tan: -1...1
            default: -4...4
            }
        return GradientCase("unary \(function.rawValue)", .unary(Unary(function)), [[23]], in: range)
    }

    static let binary: [GradientCase] = [
        GradientCase("add channels", .binary(Binary(.add)), [[2, 3, 4], [4]]),
        GradientCase("sub repeated rows", .binary(Binary(.sub)), [[2, 3, 1], [1, 3, 4]]),
        GradientCase("mul channels", .binary(Binary(.mul)), [[2, 3, 4], [4]]),
        GradientCase("mul by one number", .binary(Binary(.mul)), [[2, 3, 4], [1]]),
        GradientCase("mul samples", .binary(Binary(.mul)), [[2, 3, 4], [2, 1, 1]]),
        GradientCase("div", .binary(Binary(.div)), [[2, 3], [3]], in: 0.5...2),
        GradientCase("max", .binary(Binary(.max)), [[2, 5], [5]]),
        GradientCase("min", .binary(Binary(.min)), [[2, 5], [2, 5]]),
        GradientCase("pow", .binary(Binary(.pow)), [[2, 5], [5]], in: 0.3...2),
        GradientCase("mod", .binary(Binary(.mod)), [[7], [7]], in: 0.7...3),
        GradientCase("fmod", .binary(Binary(.fmod)), [[7], [7]], in: 0.7...3),
        GradientCase("prelu", .binary(Binary(.prelu)), [[2, 3, 4], [4]]),
        GradientCase("select", [[2, 5], [2, 5], [5]]) { graph, ids in
            let zero = graph.addConstant("zero", TensorType(.f32, [1]), TensorData(elements: [Float(0)]))
            let condition = try graph.add(.binary(Binary(.less)), [ids[0], zero])
            return [try graph.add(.select(Select()), [condition, ids[1], ids[2]])]
        },
    ]

    private static func batchNorm(_ name: String, _ shape: Shape, _ activation: Activation, isFrozen: Bool = false)
        -> GradientCase
    {
        let channels = Shape([shape.last])
        return GradientCase(
            "batch_norm " + name, [shape, channels, channels] + (isFrozen ? [channels, channels] : []),
            in: isFrozen ? 0.5...2 : -2...2, parameters: [0, 1, 2]
        ) { graph, ids in
            let statistics =
                isFrozen
                ? Array(ids[3...]) : try graph.addAll(.batchStatistics(BatchStatistics()), [ids[0]])
            let op = BatchNorm(epsilon: 1e-3, activation: activation)
            return [try graph.add(.batchNorm(op), [ids[0], ids[1], ids[2]] + statistics)]
        }
    }

    static let normalization: [GradientCase] = [
        batchNorm("of a batch", [2, 3, 2, 5], nil),
        batchNorm("with gelu", [3, 2, 2, 4], .gelu),
        batchNorm("frozen", [2, 3, 5], nil, isFrozen: true),
        batchNorm("frozen with silu", [2, 3, 5], .silu, isFrozen: true),
        GradientCase("batch_statistics", [[2, 3, 4]]) { graph, ids in
            try graph.addAll(.batchStatistics(BatchStatistics()), ids)
        },
        GradientCase("layer_norm", .layerNorm(LayerNorm(epsilon: 1e-3)), [[2, 3, 11], [11], [11]]),
        GradientCase("softmax", .softmax(Softmax(axis: 1)), [[2, 4, 3]]),
        GradientCase("softmax of rows", .softmax(Softmax(axis: 2)), [[2, 2, 5]]),
        GradientCase("channel_sum", .channelSum(ChannelSum()), [[3, 2, 4], [3, 2, 4]]),
    ]

    static let pooling: [GradientCase] = [
        GradientCase(
            "avg_pool", .pool(Pool(.average, kernel: Pair(3), stride: Pair(1), padding: Padding(1))), [[2, 4, 5, 3]]),
        GradientCase(
            "avg_pool counting padding",
            .pool(Pool(.average, kernel: Pair(3, 2), stride: Pair(2), padding: Padding(1), countsPadding: true)),
            [[1, 5, 6, 2]]),
        GradientCase(
            "avg_pool rounding up", .pool(Pool(.average, kernel: Pair(2), stride: Pair(2), roundsUp: true)),
            [[1, 5, 5, 2]]),
        GradientCase(
            "max_pool", .pool(Pool(.maximum, kernel: Pair(3), stride: Pair(2), padding: Padding(1))), [[2, 5, 6, 3]]),
        GradientCase(
            "max_pool dilated", .pool(Pool(.maximum, kernel: Pair(2), stride: Pair(1), dilation: Pair(2))),
            [[1, 4, 5, 2]]),
        GradientCase("pool_mixer", .poolMixer(PoolMixer(size: 3)), [[1, 4, 3, 5], [5]]),
    ]

    static let reductions: [GradientCase] =
        Reduce.Kind.allCases.flatMap { kind in
            [
                GradientCase("\(kind.rawValue) of an axis", .reduce(Reduce(kind, axes: [1])), [[2, 4, 3]]),
                GradientCase(
                    "\(kind.rawValue) of two axes", .reduce(Reduce(kind, axes: [0, 2], keepsAxes: true)), [[2, 3, 2]]),
            ]
        }

    static let movement: [GradientCase] = [
        GradientCase("reshape", .reshape(Reshape([3, 8])), [[2, 3, 4]]),
        GradientCase("transpose", .transpose(Transpose([2, 0, 1])), [[2, 3, 4]]),
        GradientCase("slice", .slice(Slice(axis: 1, begin: 1, end: 4)), [[2, 5, 3]]),
        GradientCase("slice with steps", .slice(Slice(axis: 1, begin: 1, end: 6, step: 2)), [[2, 7, 3]]),
        GradientCase("concat", .concat(Concat(axis: 1)), [[2, 3, 2], [2, 1, 2], [2, 2, 2]]),
        GradientCase("split", [[2, 6]]) { graph, ids in
            let parts = try graph.addAll(.split(Split(axis: 1, sizes: [1, 3, 2])), ids)
            return [parts[0], parts[2]]
        },
        GradientCase("gather", [[2, 4, 3]]) { graph, ids in
            [try graph.add(.gather(Gather(axis: 1)), [ids[0], graph.indices([3, 0, 3, 3, 1])])]
        },
        GradientCase("roll", .roll(Roll(axis: 1, shift: -2)), [[2, 5]]),
        GradientCase("pad", .pad(Pad(before: [0, 2], after: [1, 1], value: 3)), [[2, 4]]),
        GradientCase("expand", .expand(Expand([2, 3, 4])), [[3, 1]]),
        GradientCase("resample", [[2, 4, 3]]) { graph, ids in
            let table = ResampleTable(.linear, from: 4, to: 7, coordinates: .halfPixel)
            let shape: Shape = [7, table.taps]
            let weights = graph.addConstant("weights", TensorType(.f32, shape), TensorData(elements: table.weights))
            return [
                try graph.add(.resample(Resample(axis: 1)), [ids[0], graph.indices(table.indices, shape), weights])
            ]
        },
    ]

    static let combinations: [GradientCase] = [
        // A value read by several nodes, and a chain that the planner lays out in place.
        GradientCase("several readers", [[3, 4], [4, 4]]) { graph, ids in
            let a = try graph.add(.linear(Linear()), [ids[0], ids[1]])
            let b = try graph.add(.unary(Unary(.tanh)), [a])
            let c = try graph.add(.linear(Linear()), [b, ids[1]])
            let d = try graph.add(.binary(Binary(.mul)), [c, a])
            return [try graph.add(.binary(Binary(.add)), [d, b])]
        },
        GradientCase("residual branches", [[2, 3, 3, 4], [4, 1, 1, 4], [4], [4], [4, 3, 3, 1]]) { graph, ids in
            let a = try graph.add(.conv2D(Conv2D()), [ids[0], ids[1]])
            let statistics = try graph.addAll(.batchStatistics(BatchStatistics()), [a])
            let b = try graph.add(.batchNorm(BatchNorm(activation: .gelu)), [a, ids[2], ids[3]] + statistics)
            let c = try graph.add(.binary(Binary(.add)), [ids[0], b])
            let d = try graph.add(.conv2D(Conv2D(padding: Padding(1), groups: 4)), [c, ids[4]])
            return [try graph.add(.binary(Binary(.add)), [c, d])]
        },
    ]
}
