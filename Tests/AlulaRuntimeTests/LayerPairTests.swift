import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

/// Two int8 layers that run as one step in row tiles, against the same layers one after the other.
@Suite struct LayerPairTests {
    enum Residual: Sendable, CaseIterable { case none, input, other }

    struct Pair: CustomTestStringConvertible, Sendable {
        var rows: Int
        var inputs: Int
        var hidden: Int
        var outputs: Int
        var residual: Residual
        var isLinear: Bool
        var table: Bool

        var testDescription: String {
            "\(rows)x\(inputs)x\(hidden)x\(outputs) residual \(residual) \(isLinear ? "linear" : "conv") table \(table)"
        }
    }

    static let pairs: [Pair] = {
        var random = RandomNumbers(seed: 31)
        var result: [Pair] = []
        for residual in Residual.allCases {
            for isLinear in [false, true] {
                for table in [false, true] {
                    let inputs = Int.random(in: 1...70, using: &random)
                    // The residual is the input only if they have the same width.
                    let outputs =
                        residual == .input || Bool.random(using: &random)
                        ? inputs : Int.random(in: 1...60, using: &random)
                    let hidden = max(outputs, Int.random(in: 60...300, using: &random))
                    result.append(
                        Pair(
                            rows: 2 * Int.random(in: 96...170, using: &random), inputs: inputs, hidden: hidden,
                            outputs: outputs, residual: residual, isLinear: isLinear, table: table))
                }
            }
        }
        // Tiles of few rows, and a last tile of one.
        result.append(
            Pair(rows: 100, inputs: 24, hidden: 3000, outputs: 24, residual: .input, isLinear: true, table: true))
        return result
    }()

    private let quantization = Quantization(scale: 0.03, zeroPoint: 120)

    /// A table, the pair, and a table on its result: both neighbours let the result take over memory.
    private func graph(_ pair: Pair) throws -> Graph {
        var random = RandomNumbers(seed: 77)
        var graph = Graph()
        let shape: (Int) -> Shape = { pair.isLinear ? [pair.rows, $0] : [2, 1, pair.rows / 2, $0] }
        let image = graph.addInput("image", TensorType(.u8, shape(pair.inputs), quantization))
        let other = graph.addInput("other", TensorType(.u8, shape(pair.outputs), quantization))
        let x = table(&graph, image, &random)
        let residual: ValueID? =
            switch pair.residual {
            case .none: nil
            case .input: x
            case .other: table(&graph, other, &random)
            }
        let hidden = layer(&graph, x, nil, pair, pair.hidden, table: pair.table, &random)
        let y = layer(&graph, hidden, residual, pair, pair.outputs, table: false, &random)
        graph.setOutputs([table(&graph, y, &random)])
        return graph
    }

    private func table(_ graph: inout Graph, _ x: ValueID, _ random: inout RandomNumbers) -> ValueID {
        let entries: [UInt8] = random.integers(256, in: 0...255)
        let table = graph.addConstant(
            "table\(graph.values.count)", TensorType(.u8, [256]), TensorData(elements: entries))
        return graph.addNode(.unary(Unary(.gelu)), [x, table], types: [graph.type(x)])[0]
    }

    private func layer(
        _ graph: inout Graph, _ x: ValueID, _ residual: ValueID?, _ pair: Pair, _ outputs: Int, table: Bool,
        _ random: inout RandomNumbers
    ) -> ValueID {
        let inputs = graph.shape(x).last
        let number = graph.values.count
        let weights: [Int8] = random.integers(outputs * inputs, in: -127...127)
        let biases: [Int32] = random.integers(outputs, in: -30000...30000)
        let multipliers = random.floats(outputs, in: 0.2...1).map { $0 / (127 * Float(inputs).squareRoot()) }
        var operands = [
            x,
            graph.addConstant(
                "weight\(number)", TensorType(.s8, pair.isLinear ? [outputs, inputs] : [outputs, 1, 1, inputs]),
                TensorData(elements: weights)),
            graph.addConstant("bias\(number)", TensorType(.i32, [outputs]), TensorData(elements: biases)),
            graph.addConstant("multiplier\(number)", TensorType(.f32, [outputs]), TensorData(elements: multipliers)),
        ]
        if table {
            let entries: [UInt8] = random.integers(256, in: 0...255)
            operands.append(
                graph.addConstant("table\(number)", TensorType(.u8, [256]), TensorData(elements: entries)))
        }
        if let residual { operands += [.none, residual] }
        var shape = graph.shape(x)
        shape[shape.rank - 1] = outputs
        let before = table ? Quantization(scale: 0.04, zeroPoint: 130) : nil
        let activation: Activation = table ? .gelu : residual == nil ? .relu : nil
        var linear = Linear(activation: activation)
        linear.preActivation = before
        var conv = Conv2D(activation: activation)
        conv.preActivation = before
        return graph.addNode(
            pair.isLinear ? .linear(linear) : .conv2D(conv), operands, types: [TensorType(.u8, shape, quantization)])[0]
    }

    private func output(_ graph: Graph, _ options: SessionOptions) throws -> [UInt8] {
        let session = try Session(graph, options: options)
        var random = RandomNumbers(seed: 5)
        for index in 0..<session.inputCount {
            let bytes: [UInt8] = random.integers(session.inputType(index).byteCount, in: 0...255)
            try session.setInput(index, bytes: bytes)
        }
        session.run()
        return session.output(0)
    }

    @Test(arguments: pairs) func givesTheBytesOfTheLayersOneByOne(pair: Pair) throws {
        let graph = try graph(pair)
        let expected = try output(graph, SessionOptions(instructionSet: .scalar, keepsAllValues: true))
        for set in InstructionSet.available {
            for threads in 1...3 {
                let options = SessionOptions(threads: threads, instructionSet: set)
                #expect(try output(graph, options) == expected, "\(set.name), \(threads) threads")
            }
        }
    }

    @Test(arguments: pairs) func isOneStepWithoutMemoryForWhatIsBetween(pair: Pair) throws {
        let graph = try graph(pair)
        let session = try Session(graph)
        #expect(session.steps.filter { $0.operatorName == "mlp" }.count == 1)
        #expect(session.steps.reduce(0) { $0 + $1.macs } == graph.macs)
        // Two inputs, and the result where it cannot lie in one of them.
        let widths = pair.inputs + pair.outputs * (pair.residual == .none && pair.inputs != pair.outputs ? 2 : 1)
        #expect(session.memory.arena <= pair.rows * widths + 3 * 64)
    }

    @Test func resultsThatOthersReadStay() throws {
        var graph = try graph(Self.pairs[0])
        let hidden = graph.nodes[1].outputs[0]  // after the table
        graph.setOutputs([graph.outputs[0], hidden])
        #expect(try Session(graph).steps.allSatisfy { $0.operatorName != "mlp" })
    }

    @Test func fewRowsAreNotWorthTiles() throws {
        var pair = Self.pairs[0]
        (pair.rows, pair.hidden) = (40, 128)
        #expect(try Session(graph(pair)).steps.allSatisfy { $0.operatorName != "mlp" })
    }

    // MARK: Convolutions

    /// A convolution over an image, then one whose window spans several of its rows.
    struct Images: CustomTestStringConvertible, Sendable {
        var batch = 1
        var inputs: Int
        var hidden: Int
        /// Zero: the second convolution is a depthwise one.
        var outputs: Int
        var size: Int
        var kernel: Int
        var stride = 1
        var dilation = 1
        var residual = false

        var testDescription: String {
            "\(batch)x\(size)x\(inputs)x\(hidden)x\(outputs) kernel \(kernel)/\(stride) by \(dilation) residual \(residual)"
        }
    }

    static let images = [
        Images(inputs: 3, hidden: 24, outputs: 48, size: 128, kernel: 3, stride: 2),
        Images(batch: 2, inputs: 5, hidden: 40, outputs: 0, size: 96, kernel: 5),
        Images(inputs: 8, hidden: 33, outputs: 17, size: 101, kernel: 4, stride: 3, dilation: 2),
        Images(batch: 3, inputs: 16, hidden: 64, outputs: 0, size: 90, kernel: 3),
        // The residual is the pair's own input.
        Images(inputs: 24, hidden: 48, outputs: 24, size: 96, kernel: 3, residual: true),
    ]

    private func graph(_ images: Images) -> Graph {
        var random = RandomNumbers(seed: 91)
        var graph = Graph()
        let shape: Shape = [images.batch, images.size, images.size, images.inputs]
        let input = graph.addInput("image", TensorType(.u8, shape, quantization))
        let x = table(&graph, input, &random)
        let hidden = convolution(
            &graph, x, Conv2D(padding: Padding(1)), [images.hidden, 3, 3, images.inputs], [], &random)
        let isDepthwise = images.outputs == 0
        let reach = (images.kernel - 1) * images.dilation
        var second = Conv2D(
            stride: AlulaGraph.Pair(images.stride),
            padding: Padding(top: reach / 2, left: reach / 2, bottom: reach - reach / 2, right: reach - reach / 2),
            dilation: AlulaGraph.Pair(images.dilation))
        if isDepthwise { second.groups = images.hidden }
        let weight: Shape =
            isDepthwise
            ? [images.hidden, images.kernel, images.kernel, 1]
            : [images.outputs, images.kernel, images.kernel, images.hidden]
        let y = convolution(&graph, hidden, second, weight, images.residual ? [.none, x] : [], &random)
        graph.setOutputs([table(&graph, y, &random)])
        return graph
    }

    private func convolution(
        _ graph: inout Graph, _ x: ValueID, _ op: Conv2D, _ weight: Shape, _ extras: [ValueID],
        _ random: inout RandomNumbers
    ) -> ValueID {
        let number = graph.values.count
        let depth = Float(weight.count(1..<4))
        let operands = [
            x,
            graph.addConstant(
                "weight\(number)", TensorType(.s8, weight),
                TensorData(elements: random.integers(weight.elementCount, in: -127...127) as [Int8])),
            graph.addConstant(
                "bias\(number)", TensorType(.i32, [weight[0]]),
                TensorData(elements: random.integers(weight[0], in: -30000...30000) as [Int32])),
            graph.addConstant(
                "multiplier\(number)", TensorType(.f32, [weight[0]]),
                TensorData(elements: random.floats(weight[0], in: 0.2...1).map { $0 / (127 * depth.squareRoot()) })),
        ]
        let (in_, reach) = (graph.shape(x), { (axis: Int, dilation: Int) in (weight[axis] - 1) * dilation + 1 })
        let height = (in_[1] + op.padding.top + op.padding.bottom - reach(1, op.dilation.height)) / op.stride.height + 1
        let width = (in_[2] + op.padding.left + op.padding.right - reach(2, op.dilation.width)) / op.stride.width + 1
        let type = TensorType(.u8, [in_[0], height, width, weight[0]], quantization)
        return graph.addNode(.conv2D(op), operands + extras, types: [type])[0]
    }

    @Test(arguments: images) func convolutionsInBandsGiveTheBytesOfOneByOne(images: Images) throws {
        let graph = graph(images)
        let expected = try output(graph, SessionOptions(instructionSet: .scalar, keepsAllValues: true))
        for set in InstructionSet.available {
            for threads in 1...3 {
                let session = try Session(graph, options: SessionOptions(threads: threads, instructionSet: set))
                #expect(session.steps.filter { $0.operatorName == "conv_pair" }.count == 1)
                let options = SessionOptions(threads: threads, instructionSet: set)
                #expect(try output(graph, options) == expected, "\(set.name), \(threads) threads")
            }
        }
    }

    @Test func whatLiesBetweenConvolutionsNeedsNoMemory() throws {
        let graph = graph(Self.images[0])
        let result = graph.type(graph.outputs[0]).byteCount
        #expect(try Session(graph).memory.arena <= graph.type(graph.inputs[0]).byteCount + result + 3 * 64)
    }
}
