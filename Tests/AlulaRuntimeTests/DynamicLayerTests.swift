import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

/// Layers of numbers that are quantized with a scale of each run, against whole-number arithmetic, for equality.
@Suite struct DynamicLayerTests {
    private struct Layer {
        var graph = Graph()
        let weight: [Int8]
        let multiplier: [Float]
        let input: [Float]
        let op: Conv2D
        let shapes: (x: Shape, weight: Shape)

        init(_ x: Shape, _ weight: Shape, _ op: Conv2D, hasScale: Bool, isPacked: Bool) throws {
            var random = RandomNumbers(seed: UInt64(x.elementCount * 31 + weight.elementCount))
            self.op = op
            shapes = (x, weight)
            let channels = weight[0]
            self.weight = random.integers(weight.elementCount, in: -128...127)
            multiplier = random.floats(channels, in: 0.001...0.02)
            input = random.floats(x.elementCount, in: -1.5...2.5)
            let image = graph.addInput("x", TensorType(.f32, x))
            let numbers = try graph.addAll(.dynamicQuantize(DynamicQuantize()), [image])
            let operands = [
                numbers[0], addWeight(isPacked), .none,
                graph.addConstant("multiplier", TensorType(.f32, [channels]), TensorData(elements: multiplier)), .none,
                .none, hasScale ? numbers[1] : .none, numbers[2],
            ]
            let shape = try Operator.conv2D(op).resultShapes([TensorType(.u8, x), TensorType(.s8, weight)])[0]
            graph.setOutputs(graph.addNode(.conv2D(op), operands, types: [TensorType(.f32, shape)]) + numbers[1...])
        }

        private mutating func addWeight(_ isPacked: Bool) -> ValueID {
            let geometry = WeightGeometry(shapes.weight, groups: op.groups)
            let layout = geometry.packedLayout(.s8)
            var packed = [Int8](repeating: 0, count: geometry.byteCount(layout, .s8)!)
            geometry.pack(weight, as: layout, into: &packed)
            let type = TensorType(.s8, shapes.weight)
            return isPacked
                ? graph.addConstant("weight", type, layout: layout, TensorData(elements: packed))
                : graph.addConstant("weight", type, TensorData(elements: weight))
        }

        func outputs(_ options: SessionOptions = SessionOptions()) throws -> [[Float]] {
            let session = try Session(graph, options: options)
            try session.setInput(0, floats: input)
            session.run()
            return try (0..<3).map { try session.outputFloats($0) }
        }

        func expected(hasScale: Bool) -> [Float] {
            let (low, high) = (min(input.min()!, 0), max(input.max()!, 0))
            let scale = (high - low) / 255
            let zero = Int(min(max(-low / scale, 0), 255).rounded(.toNearestOrEven))
            let numbers = input.map { min(max(Int(($0 / scale).rounded(.toNearestOrEven)) + zero, 0), 255) - zero }
            let result = graph.shape(graph.outputs[0])
            let (x, weight) = shapes
            return (0..<result.elementCount).map { place in
                let (pixel, channel) = (place / weight[0], place % weight[0])
                let (row, column) = (pixel / result[2] % result[1], pixel % result[2])
                let first = channel / (weight[0] / op.groups) * weight[3]
                var sum = 0
                for tap in 0..<weight[1] * weight[2] {
                    let h = row * op.stride.height - op.padding.top + tap / weight[2]
                    let w = column * op.stride.width - op.padding.left + tap % weight[2]
                    guard (0..<x[1]).contains(h), (0..<x[2]).contains(w) else { continue }
                    for c in 0..<weight[3] {
                        let level = numbers[((pixel / result[2] / result[1] * x[1] + h) * x[2] + w) * x[3] + first + c]
                        sum += level * Int(self.weight[(channel * weight[1] * weight[2] + tap) * weight[3] + c])
                    }
                }
                return Float(sum) * (hasScale ? scale * multiplier[channel] : multiplier[channel])
            }
        }
    }

    @Test func sumsAreExactOnEveryInstructionSet() throws {
        let cases: [(Shape, Shape, Conv2D)] = [
            ([1, 1, 50, 40], [23, 1, 1, 40], Conv2D()),
            ([2, 9, 8, 3], [24, 3, 3, 3], Conv2D(stride: Pair(2), padding: Padding(1))),
            ([1, 6, 5, 12], [15, 3, 3, 4], Conv2D(padding: Padding(1), groups: 3)),
            ([1, 7, 6, 19], [19, 3, 3, 1], Conv2D(padding: Padding(1), groups: 19)),
        ]
        for (x, weight, op) in cases {
            for (hasScale, isPacked) in [(true, false), (false, true)] {
                let layer = try Layer(x, weight, op, hasScale: hasScale, isPacked: isPacked)
                let expected = layer.expected(hasScale: hasScale)
                for set in InstructionSet.available {
                    for threads in 1...3 {
                        let found = try layer.outputs(SessionOptions(threads: threads, instructionSet: set))
                        #expect(found[0] == expected, "\(weight) \(set.name), \(threads) threads")
                    }
                }
            }
        }
    }

    @Test func graphTextKeepsIt() throws {
        let layer = try Layer([1, 1, 5, 4], [3, 1, 1, 4], Conv2D(), hasScale: true, isPacked: false)
        let copy = try Graph(text: layer.graph.text)
        #expect(copy.text == layer.graph.text)
        #expect(copy.text.contains("dynamic_quantize(%x) : u8[1,1,5,4] scale=1 zero=0, f32[], f32[]"))
    }

    @Test func whatExcludesItIsRefused() throws {
        let text = """
            alula 1
            const @w : s8[3,4]
            const @b : i32[3]
            const @m : f32[3]
            input %x : f32[2,4]
            %q, %s, %z = dynamic_quantize(%x) : u8[2,4] scale=1 zero=0, f32[], f32[]
            %y = linear(%q, @w, BIAS multiplier=@m, x_scale=%s, x_zero=%z) : f32[2,3]
            output %y
            """
        _ = try Graph(text: text.replacing("BIAS ", with: ""))
        #expect(throws: GraphError.self) { try Graph(text: text.replacing("BIAS", with: "bias=@b,")).verify() }
        #expect(throws: GraphError.self) {
            try Graph(text: text.replacing("BIAS ", with: "").replacing("zero=0,", with: "zero=1,")).verify()
        }
    }
}
