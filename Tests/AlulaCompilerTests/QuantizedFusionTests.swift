import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import Testing

/// Graphs as quantized ONNX models import: dequantize, an operator, quantize.
@Suite struct QuantizedFusionTests {
    /// Weights that are s8 levels times a step for each row, as a quantizer leaves them.
    private func onLattices(_ graph: Graph) -> Graph {
        var result = graph
        for id in graph.constants where graph[id].name.hasPrefix("w") {
            let shape = graph.shape(id)
            let length = shape.elementCount / shape[0]
            let values = (0..<shape.elementCount).map { index -> Float in
                let level = Float((index * 53 + 17) % 255 - 127)
                return level * (0.003 + 0.001 * Float(index / length))
            }
            result[id].constant?.data = TensorData(elements: values)
        }
        return result
    }

    /// Runs the graph before and after; results are real numbers in steps of `scale`.
    private func check(
        _ body: String, leaves expected: [String], within steps: Int = 0, scale: Float, tolerance: Float = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let original = onLattices(try fusionGraph(body))
        let compiled = try Pass.run(Pass.folding + Pass.floatOnly, on: original)
        #expect(compiled.nodes.map { $0.op.name } == expected, "\(compiled.text)", sourceLocation: sourceLocation)
        let input = ramp(original.shape(original.inputs[0]).elementCount).map { $0 * 2 }
        let limit: Float = (Float(steps) + 0.01) * scale + tolerance
        for (a, b) in zip(try run(original, input), try run(compiled, input)) {
            let difference = abs(a - b)
            #expect(difference <= limit, sourceLocation: sourceLocation)
        }
    }

    private static let input = """
        input %x : f32[1,4,4,8]
        %q = quantize(%x) : u8[1,4,4,8] scale=0.016 zero=126
        %d = dequantize(%q) : f32[1,4,4,8]

        """

    @Test func aConvolutionKeepsTheModelsWeightsAndScales() throws {
        let body =
            Self.input + """
                %c = conv2d(%d, @w[16,3,3,8], bias=@b[16]) pad=1 : f32[1,4,4,16]
                %y = quantize(%c) : u8[1,4,4,16] scale=0.05 zero=131
                %z = dequantize(%y) : f32[1,4,4,16]
                output %z
                """
        try check(body, leaves: ["conv2d", "dequantize"], within: 1, scale: 0.05)
        let compiled = try Pass.run(Pass.folding, on: onLattices(try fusionGraph(body)))
        let weight = try #require(compiled.constants.first { compiled[$0].name == "w" })
        let levels = try #require(compiled[weight].constant?.data).array(of: Int8.self)
        let original = levels.indices.map { Int8(($0 * 53 + 17) % 255 - 127) }
        #expect(levels == original)
    }

    @Test func aClampBelongsToTheLayer() throws {
        let body =
            Self.input + """
                %c = linear(%d, @w[16,8]) : f32[1,4,4,16]
                %r = relu(%c) : f32[1,4,4,16]
                %y = quantize(%r) : u8[1,4,4,16] scale=0.02 zero=20
                %z = dequantize(%y) : f32[1,4,4,16]
                output %z
                """
        try check(body, leaves: ["linear", "dequantize"], within: 1, scale: 0.02)
    }

    @Test func aLayerThatIsNotRoundedGivesRealNumbers() throws {
        let body = Self.input + "%y = linear(%d, @w[16,8], bias=@b[16]) : f32[1,4,4,16]\noutput %y"
        try check(body, leaves: ["linear"], scale: 0, tolerance: 2e-4)
    }

    /// A GELU of five operators, each rounded: one table, which the layer before it takes.
    @Test func roundedElementwiseChainsAreOneTable() throws {
        let body =
            Self.input + """
                %c = linear(%d, @w[16,8]) : f32[1,4,4,16]
                %cq = quantize(%c) : u8[1,4,4,16] scale=0.03 zero=128
                %cd = dequantize(%cq) : f32[1,4,4,16]
                %v = div(%cd, @is:1.4142135) : f32[1,4,4,16]
                %vq = quantize(%v) : u8[1,4,4,16] scale=0.021 zero=128
                %vd = dequantize(%vq) : f32[1,4,4,16]
                %e = erf(%vd) : f32[1,4,4,16]
                %eq = quantize(%e) : u8[1,4,4,16] scale=0.0078 zero=128
                %ed = dequantize(%eq) : f32[1,4,4,16]
                %o = add(%ed, @is:1) : f32[1,4,4,16]
                %oq = quantize(%o) : u8[1,4,4,16] scale=0.0079 zero=0
                %od = dequantize(%oq) : f32[1,4,4,16]
                %cd2 = dequantize(%cq) : f32[1,4,4,16]
                %m = mul(%cd2, %od) : f32[1,4,4,16]
                %y = quantize(%m) : u8[1,4,4,16] scale=0.03 zero=8
                %z = dequantize(%y) : f32[1,4,4,16]
                output %z
                """
        try check(body, leaves: ["linear", "dequantize"], within: 1, scale: 0.03)
    }

    @Test(arguments: ["add", "sub", "mul"]) func sumsDifferencesAndProductsOfBytes(op: String) throws {
        let body =
            Self.input + """
                %p = avg_pool(%d) kernel=3 pad=1 : f32[1,4,4,8]
                %pq = quantize(%p) : u8[1,4,4,8] scale=0.01 zero=120
                %pd = dequantize(%pq) : f32[1,4,4,8]
                %s = \(op)(%pd, %d) : f32[1,4,4,8]
                %y = quantize(%s) : u8[1,4,4,8] scale=0.02 zero=128
                %z = dequantize(%y) : f32[1,4,4,8]
                output %z
                """
        try check(body, leaves: ["avg_pool", op, "dequantize"], within: 1, scale: 0.02)
    }

    /// A constant of a quantized model is steps of one size.
    @Test(arguments: ["mul", "add"]) func constantsByChannelAreBytes(op: String) throws {
        let body =
            Self.input + """
                %s = \(op)(%d, @w.scale[1,8]) : f32[1,4,4,8]
                %y = quantize(%s) : u8[1,4,4,8] scale=0.02 zero=128
                %z = dequantize(%y) : f32[1,4,4,8]
                output %z
                """
        try check(body, leaves: [op, "dequantize"], within: 1, scale: 0.02)
    }

    @Test func layerNormAndMovesAndConcatenation() throws {
        let body =
            Self.input + """
                %t = reshape(%d) shape=1,16,8 : f32[1,16,8]
                %tq = quantize(%t) : u8[1,16,8] scale=0.016 zero=126
                %td = dequantize(%tq) : f32[1,16,8]
                %n = layer_norm(%td, @g[8], @b[8]) : f32[1,16,8]
                %nq = quantize(%n) : u8[1,16,8] scale=0.02 zero=128
                %nd = dequantize(%nq) : f32[1,16,8]
                %a, %b = split(%nd) axis=2 sizes=4,4 : f32[1,16,4], f32[1,16,4]
                %c = concat(%b, %td, %a) axis=2 : f32[1,16,16]
                %y = quantize(%c) : u8[1,16,16] scale=0.025 zero=128
                %z = dequantize(%y) : f32[1,16,16]
                output %z
                """
        let moves = ["reshape", "layer_norm", "slice", "slice", "requantize", "requantize", "requantize", "concat"]
        try check(body, leaves: moves + ["dequantize"], within: 1, scale: 0.025)
    }

    /// Softmax and products of two computed matrices have no int8 form, and these weights lie on no lattice.
    @Test func whatIntegersCannotExpressStaysFloat() throws {
        let body =
            Self.input + """
                %f = linear(%d, @free[8,8]) : f32[1,4,4,8]
                %s = softmax(%f) axis=3 : f32[1,4,4,8]
                %sq = quantize(%s) : u8[1,4,4,8] scale=0.0039 zero=0
                %sd = dequantize(%sq) : f32[1,4,4,8]
                %y = matmul(%sd, %d) transpose_b=true : f32[1,4,4,4]
                output %y
                """
        let expected = ["dequantize", "linear", "softmax", "quantize", "dequantize", "matmul"]
        try check(body, leaves: expected, scale: 0, tolerance: 1e-5)
    }
}
