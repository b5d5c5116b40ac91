import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

/// int8 convolutions and linear layers against whole-number arithmetic, for equality.
@Suite struct Int8LayerTests {
    enum Finish: Sendable, CaseIterable { case plain, relu, relu6, table, residual, float }

    struct Layer: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var x: Shape
        var weight: Shape
        var op: Conv2D
        var finish: Finish
        /// Weights stored as kernels read them, or plain.
        var isPacked: Bool
        var isLinear = false
    }

    /// Of the padding one number is rounded, one cut to 255 and one to 0: 0.02 each, 113 being zero.
    private static let framed: Conv2D = {
        var op = Conv2D(stride: Pair(2), padding: Padding(1))
        op.paddingValues = [0.711, 5, -3]
        return op
    }()
    private static let framedLevels = [149, 255, 0]

    static let layers: [Layer] = {
        let shapes: [(String, Shape, Shape, Conv2D)] = [
            ("1x1", [1, 7, 7, 48], [96, 1, 1, 48], Conv2D()),
            ("1x1 odd sizes", [2, 5, 3, 7], [19, 1, 1, 7], Conv2D()),
            ("3x3", [1, 9, 8, 3], [24, 3, 3, 3], Conv2D(stride: Pair(2), padding: Padding(1))),
            (
                "3x3 dilated", [1, 9, 8, 6], [10, 3, 2, 6],
                Conv2D(padding: Padding(top: 2, left: 0, bottom: 1, right: 2), dilation: Pair(2, 1))
            ),
            ("groups", [1, 6, 5, 12], [15, 3, 3, 4], Conv2D(padding: Padding(1), groups: 3)),
            ("depthwise", [2, 7, 6, 19], [19, 3, 3, 1], Conv2D(stride: Pair(2), padding: Padding(1), groups: 19)),
            ("depthwise 5x5", [1, 7, 6, 32], [32, 5, 5, 1], Conv2D(padding: Padding(2), groups: 32)),
            ("3x3 with padding values", [1, 9, 8, 3], [24, 3, 3, 3], framed),
        ]
        var result: [Layer] = []
        for (name, x, weight, op) in shapes {
            for finish in Finish.allCases {
                for isPacked in [false, true] {
                    result.append(
                        Layer(
                            testDescription: "\(name) \(finish) packed \(isPacked)", x: x, weight: weight, op: op,
                            finish: finish, isPacked: isPacked))
                }
            }
        }
        for finish in Finish.allCases {
            result.append(
                Layer(
                    testDescription: "linear \(finish)", x: [1, 1, 50, 40], weight: [23, 1, 1, 40], op: Conv2D(),
                    finish: finish, isPacked: true, isLinear: true))
        }
        return result
    }()

    /// A layer's graph, the numbers in it, and the input.
    struct Instance {
        var graph = Graph()
        var weight: [Int8] = []
        var bias: [Int32] = []
        var multiplier: [Float] = []
        var table: [UInt8] = []
        var residual: [UInt8] = []
        var input: [UInt8] = []
        let inputQuantization = Quantization(scale: 0.02, zeroPoint: 113)
        let residualQuantization = Quantization(scale: 0.04, zeroPoint: 90)
        let resultQuantization = Quantization(scale: 0.05, zeroPoint: 70)
        let preActivation = Quantization(scale: 0.05, zeroPoint: 140)

        init(_ layer: Layer) throws {
            var random = RandomNumbers(
                seed: UInt64(layer.testDescription.utf8.reduce(3) { ($0 &* 131 &+ Int($1)) & 0xFFFF_FFFF }))
            let channels = layer.weight[0]
            weight = random.integers(layer.weight.elementCount, in: -127...127)
            bias = random.integers(channels, in: -30000...30000)
            let depth = Float(layer.weight.count(1..<4))
            multiplier = random.floats(channels, in: 0.2...1).map { $0 / (127 * depth.squareRoot()) }
            multiplier[0].negate()
            table = random.integers(256, in: 0...255)
            input = random.integers(layer.x.elementCount, in: 0...255)
            let x = graph.addInput(
                "x", TensorType(.u8, layer.isLinear ? [layer.x[2], layer.x[3]] : layer.x, inputQuantization))
            let conv = try Operator.conv2D(layer.op).resultShapes([
                TensorType(.u8, layer.x), TensorType(.s8, layer.weight),
            ])[0]
            let shape: Shape = layer.isLinear ? [conv[2], conv[3]] : conv
            residual = random.integers(shape.elementCount, in: 0...255)

            var operands = [
                x, addWeight(layer),
                graph.addConstant("bias", TensorType(.i32, [channels]), TensorData(elements: bias)),
            ]
            operands.append(
                graph.addConstant("multiplier", TensorType(.f32, [channels]), TensorData(elements: multiplier)))
            if layer.finish == .table {
                operands.append(graph.addConstant("table", TensorType(.u8, [256]), TensorData(elements: table)))
            }
            if layer.finish == .residual {
                operands += [.none, graph.addInput("residual", TensorType(.u8, shape, residualQuantization))]
            }
            let isFloat = layer.finish == .float
            let result = graph.addNode(
                operation(layer), operands,
                types: [TensorType(isFloat ? .f32 : .u8, shape, isFloat ? nil : resultQuantization)])
            graph.setOutputs(result)
        }

        private mutating func addWeight(_ layer: Layer) -> ValueID {
            let shape: Shape = layer.isLinear ? [layer.weight[0], layer.weight[3]] : layer.weight
            let geometry = WeightGeometry(shape, groups: layer.op.groups)
            guard layer.isPacked else {
                return graph.addConstant("weight", TensorType(.s8, shape), TensorData(elements: weight))
            }
            let layout = geometry.packedLayout(.s8)
            var packed = [Int8](repeating: 0, count: geometry.byteCount(layout, .s8)!)
            geometry.pack(weight, as: layout, into: &packed)
            return graph.addConstant("weight", TensorType(.s8, shape), layout: layout, TensorData(elements: packed))
        }

        private func operation(_ layer: Layer) -> Operator {
            let activation: Activation =
                switch layer.finish {
                case .relu: .relu
                case .relu6: .relu6
                case .table: .gelu
                default: nil
                }
            let before = layer.finish == .table ? preActivation : nil
            if layer.isLinear {
                var op = Linear(activation: activation)
                op.preActivation = before
                return .linear(op)
            }
            var op = layer.op
            (op.activation, op.preActivation) = (activation, before)
            return .conv2D(op)
        }

        func outputs(_ options: SessionOptions = SessionOptions()) throws -> [UInt8] {
            let session = try Session(graph, options: options)
            try session.setInput(0, bytes: input)
            if session.inputCount > 1 { try session.setInput(1, bytes: residual) }
            session.run()
            return session.output(0)
        }

        /// The result by the definition: exact sum, then f32 in the written order.
        func expected(_ layer: Layer) -> [UInt8] {
            let shape = graph.shape(graph.outputs[0])
            let (channels, inputs) = (layer.weight[0], layer.weight[3])
            let (width, height) = layer.isLinear ? (shape[0], 1) : (shape[2], shape[1])
            var result: [UInt8] = []
            for pixel in 0..<shape.elementCount / channels {
                let (n, y, x) = (pixel / width / height, pixel / width % height, pixel % width)
                for channel in 0..<channels {
                    var sum = Int(bias[channel])
                    let first = channel / (channels / layer.op.groups) * inputs
                    for tap in 0..<layer.weight[1] * layer.weight[2] {
                        let row =
                            y * layer.op.stride.height - layer.op.padding.top + tap / layer.weight[2]
                            * layer.op.dilation.height
                        let column =
                            x * layer.op.stride.width - layer.op.padding.left + tap % layer.weight[2]
                            * layer.op.dilation.width
                        let isInside = row >= 0 && row < layer.x[1] && column >= 0 && column < layer.x[2]
                        let place = ((n * layer.x[1] + row) * layer.x[2] + column) * layer.x[3] + first
                        let weights = (channel * layer.weight[1] * layer.weight[2] + tap) * inputs
                        for c in 0..<inputs {
                            let padding =
                                layer.op.paddingValues.isEmpty ? Int(inputQuantization.zeroPoint) : framedLevels[c]
                            sum += (isInside ? Int(input[place + c]) : padding) * Int(weight[weights + c])
                        }
                    }
                    result += finish(
                        layer, Float(Int32(sum)) * multiplier[channel], residual[pixel * channels + channel])
                }
            }
            return result
        }

        private func finish(_ layer: Layer, _ scaled: Float, _ residual: UInt8) -> [UInt8] {
            let number = { (t: Float, zero: Int32, low: Float, high: Float) -> UInt8 in
                UInt8(min(max(t.rounded(.toNearestOrEven) + Float(zero), low), high))
            }
            let zero = resultQuantization.zeroPoint
            switch layer.finish {
            case .plain: return [number(scaled, zero, 0, 255)]
            case .relu: return [number(scaled, zero, Float(zero), 255)]
            case .relu6: return [number(scaled, zero, Float(zero), Float(zero) + 120)]  // 6 / 0.05
            case .table: return [table[Int(number(scaled, preActivation.zeroPoint, 0, 255))]]
            case .residual:
                let ratio = residualQuantization.scale / resultQuantization.scale
                let other = Float(Int32(residual) - residualQuantization.zeroPoint) * ratio
                return [number(scaled + other, zero, 0, 255)]
            case .float: return withUnsafeBytes(of: scaled) { Array($0) }
            }
        }
    }

    @Test(arguments: layers) func equalsTheDefinition(layer: Layer) throws {
        let instance = try Instance(layer)
        #expect(try instance.outputs() == instance.expected(layer))
    }

    @Test(arguments: layers) func instructionSetsAndThreadsGiveTheSameBytes(layer: Layer) throws {
        let instance = try Instance(layer)
        let expected = try instance.outputs(SessionOptions(instructionSet: .scalar))
        for set in InstructionSet.available {
            for threads in 1...3 {
                let outputs = try instance.outputs(SessionOptions(threads: threads, instructionSet: set))
                #expect(outputs == expected, "\(set.name), \(threads) threads")
            }
        }
    }

    // MARK: Refusals

    private func layer(_ finish: Finish) throws -> Instance {
        try Instance(
            Layer(
                testDescription: "refused", x: [1, 4, 4, 8], weight: [8, 1, 1, 8], op: Conv2D(), finish: finish,
                isPacked: true))
    }

    private func constant(_ name: String, _ graph: Graph) -> ValueID {
        graph.constants.first { graph[$0].name == name }!
    }

    @Test func multipliersMustBeFiniteAndBelow65536() throws {
        for value in [Float.infinity, .nan, 65536, -70000] {
            var instance = try layer(.plain)
            let id = constant("multiplier", instance.graph)
            instance.graph[id].constant?.data = TensorData(elements: [1, 1, 1, value, 1, 1, 1, 1])
            #expect(throws: RuntimeError.invalidConstant(name: "multiplier", problem: "element 3 is not below 65536")) {
                try Session(instance.graph)
            }
        }
    }

    @Test func constantsWithoutDataAreNamed() throws {
        for name in ["weight", "bias", "multiplier", "table"] {
            var instance = try layer(.table)
            let id = constant(name, instance.graph)
            instance.graph[id].constant?.data = nil
            #expect(throws: RuntimeError.missingConstant(name: name)) { try Session(instance.graph) }
        }
    }
}
