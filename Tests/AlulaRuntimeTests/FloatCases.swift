import AlulaGraph
import TestSupport
import Testing

/// A small float graph that exercises one operator, with random constants.
struct FloatCase: CustomTestStringConvertible, Sendable {
    let name: String
    let graph: Graph
    let inputs: [[Float]]
    var testDescription: String { name }

    /// `build` adds the operator to inputs of these shapes and returns the outputs.
    init(
        _ name: String, _ shapes: [Shape], range: ClosedRange<Float> = -2...2,
        _ build: (inout CaseBuilder, [ValueID]) throws -> [ValueID]
    ) {
        var builder = CaseBuilder(seed: UInt64(truncatingIfNeeded: name.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
        let ids = shapes.enumerated().map { builder.graph.addInput("x\($0)", TensorType(.f32, $1)) }
        let outputs = try! build(&builder, ids)
        builder.graph.setOutputs(outputs)
        self.name = name
        graph = builder.graph
        inputs = shapes.map { builder.random.floats($0.elementCount, in: range) }
    }

    init(_ name: String, _ op: Operator, _ shapes: [Shape], range: ClosedRange<Float> = -2...2) {
        self.init(name, shapes, range: range) { builder, ids in [try builder.graph.add(op, ids)] }
    }
}

struct CaseBuilder {
    var graph = Graph()
    var random: RandomNumbers

    init(seed: UInt64) { random = RandomNumbers(seed: seed) }

    mutating func constant(_ shape: Shape, in range: ClosedRange<Float> = -1...1) -> ValueID {
        graph.addConstant(
            "c\(graph.values.count)", TensorType(.f32, shape),
            TensorData(elements: random.floats(shape.elementCount, in: range)))
    }
}

extension FloatCase {
    static let all = weighted + attention + elementwise + normalization + pooling + reduction + movement + combinations

    private static func conv(
        _ name: String, _ x: Shape, _ weight: Shape, _ op: Conv2D, bias: Bool = true, residual: Bool = false
    ) -> FloatCase {
        FloatCase("conv2d " + name, [x]) { builder, ids in
            let weightID = builder.constant(weight)
            var inputs = [ids[0], weightID, bias ? builder.constant([weight[0]]) : .none]
            if residual {
                let result = try Operator.conv2D(op).resultShapes([TensorType(.f32, x), TensorType(.f32, weight)])[0]
                inputs += [.none, .none, builder.constant(result)]
            }
            return [try builder.graph.add(.conv2D(op), inputs)]
        }
    }

    /// A convolution of pictures in a frame of one colour.
    private static let framed: Conv2D = {
        var op = Conv2D(stride: Pair(2), padding: Padding(top: 1, left: 2, bottom: 0, right: 1), activation: .relu)
        op.paddingValues = [1.5, -0.25, 3]
        return op
    }()

    static let weighted = [
        conv("with padding values", [2, 7, 8, 3], [18, 3, 3, 3], framed),
        conv("1x1", [1, 5, 7, 8], [24, 1, 1, 8], Conv2D()),
        conv(
            "3x3 stride 2 gelu", [2, 9, 8, 3], [17, 3, 3, 3],
            Conv2D(stride: Pair(2), padding: Padding(1), activation: .gelu)),
        conv("without bias", [1, 4, 4, 5], [3, 3, 3, 5], Conv2D(padding: Padding(1)), bias: false),
        conv(
            "dilated, uneven padding", [1, 9, 10, 4], [6, 3, 2, 4],
            Conv2D(stride: Pair(1, 2), padding: Padding(top: 2, left: 0, bottom: 1, right: 3), dilation: Pair(2, 1))),
        conv("groups", [1, 6, 6, 12], [15, 3, 3, 4], Conv2D(padding: Padding(1), groups: 3, activation: .relu)),
        conv("groups of 16", [1, 3, 3, 8], [32, 1, 1, 4], Conv2D(groups: 2)),
        conv("depthwise", [2, 7, 6, 19], [19, 3, 3, 1], Conv2D(stride: Pair(2), padding: Padding(1), groups: 19)),
        conv(
            "depthwise 5x5 residual", [1, 7, 6, 16], [16, 5, 5, 1],
            Conv2D(padding: Padding(2), groups: 16, activation: .silu), residual: true),
        conv("depthwise times two", [1, 5, 5, 3], [6, 3, 3, 1], Conv2D(padding: Padding(1), groups: 3)),
        conv(
            "1-D", [1, 1, 30, 4], [8, 1, 7, 4],
            Conv2D(stride: Pair(1, 2), padding: Padding(top: 0, left: 3, bottom: 0, right: 3))),
        conv("residual", [1, 6, 5, 8], [20, 1, 1, 8], Conv2D(activation: .hardSwish), residual: true),
        FloatCase("linear", [[2, 13, 20]]) { builder, ids in
            [
                try builder.graph.add(
                    .linear(Linear(activation: .tanh)), [ids[0], builder.constant([33, 20]), builder.constant([33])])
            ]
        },
        FloatCase("linear of a vector", [[48]]) { builder, ids in
            [try builder.graph.add(.linear(Linear()), [ids[0], builder.constant([10, 48])])]
        },
        FloatCase("linear residual in place", [[3, 16]]) { builder, ids in
            let a = try builder.graph.add(.linear(Linear()), [ids[0], builder.constant([16, 16])])
            let b = try builder.graph.add(.unary(Unary(.sigmoid)), [a])
            return [try builder.graph.add(.linear(Linear()), [b, builder.constant([16, 16]), .none, .none, .none, a])]
        },
        FloatCase("conv_transpose2d", [[2, 4, 5, 6]]) { builder, ids in
            let op = ConvTranspose2D(stride: Pair(2), padding: Padding(1), outputPadding: Pair(1), groups: 2)
            return [
                try builder.graph.add(
                    .convTranspose2D(op), [ids[0], builder.constant([6, 3, 3, 4]), builder.constant([8])])
            ]
        },
    ]

    private static func attention(_ name: String, _ x: Shape, _ packing: Attention.Packing, bias: Shape? = nil)
        -> FloatCase
    {
        FloatCase("attention " + name, [x]) { builder, ids in
            let op = Attention(heads: 3, keyDim: 4, valueDim: 6, scale: 0.5, packing: packing)
            return [
                try builder.graph.add(
                    .attention(op), [ids[0], .none, .none] + (bias.map { [builder.constant($0)] } ?? []))
            ]
        }
    }

    static let attention = [
        attention("per head", [2, 7, 42], .perHead, bias: [3, 7, 7]),
        attention("stacked", [2, 7, 42], .stacked, bias: [1, 7, 7]),
        attention("windows", [6, 5, 42], .stacked, bias: [3, 3, 5, 5]),
        FloatCase(
            "attention separate",
            .attention(Attention(heads: 2, keyDim: 4, valueDim: 3, scale: 0.3, packing: .separate)),
            [[2, 5, 8], [2, 9, 8], [2, 9, 6]]),
        FloatCase("matmul", .matmul(MatMul(scale: 0.25)), [[3, 5, 6], [3, 6, 7]]),
        FloatCase("matmul shared b", .matmul(MatMul(transposeB: true)), [[2, 3, 5, 6], [7, 6]]),
        FloatCase("matmul broadcast", .matmul(MatMul()), [[2, 1, 5, 6], [1, 3, 6, 4]]),
        FloatCase("matmul broadcast a", .matmul(MatMul(transposeB: true)), [[5, 6], [4, 7, 6]]),
    ]

    private static func select(_ name: String, _ condition: Shape, _ a: Shape, _ b: Shape) -> FloatCase {
        FloatCase("select " + name, [condition, a, b]) { builder, ids in
            let zero = builder.graph.addConstant("zero", TensorType(.f32, []), TensorData(elements: [0 as Float]))
            let positive = try builder.graph.add(.binary(Binary(.less)), [zero, ids[0]])
            return [try builder.graph.add(.select(Select()), [positive, ids[1], ids[2]])]
        }
    }

    static let elementwise =
        UnaryFunction.allCases.map { function in
            let range: ClosedRange<Float> =
                switch function {
                case .log, .sqrt, .rsqrt, .reciprocal: 0.1...3
                case .asin, .acos, .atanh: -0.95...0.95
                case .acosh: 1.05...9
                case .tan: -1.4...1.4
                default: -7...7
                }
            return FloatCase(function.rawValue, .unary(Unary(function)), [[3, 50]], range: range)
        }
        + [
            Unary(.swish, 1.702), Unary(.leakyRelu, 0.3), Unary(.elu, 1.6733, 1.0507), Unary(.elu, 1, 1, 0.5),
            Unary(.thresholdedRelu, -0.5), Unary(.shrink, 1.5, 0.5), Unary(.clip, -1, 2), Unary(.clip, 0, 1, 0.2, 0.5),
        ].map { FloatCase("\($0.function) \($0.parameters)", .unary($0), [[3, 50]], range: -7...7) }
        + Binary.Kind.allCases.map {
            FloatCase("\($0)", .binary(Binary($0)), [[2, 3, 40], [2, 3, 40]], range: 0.5...2)
        }
        + [
            FloatCase("add broadcast", .binary(Binary(.add, activation: .relu)), [[2, 1, 5, 4], [3, 1, 4]]),
            FloatCase("mul scalar", .binary(Binary(.mul)), [[], [4, 3]]),
            FloatCase("sub channel", .binary(Binary(.sub)), [[2, 6, 7], [7]]),
            FloatCase("mod of either sign", .binary(Binary(.mod)), [[300], [300]], range: -9...9),
            FloatCase("fmod of either sign", .binary(Binary(.fmod)), [[300], [300]], range: -9...9),
            FloatCase("prelu by channel", .binary(Binary(.prelu)), [[2, 6, 7], [7]]),
            FloatCase("equal to itself", [[4, 8]]) { builder, ids in
                [try builder.graph.add(.binary(Binary(.equal)), [ids[0], ids[0]])]
            },
            select("of one shape", [3, 40], [3, 40], [3, 40]),
            select("of a scalar", [3, 1, 5], [3, 4, 5], []),
            select("by row", [3, 1], [3, 40], [40]),
            select("of numbers", [4, 3], [], []),
            FloatCase(
                "eight axes", .binary(Binary(.mul)), [[2, 1, 2, 3, 2, 1, 3, 2], [1, 3, 2, 1, 2, 2, 1, 2]]),
            FloatCase("add long", .binary(Binary(.add)), [[5000], [5000]]),
            FloatCase("add to itself", [[4, 8]]) { builder, ids in
                let a = try builder.graph.add(.unary(Unary(.negate)), [ids[0]])
                return [try builder.graph.add(.binary(Binary(.add)), [a, a])]
            },
            FloatCase("add to its own view", [[3, 3]]) { builder, ids in
                let a = try builder.graph.add(.unary(Unary(.negate)), [ids[0]])
                let row = try builder.graph.add(.reshape(Reshape([9, 1])), [a])
                let column = try builder.graph.add(.reshape(Reshape([1, 9])), [a])
                return [try builder.graph.add(.binary(Binary(.add)), [row, column])]
            },
        ]

    static let normalization = [
        FloatCase("batch_norm", [[2, 3, 4, 9]]) { builder, ids in
            let vectors = [
                builder.constant([9]), builder.constant([9]), builder.constant([9]), builder.constant([9], in: 0.2...2),
            ]
            return [try builder.graph.add(.batchNorm(BatchNorm(epsilon: 1e-3)), [ids[0]] + vectors)]
        },
        FloatCase("layer_norm", [[2, 5, 37]]) { builder, ids in
            [try builder.graph.add(.layerNorm(LayerNorm()), [ids[0], builder.constant([37]), builder.constant([37])])]
        },
        FloatCase("softmax last axis", .softmax(Softmax(axis: 1)), [[4, 11]], range: -9...9),
        FloatCase("softmax middle axis", .softmax(Softmax(axis: 1)), [[2, 6, 5]]),
        FloatCase("softmax first axis", .softmax(Softmax(axis: 0)), [[7, 5]]),
    ]

    static let pooling = [
        FloatCase(
            "max_pool", .pool(Pool(.maximum, kernel: Pair(3), stride: Pair(2), padding: Padding(1))), [[2, 9, 8, 5]]),
        FloatCase(
            "avg_pool", .pool(Pool(.average, kernel: Pair(3, 2), stride: Pair(2), padding: Padding(1))), [[2, 9, 8, 5]]
        ),
        FloatCase(
            "avg_pool counting padding",
            .pool(Pool(.average, kernel: Pair(3), stride: Pair(2), padding: Padding(1), countsPadding: true)),
            [[1, 9, 7, 18]]),
        FloatCase("pool_mixer", [[2, 6, 5, 20]]) { builder, ids in
            [try builder.graph.add(.poolMixer(PoolMixer(size: 3)), [ids[0], builder.constant([20])])]
        },
        FloatCase("mean of the middle", .reduce(Reduce(.mean, axes: [1, 2])), [[2, 6, 5, 9]]),
        FloatCase("mean of the end", .reduce(Reduce(.mean, axes: [2], keepsAxes: true)), [[2, 6, 5]]),
        FloatCase(
            "max_pool dilated, rounded up",
            .pool(
                Pool(
                    .maximum, kernel: Pair(2, 3), stride: Pair(3, 2), padding: Padding(1), dilation: Pair(2, 1),
                    roundsUp: true)),
            [[2, 9, 8, 5]]),
        FloatCase(
            "avg_pool rounded up",
            .pool(
                Pool(
                    .average, kernel: Pair(3), stride: Pair(2), padding: Padding(top: 1, left: 0, bottom: 0, right: 2),
                    countsPadding: true, roundsUp: true)), [[1, 8, 9, 18]]),
    ]

    static let reduction =
        Reduce.Kind.allCases.flatMap { kind in
            [
                ([0], [6]), ([1], [3, 70]), ([0], [5, 70]), ([0, 2], [3, 4, 5]), ([1, 3], [2, 3, 70, 4]),
                ([0, 2, 4], [2, 3, 2, 2, 3]), ([0, 1, 2], [3, 4, 9]), ([1], [3, 1, 5]), ([2], [2, 20, 1]),
            ].map { axes, shape in
                FloatCase("\(kind) of axes \(axes) of \(shape)", .reduce(Reduce(kind, axes: axes)), [Shape(shape)])
            }
        }
        + [
            topK("largest", TopK(count: 3, axis: 1), [4, 9, 2]), topK("all", TopK(count: 9, axis: 0), [9]),
            topK("smallest, last", TopK(count: 4, axis: 1, isLargest: false, prefersLast: true), [4, 9]),
            topK("last largest", TopK(count: 1, axis: 2, prefersLast: true), [2, 3, 30]),
        ]

    /// Numbers rounded to integers, so that many are equal.
    private static func topK(_ name: String, _ op: TopK, _ shape: Shape) -> FloatCase {
        FloatCase("top_k " + name, [shape]) { builder, ids in
            let integers = try builder.graph.add(.unary(Unary(.round)), ids)
            return try builder.graph.addAll(.topK(op), [integers])
        }
    }

    private static func resample(_ name: String, _ axis: Int, _ table: ResampleTable, _ shape: Shape) -> FloatCase {
        FloatCase("resample " + name, [shape]) { builder, ids in
            let size: Shape = [table.indices.count / table.taps, table.taps]
            let indices = builder.graph.addConstant("i", TensorType(.i32, size), TensorData(elements: table.indices))
            let weights = builder.graph.addConstant("w", TensorType(.f32, size), TensorData(elements: table.weights))
            return [try builder.graph.add(.resample(Resample(axis: axis)), [ids[0], indices, weights])]
        }
    }

    static let movement = [
        FloatCase("transpose", .transpose(Transpose([2, 0, 3, 1])), [[2, 3, 4, 5]]),
        FloatCase("transpose of size 1", .transpose(Transpose([0, 2, 1, 3])), [[2, 1, 4, 5]]),
        FloatCase("slice", .slice(Slice(axis: 1, begin: 1, end: 8, step: 3)), [[2, 9, 4]]),
        FloatCase("concat", .concat(Concat(axis: 1)), [[2, 3, 4], [2, 1, 4], [2, 5, 4]]),
        FloatCase("split", [[2, 9, 3]]) { builder, ids in
            try builder.graph.addAll(.split(Split(axis: 1, sizes: [2, 4, 3])), ids)
        },
        FloatCase("gather", [[3, 6, 4]]) { builder, ids in
            let indices = builder.graph.addConstant(
                "i", TensorType(.i32, [5]), TensorData(elements: [5, 0, 0, 3, 1] as [Int32]))
            return [try builder.graph.add(.gather(Gather(axis: 1)), [ids[0], indices])]
        },
        FloatCase("roll", .roll(Roll(axis: 1, shift: -2)), [[2, 7, 3]]),
        FloatCase("roll by nothing", .roll(Roll(axis: 0, shift: 4)), [[4, 3]]),
        FloatCase("pad", .pad(Pad(before: [0, 1, 2], after: [0, 0, 3], value: 1.5)), [[2, 3, 4]]),
        FloatCase("expand", .expand(Expand([2, 3, 4])), [[3, 1]]),
        resample("rows", 1, ResampleTable(.linear, from: 4, to: 7, coordinates: .halfPixel), [2, 4, 9, 3]),
        resample(
            "columns", 2, ResampleTable(.cubic(-0.75), from: 9, to: 4, coordinates: .alignCorners), [1, 4, 9, 20]),
        resample(
            "the last axis",
            1, ResampleTable(.linear, from: 9, to: 4, coordinates: .halfPixel, antialiases: true), [5, 9]),
        FloatCase(
            "transpose of eight axes", .transpose(Transpose([7, 0, 6, 1, 5, 2, 4, 3])), [[2, 3, 2, 1, 2, 3, 2, 2]]),
    ]

    /// Memory that is shared, taken over and viewed.
    static let combinations = [
        FloatCase("output is an input", [[3, 4]]) { builder, ids in
            [ids[0], try builder.graph.add(.unary(Unary(.abs)), ids)]
        },
        FloatCase("output is a view of an input", .reshape(Reshape([12])), [[3, 4]]),
        FloatCase("output is a constant", [[2]]) { builder, ids in
            let constant = builder.constant([2, 6])
            return [
                constant, try builder.graph.add(.reshape(Reshape([12])), [constant]),
                try builder.graph.add(.unary(Unary(.abs)), ids),
            ]
        },
        FloatCase("outputs are the same", [[8]]) { builder, ids in
            let a = try builder.graph.add(.unary(Unary(.exp)), ids)
            return [a, try builder.graph.add(.reshape(Reshape([2, 4])), [a]), a]
        },
        FloatCase("value is needed after a view of it", [[4, 6]]) { builder, ids in
            let a = try builder.graph.add(.unary(Unary(.tanh)), ids)
            let view = try builder.graph.add(.reshape(Reshape([24])), [a])
            let b = try builder.graph.add(.unary(Unary(.exp)), [view])
            return [
                try builder.graph.add(
                    .binary(Binary(.add)), [a, try builder.graph.add(.reshape(Reshape([4, 6])), [b])])
            ]
        },
        FloatCase("conv residual is its own input", [[1, 4, 4, 16]]) { builder, ids in
            let a = try builder.graph.add(.unary(Unary(.relu)), ids)
            return [
                try builder.graph.add(
                    .conv2D(Conv2D(padding: Padding(1))),
                    [a, builder.constant([16, 3, 3, 16]), .none, .none, .none, a])
            ]
        },
        FloatCase("unused result", [[4, 6]]) { builder, ids in
            try builder.graph.add(.unary(Unary(.exp)), ids)
            return [try builder.graph.add(.unary(Unary(.negate)), ids)]
        },
        FloatCase("transformer block", [[1, 6, 6, 24]]) { builder, ids in
            let x = try builder.graph.add(.reshape(Reshape([1, 36, 24])), ids)
            let norm = try builder.graph.add(
                .layerNorm(LayerNorm()), [x, builder.constant([24]), builder.constant([24])])
            let qkv = try builder.graph.add(
                .linear(Linear()), [norm, builder.constant([48, 24]), builder.constant([48])])
            let op = Attention(heads: 2, keyDim: 8, valueDim: 8, scale: 0.35, packing: .perHead)
            let mixed = try builder.graph.add(.attention(op), [qkv, .none, .none, builder.constant([2, 36, 36])])
            let y = try builder.graph.add(
                .linear(Linear()), [mixed, builder.constant([24, 16]), builder.constant([24]), .none, .none, x])
            let hidden = try builder.graph.add(
                .linear(Linear(activation: .gelu)), [y, builder.constant([96, 24]), builder.constant([96])])
            let z = try builder.graph.add(
                .linear(Linear()), [hidden, builder.constant([24, 96]), builder.constant([24]), .none, .none, y])
            return [try builder.graph.add(.reduce(Reduce(.mean, axes: [1])), [z])]
        },
    ]
}
