import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

/// int8 operators against their real-number meaning: a float graph computes the same from the dequantized operands.
@Suite struct Int8OperatorTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var graph: Graph
        var twin: Graph
        /// How far a result may lie from the real one, in steps of its scale.
        var steps: Double
        var inputs: [[Float]]
    }

    private static let first = Quantization(scale: 0.02, zeroPoint: 120)
    private static let second = Quantization(scale: 0.03, zeroPoint: 100)
    private static let result = Quantization(scale: 0.04, zeroPoint: 64)

    /// Extra operands, which may differ between the int8 graph and its float twin.
    typealias Extras = (inout Graph, _ isInt8: Bool, inout RandomNumbers) -> [ValueID]

    private static func make(
        _ name: String, _ op: Operator, _ shapes: [Shape], result: TensorType? = nil,
        quantization: Quantization? = result,
        steps: Double = 0.51, extras: Extras = { _, _, _ in [] }
    ) -> Case {
        var (graph, twin, random, same) = (Graph(), Graph(), RandomNumbers(seed: 5), RandomNumbers(seed: 5))
        var (ids, twins): ([ValueID], [ValueID]) = ([], [])
        for (index, shape) in shapes.enumerated() {
            ids.append(graph.addInput("x\(index)", TensorType(.u8, shape, index == 0 ? first : second)))
            twins.append(twin.addInput("x\(index)", TensorType(.f32, shape)))
        }
        ids += extras(&graph, true, &random)
        twins += extras(&twin, false, &same)
        let outputs = try! twin.addAll(op, twins)
        twin.setOutputs(outputs)
        graph.setOutputs(
            graph.addNode(op, ids, types: outputs.map { result ?? TensorType(.u8, twin.shape($0), quantization) }))
        return Case(
            testDescription: name, graph: graph, twin: twin, steps: steps,
            inputs: shapes.map { random.floats($0.elementCount, in: -2.2...2.6) })
    }

    /// A transposed depthwise convolution whose stride is its kernel.
    private static func spread(_ name: String, _ kernel: Pair, _ shape: Shape) -> Case {
        let channels = shape.last
        let op = ConvTranspose2D(stride: kernel, groups: channels)
        return make(name, .convTranspose2D(op), [shape]) { graph, isInt8, random in
            let weightShape: Shape = [channels, kernel.height, kernel.width, 1]
            let weights: [Int8] = random.integers(weightShape.elementCount, in: -127...127)
            let biases: [Int32] = random.integers(channels, in: -9000...9000)
            let scale: Float = 1 / 128
            guard isInt8 else {
                return [
                    graph.addConstant(
                        "weight", TensorType(.f32, weightShape),
                        TensorData(elements: weights.map { Float($0) * scale })),
                    vector(&graph, "bias", biases.map { Float($0) * scale * first.scale }),
                ]
            }
            let multiplier = [Float](repeating: scale * first.scale / result.scale, count: channels)
            return [
                graph.addConstant("weight", TensorType(.s8, weightShape), TensorData(elements: weights)),
                graph.addConstant("bias", TensorType(.i32, [channels]), TensorData(elements: biases)),
                vector(&graph, "multiplier", multiplier),
            ]
        }
    }

    private static func vector(_ graph: inout Graph, _ name: String, _ values: [Float]) -> ValueID {
        graph.addConstant(name, TensorType(.f32, [values.count]), TensorData(elements: values))
    }

    static let cases: [Case] = [
        make("add", .binary(Binary(.add)), [[2, 5, 30], [2, 5, 30]]),
        make("add relu", .binary(Binary(.add, activation: .relu)), [[70], [70]]),
        make("add relu6", .binary(Binary(.add, activation: .relu6)), [[70], [70]]),
        make("add repeated", .binary(Binary(.add)), [[3, 5, 30], [1, 5, 30]]),
        make("add of a row and a column", .binary(Binary(.add)), [[7, 1], [1, 40]]),
        make("sub", .binary(Binary(.sub)), [[2, 5, 30], [2, 5, 30]]),
        make("sub relu of a scalar", .binary(Binary(.sub, activation: .relu)), [[], [2, 5, 30]]),
        make("mul", .binary(Binary(.mul)), [[3000], [3000]]),
        make("mul relu6", .binary(Binary(.mul, activation: .relu6)), [[2, 70], [2, 70]]),
        make("mul by channel", .binary(Binary(.mul)), [[2, 5, 6, 37], [2, 1, 1, 37]]),
        make("mul by pixel", .binary(Binary(.mul)), [[2, 5, 6, 1], [2, 5, 6, 37]]),
        make("mul of one number", .binary(Binary(.mul)), [[1], []]),
        make(
            "avg_pool", .pool(Pool(.average, kernel: Pair(3), stride: Pair(2), padding: Padding(1))), [[2, 9, 8, 20]]),
        make(
            "avg_pool counting padding",
            .pool(Pool(.average, kernel: Pair(3, 2), stride: Pair(1), padding: Padding(1), countsPadding: true)),
            [[2, 6, 5, 20]]),
        make(
            "max_pool", .pool(Pool(.maximum, kernel: Pair(3), stride: Pair(2), padding: Padding(1))), [[2, 9, 8, 20]],
            quantization: first,
            steps: 0.01),
        make("mean", .reduce(Reduce(.mean, axes: [1, 2])), [[2, 7, 7, 35]]),
        make(
            "mean to f32", .reduce(Reduce(.mean, axes: [1, 2])), [[2, 7, 7, 35]], result: TensorType(.f32, [2, 35]),
            steps: 1e-3),
        make("pool_mixer", .poolMixer(PoolMixer(size: 3)), [[2, 6, 7, 24]]) { graph, isInt8, random in
            let scale = random.floats(24, in: -1...1)
            let ratio = first.scale / result.scale
            guard isInt8 else { return [vector(&graph, "scale", scale)] }
            return [
                .none, vector(&graph, "center", scale.map { (1 - $0) * ratio }),
                vector(&graph, "average", scale.map { $0 * ratio }),
            ]
        },
        spread("conv_transpose2d", Pair(2), [2, 5, 6, 36]), spread("conv_transpose2d 3x1", Pair(3, 1), [1, 4, 7, 21]),
        make("layer_norm", .layerNorm(LayerNorm()), [[3, 7, 48]], steps: 0.52) { graph, isInt8, random in
            let (gamma, beta) = (random.floats(48, in: 0.5...1.5), random.floats(48, in: -1...1))
            let unit = isInt8 ? result.scale : 1
            return [vector(&graph, "gamma", gamma.map { $0 / unit }), vector(&graph, "beta", beta.map { $0 / unit })]
        },
        // The weights of a softmax over 9 tokens are rounded to multiples of 1/255 of the largest.
        make(
            "attention", .attention(Attention(heads: 2, keyDim: 8, valueDim: 12, scale: 0.3, packing: .perHead)),
            [[2, 9, 56]],
            steps: 1.5
        ) { graph, _, random in
            let bias = graph.addConstant(
                "bias", TensorType(.f32, [2, 9, 9]), TensorData(elements: random.floats(162, in: -1...1)))
            return [.none, .none, bias]
        },
        make(
            "attention stacked", .attention(Attention(heads: 2, keyDim: 8, valueDim: 8, scale: 0.3, packing: .stacked)),
            [[4, 9, 48]],
            steps: 1.5),
        make("transpose", .transpose(Transpose([0, 3, 1, 2])), [[2, 3, 4, 5]], quantization: first, steps: 0.01),
        make(
            "slice", .slice(Slice(axis: 1, begin: 1, end: 9, step: 2)), [[2, 9, 7]], quantization: first, steps: 0.01),
        make("split", .split(Split(axis: 1, sizes: [2, 7])), [[2, 9, 7]], quantization: first, steps: 0.01),
        make("roll", .roll(Roll(axis: 1, shift: 2)), [[2, 9, 7]], quantization: first, steps: 0.01),
        // The pad value is rounded to the scale.
        make(
            "pad", .pad(Pad(before: [1, 0], after: [0, 3], value: 1.3)), [[4, 7]], quantization: first, steps: 0.51),
        make("expand", .expand(Expand([3, 4, 7])), [[4, 1]], quantization: first, steps: 0.01),
        make("sum", .reduce(Reduce(.sum, axes: [1])), [[3, 4, 20]]),
        make("resample", .resample(Resample(axis: 1)), [[2, 4, 5, 7]], steps: 0.51) { graph, _, _ in
            let table = ResampleTable(.cubic(-0.75), from: 4, to: 7, coordinates: .halfPixel)
            let size: Shape = [7, table.taps]
            return [
                graph.addConstant("i", TensorType(.i32, size), TensorData(elements: table.indices)),
                graph.addConstant("w", TensorType(.f32, size), TensorData(elements: table.weights)),
            ]
        },
        make("reshape", .reshape(Reshape([28])), [[4, 7]], quantization: first, steps: 0.01),
        make("dequantize", .dequantize(Dequantize()), [[4, 70]], result: TensorType(.f32, [4, 70]), steps: 1e-3),
    ]

    private static func session(_ test: Case, _ options: SessionOptions = SessionOptions()) throws -> Session {
        let session = try Session(test.graph, options: options)
        for (index, input) in test.inputs.enumerated() { try session.setInput(index, floats: input) }
        return session
    }

    @Test(arguments: cases) func meansTheSameAsTheFloatOperator(test: Case) throws {
        let session = try Self.session(test)
        // The reference starts from what the u8 inputs stand for.
        let inputs = test.graph.inputs.indices.map { index -> [Float] in
            let quantization = session.inputType(index).quantization!
            return session.withInput(index) { bytes in
                bytes.map { Float(Int32($0) - quantization.zeroPoint) * quantization.scale }
            }
        }
        let reference =
            if case .dequantize = test.graph.nodes[0].op { [inputs[0].map { Double($0) }] } else {
                Reference(test.twin, inputs: inputs).outputs.map(\.values)
            }
        session.run()
        for index in 0..<session.outputCount {
            let scale = Double(session.outputType(index).quantization?.scale ?? 1)
            let (low, high) = Self.range(session.outputType(index).quantization)
            for (position, value) in try session.outputFloats(index).enumerated() {
                let expected = min(max(reference[index][position], low), high)
                guard abs(Double(value) - expected) > test.steps * scale else { continue }
                Issue.record("output \(index) at \(position): \(value), not \(expected)")
                break
            }
        }
    }

    private static func range(_ quantization: Quantization?) -> (Double, Double) {
        guard let quantization else { return (-.infinity, .infinity) }
        let (scale, zero) = (Double(quantization.scale), Double(quantization.zeroPoint))
        return (-zero * scale, (255 - zero) * scale)
    }

    @Test(arguments: cases) func instructionSetsAndThreadsGiveTheSameBytes(test: Case) throws {
        let bytes = { (options: SessionOptions) -> [[UInt8]] in
            let session = try Self.session(test, options)
            session.run()
            return (0..<session.outputCount).map { session.output($0) }
        }
        let expected = try bytes(SessionOptions(instructionSet: .scalar))
        for set in InstructionSet.available {
            for threads in 1...3 {
                #expect(
                    try bytes(SessionOptions(threads: threads, instructionSet: set)) == expected,
                    "\(set.name), \(threads) threads")
            }
        }
    }

    @Test func tablesMapEveryNumber() throws {
        var graph = Graph()
        let table = RandomTable.make()
        let x = graph.addInput("x", TensorType(.u8, [256], Self.first))
        let constant = graph.addConstant("table", TensorType(.u8, [256]), TensorData(elements: table))
        let y = graph.addNode(.unary(Unary(.gelu)), [x, constant], types: [TensorType(.u8, [256], Self.second)])
        graph.setOutputs(
            graph.addNode(.requantize(Requantize()), [y[0], constant], types: [TensorType(.u8, [256], Self.result)]))
        let session = try Session(graph)
        try session.setInput(0, bytes: Array(0...255))
        session.run()
        #expect(session.output(0) == (0...255).map { table[Int(table[$0])] })
    }

    private enum RandomTable {
        static func make() -> [UInt8] {
            var random = RandomNumbers(seed: 9)
            return random.integers(256, in: 0...255)
        }
    }

    /// Setting a u8 input from floats is the quantize operator.
    @Test func inputsAreQuantizedAsByTheOperator() throws {
        var random = RandomNumbers(seed: 4)
        var values = random.floats(1000, in: -6...6)
        values += [.nan, .infinity, -.infinity, 1e30, -1e30, 0, -0.0, 0.01, 0.03, 0.05, -0.01]
        let shape: Shape = [values.count]
        let type = TensorType(.u8, shape, Self.first)
        var (direct, byOperator) = (Graph(), Graph())
        let x = direct.addInput("x", type)
        direct.setOutputs(try direct.addAll(.reshape(Reshape(shape)), [x]).map { _ in x })
        let y = byOperator.addInput("x", TensorType(.f32, shape))
        byOperator.setOutputs(byOperator.addNode(.quantize(Quantize()), [y], types: [type]))
        var results: [[UInt8]] = []
        for graph in [direct.pruned(), byOperator] {
            let session = try Session(graph)
            try session.setInput(0, floats: values)
            session.run()
            results.append(session.output(0))
        }
        #expect(results[0] == results[1])
    }
}
