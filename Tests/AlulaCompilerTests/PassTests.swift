import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import Foundation
import Testing

/// A parsed graph with every constant filled: f32 with small seeded numbers (positive for variances), i32 with 0, 1, 2….
func graph(_ text: String, seed: UInt64 = 1) throws -> Graph {
    var graph = try Graph(text: text)
    var state = seed
    for id in graph.constants {
        let count = graph.shape(id).elementCount
        let isPositive = graph[id].name.contains("var")
        switch graph.type(id).dataType {
        case .f32:
            let values: [Float] = (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let unit = Float(state >> 40) / Float(1 << 24)
                return isPositive ? unit + 0.5 : unit * 2 - 1
            }
            graph[id].constant?.data = TensorData(elements: values)
        default: graph[id].constant?.data = TensorData(elements: (0..<Int32(count)).map { $0 })
        }
    }
    return graph
}

func run(_ graph: Graph, _ input: [Float]) throws -> [Float] {
    let session = try Session(graph)
    try session.setInput(0, floats: input)
    session.run()
    return try session.outputFloats(0)
}

func ramp(_ count: Int) -> [Float] { (0..<count).map { Float($0 * 37 % 101) / 50 - 1 } }

/// Nodes and attributes without constants' names and types: what a pass is expected to leave.
private func shapeOf(_ graph: Graph) -> [String] { graph.nodes.map { $0.op.name } }

@Suite struct PassTests {
    @Test(arguments: [
        (
            "batch norm into a convolution",
            """
            const @w : f32[4,3,3,2]
            const @b : f32[4]
            const @g : f32[4]
            const @s : f32[4]
            const @m : f32[4]
            const @var : f32[4]
            input %x : f32[1,5,5,2]
            %0 = conv2d(%x, @w, bias=@b) pad=1 : f32[1,5,5,4]
            %1 = batch_norm(%0, @g, @s, @m, @var) eps=0.001 : f32[1,5,5,4]
            %2 = relu(%1) : f32[1,5,5,4]
            output %2
            """, ["conv2d", "relu"]
        ),
        (
            "batch norm into the 1x1 convolution behind it",
            """
            const @w : f32[4,1,1,2]
            const @g : f32[2]
            const @s : f32[2]
            const @m : f32[2]
            const @var : f32[2]
            input %x : f32[1,5,5,2]
            %0 = batch_norm(%x, @g, @s, @m, @var) : f32[1,5,5,2]
            %1 = conv2d(%0, @w) : f32[1,5,5,4]
            output %1
            """, ["conv2d"]
        ),
        (
            "batch norm stays in front of a padded convolution",
            """
            const @w : f32[4,3,3,2]
            const @g : f32[2]
            const @s : f32[2]
            const @m : f32[2]
            const @var : f32[2]
            input %x : f32[1,5,5,2]
            %0 = batch_norm(%x, @g, @s, @m, @var) : f32[1,5,5,2]
            %1 = conv2d(%0, @w) pad=1 : f32[1,5,5,4]
            output %1
            """, ["batch_norm", "conv2d"]
        ),
        (
            "batch norm through the mean into the linear layer behind it",
            """
            const @w : f32[4,2]
            const @g : f32[2]
            const @s : f32[2]
            const @m : f32[2]
            const @var : f32[2]
            input %x : f32[1,5,5,2]
            %0 = batch_norm(%x, @g, @s, @m, @var) : f32[1,5,5,2]
            %1 = mean(%0) axes=1,2 : f32[1,2]
            %2 = linear(%1, @w) : f32[1,4]
            output %2
            """, ["mean", "linear"]
        ),
        (
            "the pool mixer with layer scale",
            """
            const @ls : f32[3]
            input %x : f32[1,6,5,3]
            %0 = avg_pool(%x) kernel=3 pad=1 : f32[1,6,5,3]
            %1 = sub(%0, %x) : f32[1,6,5,3]
            %2 = mul(@ls, %1) : f32[1,6,5,3]
            %3 = add(%x, %2) : f32[1,6,5,3]
            output %3
            """, ["pool_mixer"]
        ),
        (
            "an average that counts padding is no mixer",
            """
            input %x : f32[1,6,5,3]
            %0 = avg_pool(%x) kernel=3 pad=1 count_pad=true : f32[1,6,5,3]
            %1 = sub(%0, %x) : f32[1,6,5,3]
            %3 = add(%x, %1) : f32[1,6,5,3]
            output %3
            """, ["avg_pool", "sub", "add"]
        ),
        (
            "layer scale and residual into a linear layer",
            """
            const @w : f32[6,6]
            const @b : f32[6]
            const @ls : f32[6]
            input %x : f32[4,6]
            %0 = linear(%x, @w, bias=@b) : f32[4,6]
            %1 = mul(%0, @ls) : f32[4,6]
            %2 = add(%x, %1) : f32[4,6]
            output %2
            """, ["linear"]
        ),
        (
            "the residual of windows that were put together again",
            """
            const @w : f32[6,4]
            const @b : f32[6]
            input %x : f32[2,3,4]
            input %y : f32[1,6,6]
            %0 = linear(%x, @w, bias=@b) : f32[2,3,6]
            %1 = reshape(%0) shape=1,6,6 : f32[1,6,6]
            %2 = roll(%1) axis=1 shift=2 : f32[1,6,6]
            %3 = add(%y, %2) : f32[1,6,6]
            output %3
            """, ["reshape", "roll", "linear"]
        ),
        (
            "a move that cuts rows stays behind its layer",
            """
            const @w : f32[6,4]
            input %x : f32[2,3,4]
            input %y : f32[2,9,2]
            %0 = linear(%x, @w) : f32[2,3,6]
            %1 = reshape(%0) shape=2,9,2 : f32[2,9,2]
            %2 = add(%y, %1) : f32[2,9,2]
            output %2
            """, ["linear", "reshape", "add"]
        ),
        (
            "two averaged heads into one",
            """
            const @w1 : f32[5,6]
            const @b1 : f32[5]
            const @w2 : f32[5,6]
            const @half : f32[1]
            input %x : f32[1,6]
            %0 = linear(%x, @w1, bias=@b1) : f32[1,5]
            %1 = linear(%x, @w2) : f32[1,5]
            %2 = add(%0, %1) : f32[1,5]
            %3 = mul(%2, @half) : f32[1,5]
            output %3
            """, ["linear"]
        ),
        (
            "transposes that cancel",
            """
            input %x : f32[1,2,3,4]
            %0 = transpose(%x) perm=0,2,3,1 : f32[1,3,4,2]
            %1 = transpose(%0) perm=0,3,1,2 : f32[1,2,3,4]
            %2 = relu(%1) : f32[1,2,3,4]
            output %2
            """, ["relu"]
        ),
        (
            "what depends on constants alone",
            """
            const @a : f32[3]
            const @b : f32[3]
            input %x : f32[3]
            %0 = add(@a, @b) : f32[3]
            %1 = exp(%0) : f32[3]
            %2 = mul(%x, %1) : f32[3]
            output %2
            """, ["mul"]
        ),
        (
            "a value with a second reader is not swallowed",
            """
            const @w : f32[6,6]
            const @ls : f32[6]
            input %x : f32[4,6]
            %0 = linear(%x, @w) : f32[4,6]
            %1 = mul(%0, @ls) : f32[4,6]
            %2 = sub(%1, %0) : f32[4,6]
            output %2
            """, ["linear", "mul", "sub"]
        ),
    ])
    func folds(name: String, body: String, expected: [String]) throws {
        let original = try graph("alula 1\n" + body + "\n")
        let folded = try Pass.run(Pass.folding, on: original)
        #expect(shapeOf(folded) == expected, "\(name):\n\(folded.text)")
        let input = ramp(original.shape(original.inputs[0]).elementCount)
        let (before, after) = (try run(original, input), try run(folded, input))
        for (a, b) in zip(before, after) { #expect(abs(a - b) <= 1e-5 * max(1, abs(a)), "\(name)") }
        let finished = try Pass.run(Pass.floatOnly, on: folded)
        for (a, b) in zip(before, try run(finished, input)) { #expect(abs(a - b) <= 1e-5 * max(1, abs(a)), "\(name)") }
    }

    @Test func unknownPassIsAnError() throws {
        let original = try graph("alula 1\ninput %x : f32[3]\n%0 = relu(%x) : f32[3]\noutput %0\n")
        #expect(throws: CompilerError.self) { try Pass.run(Pass.folding, on: original, after: "nonsense") }
    }
}

@Suite struct QuantizerTests {
    /// A small network with every operator that has an int8 form, and a few that do not.
    private let network = """
        alula 1
        const @w1 : f32[16,3,3,3]
        const @b1 : f32[16]
        const @ls : f32[16]
        const @w2 : f32[32,1,1,16]
        const @b2 : f32[32]
        const @w3 : f32[16,1,1,32]
        const @gamma : f32[16]
        const @beta : f32[16]
        const @qkv : f32[64,16]
        const @bias : f32[4,16,16]
        const @proj : f32[16,32]
        const @head : f32[5,16]
        const @hb : f32[5]
        input %x : f32[1,8,8,3]
        %c = conv2d(%x, @w1, bias=@b1) stride=2 pad=1 : f32[1,4,4,16]
        %r = relu(%c) : f32[1,4,4,16]
        %p = avg_pool(%r) kernel=3 pad=1 : f32[1,4,4,16]
        %d = sub(%p, %r) : f32[1,4,4,16]
        %s = mul(%d, @ls) : f32[1,4,4,16]
        %m = add(%r, %s) : f32[1,4,4,16]
        %h = conv2d(%m, @w2, bias=@b2) : f32[1,4,4,32]
        %g = gelu(%h) : f32[1,4,4,32]
        %o = conv2d(%g, @w3) : f32[1,4,4,16]
        %e = add(%m, %o) : f32[1,4,4,16]
        %t = reshape(%e) shape=1,16,16 : f32[1,16,16]
        %n = layer_norm(%t, @gamma, @beta) : f32[1,16,16]
        %q = linear(%n, @qkv) : f32[1,16,64]
        %a = attention(%q, bias=@bias) heads=4 key_dim=4 value_dim=8 scale=0.5 packing=per_head : f32[1,16,32]
        %u = linear(%a, @proj) : f32[1,16,16]
        %v = add(%t, %u) : f32[1,16,16]
        %y = softmax(%v) axis=2 : f32[1,16,16]
        %z = mean(%y) axes=1 : f32[1,16]
        %logits = linear(%z, @head, bias=@hb) : f32[1,5]
        output %logits
        """

    private func quantized(_ method: CalibrationMethod = .minMax) throws -> (float: Graph, int8: Graph) {
        let folded = try Pass.run(Pass.folding, on: try graph(network + "\n"))
        var calibration = try Calibration(folded, method: method)
        for sample in 0..<8 {
            try calibration.observe([(0..<192).map { Float(($0 * 31 + sample * 17) % 97) / 48 - 1 }])
        }
        return (folded, try Quantizer.quantize(folded, calibration))
    }

    @Test(arguments: [CalibrationMethod.minMax, .percentile(0.9999)])
    func staysCloseToFloat(method: CalibrationMethod) throws {
        let (float, int8) = try quantized(method)
        var (signal, noise): (Float, Float) = (0, 0)
        for sample in 0..<8 {
            let input = (0..<192).map { Float(($0 * 31 + sample * 17) % 97) / 48 - 1 }
            for (a, b) in zip(try run(float, input), try run(int8, input)) {
                signal += a * a
                noise += (a - b) * (a - b)
            }
        }
        #expect(signal / noise > 1000, "\(signal / noise)")
    }

    @Test func usesInt8WhereItExists() throws {
        let int8 = try quantized().int8
        let floatNodes = int8.nodes.filter { int8.type($0.outputs[0]).dataType == .f32 }.map { $0.op.name }
        #expect(floatNodes == ["dequantize", "softmax", "linear"], "\(int8.text)")
        #expect(int8.type(int8.inputs[0]).dataType == .u8)
        #expect(int8.nodes.filter { $0.op.name == "gelu" || $0.op.name == "relu" }.isEmpty)
    }

    @Test func givesTheSameBytesOnEveryInstructionSetAndThreadCount() throws {
        let plain = try quantized().int8
        let packed = try Pass.run([Pass.pack], on: plain)
        let input = ramp(192)
        var results: [[UInt8]] = []
        for graph in [plain, packed] {
            for instructionSet in InstructionSet.available {
                for threads in 1...3 {
                    let session = try Session(
                        graph, options: SessionOptions(threads: threads, instructionSet: instructionSet))
                    try session.setInput(0, floats: input)
                    session.run()
                    results.append(session.output(0))
                }
            }
        }
        #expect(Set(results).count == 1)
        #expect(results.count >= 6)
    }

    /// Inputs with a large mean, as behind a ReLU: rounded weights alone would shift every output.
    @Test func meansOfOutputsAreKept() throws {
        let text = """
            alula 1
            const @w : f32[32,96]
            const @b : f32[32]
            input %x : f32[1,96]
            %y = linear(%x, @w, bias=@b) : f32[1,32]
            output %y

            """
        let float = try graph(text)
        let inputs = (0..<32).map { sample in (0..<96).map { Float(3 + sin(Double($0 * 7 + sample * 13))) } }
        var calibration = try Calibration(float, method: .minMax)
        for input in inputs { try calibration.observe([input]) }
        let int8 = try Quantizer.quantize(float, calibration)
        var (shift, signal) = ([Double](repeating: 0, count: 32), 0.0)
        for input in inputs {
            for (index, (a, b)) in zip(try run(float, input), try run(int8, input)).enumerated() {
                shift[index] += Double(b - a) / Double(inputs.count)
                signal = max(signal, abs(Double(a)))
            }
        }
        let largest = shift.reduce(0) { max($0, abs($1)) }
        #expect(largest < signal * 5e-4, "\(largest) of \(signal)")
    }

    @Test func isDeterministic() throws {
        let (first, second) = (try quantized().int8, try quantized().int8)
        #expect(first.text == second.text)
        for id in first.constants {
            #expect(first[id].constant?.data?.array(of: UInt8.self) == second[id].constant?.data?.array(of: UInt8.self))
        }
    }

    @Test func refusesWhatWasNotCalibrated() throws {
        let folded = try Pass.run(Pass.folding, on: try graph(network + "\n"))
        let calibration = try Calibration(folded, method: .minMax)
        #expect(throws: CompilerError.noSamples) { try Quantizer.quantize(folded, calibration) }
    }

    @Test func refusesNumbersThatAreNotFinite() throws {
        let folded = try Pass.run(Pass.folding, on: try graph(network + "\n"))
        var calibration = try Calibration(folded, method: .minMax)
        #expect(throws: CompilerError.self) { try calibration.observe([[Float](repeating: .nan, count: 192)]) }
    }
}
