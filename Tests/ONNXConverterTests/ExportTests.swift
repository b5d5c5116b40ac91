import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import Foundation
import ONNXConverter
import TestSupport
import Testing

/// Graphs to ONNX and back: the same numbers.
@Suite struct ExportTests {
    /// The graph that reading back the export gives.
    private func roundTrip(_ graph: Graph) throws -> ONNXImport {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).onnx").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try ONNXExport(graph, metadata: [("alula.labels", "[\"a\"]")]).write(to: path)
        return try ONNXModel(contentsOf: path).imported()
    }

    /// Constants get small seeded numbers, those called `var…` positive ones.
    private func filled(_ text: String) throws -> Graph {
        var graph = try Graph(text: text)
        var state: UInt64 = 7
        for id in graph.constants {
            let values: [Float] = (0..<graph.shape(id).elementCount).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let unit = Float(state >> 40) / Float(1 << 24)
                return graph[id].name.hasPrefix("var") ? unit + 0.5 : unit - 0.5
            }
            let isIndex = graph.type(id).dataType == .i32
            graph[id].constant?.data =
                isIndex ? TensorData(elements: values.indices.map { Int32($0) }) : TensorData(elements: values)
        }
        return graph
    }

    private func input(_ graph: Graph) -> [Float] {
        (0..<graph.shape(graph.inputs[0]).elementCount).map { Float($0 * 37 % 101) / 25 - 2 }
    }

    private static let picture = """
        alula 1
        const @w : f32[6,3,3,3]
        const @b : f32[6]
        const @gamma : f32[6]
        const @beta : f32[6]
        const @mean : f32[6]
        const @var : f32[6]
        const @depthwise : f32[6,3,3,1]
        const @up : f32[6,2,2,1]
        const @scale : f32[6]
        const @wq : f32[24,6]
        const @bq : f32[24]
        const @bias : f32[2,16,16]
        const @wo : f32[6,8]
        const @index : i32[3]
        const @head : f32[5,6]
        input %x : f32[1,8,8,3]
        %c = conv2d(%x, @w, bias=@b) stride=2 pad=1 act=gelu : f32[1,4,4,6]
        %n = batch_norm(%c, @gamma, @beta, @mean, @var) : f32[1,4,4,6]
        %d = conv2d(%n, @depthwise, residual=%n) pad=1 groups=6 : f32[1,4,4,6]
        %m = pool_mixer(%d, scale=@scale) size=3 : f32[1,4,4,6]
        %p = max_pool(%m) kernel=2 stride=2 : f32[1,2,2,6]
        %u = conv_transpose2d(%p, @up, bias=@b) stride=2 groups=6 : f32[1,4,4,6]
        %a = add(%m, %u) act=relu : f32[1,4,4,6]
        %k = mul(%a, @scale) : f32[1,4,4,6]
        %t = reshape(%k) shape=1,16,6 : f32[1,16,6]
        %l = layer_norm(%t, @gamma, @beta) eps=0.001 : f32[1,16,6]
        %q = linear(%l, @wq, bias=@bq) : f32[1,16,24]
        %att = attention(%q, bias=@bias) heads=2 key_dim=4 value_dim=4 scale=0.5 packing=PACKING : f32[1,16,8]
        %o = linear(%att, @wo, residual=%t) : f32[1,16,6]
        %r = roll(%o) axis=1 shift=3 : f32[1,16,6]
        %s1, %s2 = split(%r) axis=1 sizes=10,6 : f32[1,10,6], f32[1,6,6]
        %g = gather(%s2, @index) axis=1 : f32[1,3,6]
        %cc = concat(%s1, %g) axis=1 : f32[1,13,6]
        %sl = slice(%cc) axis=1 begin=1 end=13 step=2 : f32[1,6,6]
        %pd = pad(%sl) before=0,1,0 after=0,0,0 value=0.5 : f32[1,7,6]
        %mm = matmul(%pd, %sl) transpose_b=true scale=0.25 : f32[1,7,6]
        %sm = softmax(%mm) axis=2 : f32[1,7,6]
        %v = mean(%sm) axes=1 : f32[1,6]
        %logits = linear(%v, @head) : f32[1,5]
        output %logits
        output %k

        """

    @Test(arguments: ["stacked", "per_head"]) func floatGraphsComeBackTheSame(packing: String) throws {
        let graph = try filled(Self.picture.replacing("PACKING", with: packing))
        let expected = try run(graph, input(graph))
        for form in [graph, try Pass.run(Pass.folding + Pass.floatOnly, on: graph)] {
            let back = try roundTrip(form).graph
            let found = try run(back, input(graph))
            for name in ["logits", "k"] {
                let difference = relativeDifference(try #require(found[name]), try #require(expected[name]))
                #expect(difference <= 1e-5, "\(name)")
            }
            // Fused again, it is the graph of its author: one attention, one mixer, no transposes but those of k.
            let fused = try Pass.run(Pass.folding, on: back)
            let names = fused.nodes.map { $0.op.name }
            #expect(names.contains("attention") && names.contains("pool_mixer") && names.contains("layer_norm"))
        }
    }

    /// Those whose operators are imported.
    private static let functions: [UnaryFunction] = [
        .relu, .relu6, .sigmoid, .tanh, .exp, .log, .sqrt, .rsqrt, .reciprocal, .negate, .abs, .erf, .gelu, .geluTanh,
        .silu,
        .swish, .hardSwish, .hardSigmoid, .clip,
    ]

    @Test(arguments: functions) func functionsComeBack(function: UnaryFunction) throws {
        let body = "alula 1\ninput %x : f32[2,50]\n%y = \(function.rawValue)(%x) : f32[2,50]\noutput %y\n"
        let graph = try Graph(text: body)
        let values = input(graph)
        let (a, b) = (try run(graph, values)["y"]!, try run(roundTrip(graph).graph, values)["y"]!)
        for (x, y) in zip(a, b) { #expect((x.isNaN && y.isNaN) || x == y || abs(x - y) <= 1e-6 * max(1, abs(x))) }
    }

    private static let network = """
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
        %m = pool_mixer(%r, scale=@ls) size=3 : f32[1,4,4,16]
        %h = conv2d(%m, @w2, bias=@b2) : f32[1,4,4,32]
        %g = gelu(%h) : f32[1,4,4,32]
        %e = conv2d(%g, @w3, residual=%m) : f32[1,4,4,16]
        %t = reshape(%e) shape=1,16,16 : f32[1,16,16]
        %n = layer_norm(%t, @gamma, @beta) : f32[1,16,16]
        %q = linear(%n, @qkv) : f32[1,16,64]
        %a = attention(%q, bias=@bias) heads=4 key_dim=4 value_dim=8 scale=0.5 packing=per_head : f32[1,16,32]
        %u = linear(%a, @proj) : f32[1,16,16]
        %v = add(%t, %u) : f32[1,16,16]
        %z = mean(%v) axes=1 : f32[1,16]
        %logits = linear(%z, @head, bias=@hb) : f32[1,5]
        output %logits

        """

    /// Int8 graphs, packed as in their files, become QDQ: the same weights and scales come back, and almost the same logits. Attention is f32
    /// between its roundings then, and residuals are rounded where the sum is, as before.
    @Test func int8GraphsComeBackWithTheirScales() throws {
        let float = try Pass.run(Pass.folding, on: try filled(Self.network))
        var calibration = try Calibration(float, method: .minMax)
        for sample in 0..<8 {
            try calibration.observe([(0..<192).map { Float(($0 * 31 + sample * 17) % 97) / 48 - 1 }])
        }
        let int8 = try Pass.run([Pass.pack], on: try Quantizer.quantize(float, calibration))
        let back = try roundTrip(int8).graph
        let compiled = try Pass.run(Pass.folding + Pass.floatOnly, on: back)
        let values = (0..<192).map { Float(($0 * 31 + 40) % 97) / 48 - 1 }
        let expected = try #require(run(int8, values)["logits"])
        for graph in [back, compiled] {
            #expect(relativeDifference(try #require(run(graph, values)["logits"]), expected) <= 0.02)
        }
        // The layers have the same s8 weights again.
        let levels = { (graph: Graph) in
            graph.nodes.filter { $0.op.name == "conv2d" || $0.op.name == "linear" }.map { node in
                graph.type(node.inputs[1]).dataType == .s8 ? graph.shape(node.inputs[1]).elementCount : 0
            }
        }
        let (before, after) = (levels(int8), levels(compiled))
        #expect(before == after)
    }

    @Test func labelsAreInTheFile() throws {
        let graph = try Graph(text: "alula 1\ninput %x : f32[2]\n%y = relu(%x) : f32[2]\noutput %y\n")
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).onnx").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try ONNXExport(graph, metadata: [("alula.labels", "[\"heron\"]")]).write(to: path)
        #expect(
            try ONNXModel(contentsOf: path).metadata.contains { $0.key == "alula.labels" && $0.value == "[\"heron\"]" })
    }
}
