import AlulaCompiler
import AlulaGraph
import TestSupport
import Testing

/// Sums of integers as ONNX models with a scale of each run import: numbers minus their zero point, a layer, products with scales.
@Suite struct DynamicFusionTests {
    private func check(
        _ body: String, leaves expected: [String], levels: ClosedRange<Int> = -128...127,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var original = try fusionGraph(
            """
            input %x : f32[1,4,4,8]
            %q, %s, %z = dynamic_quantize(%x) : u8[1,4,4,8] scale=1 zero=0, f32[], f32[]
            %d = dequantize(%q) : f32[1,4,4,8]
            %n = sub(%d, %z) : f32[1,4,4,8]
            """ + "\n" + body)
        for id in original.constants where original[id].name.hasPrefix("w") {
            let values = (0..<original.shape(id).elementCount).map {
                Float(levels.lowerBound + ($0 * 53 + 17) % levels.count)
            }
            original[id].constant?.data = TensorData(elements: values)
        }
        let compiled = try Pass.run(Pass.folding + Pass.floatOnly, on: original)
        #expect(compiled.nodes.map { $0.op.name } == expected, "\(compiled.text)", sourceLocation: sourceLocation)
        let input = ramp(128).map { $0 * 2 }
        let (before, after) = (try run(original, input), try run(compiled, input))
        #expect(relativeDifference(after, before) <= 1e-6, sourceLocation: sourceLocation)
    }

    @Test func scalesOfNumbersAndWeightsAreTheMultiplier() throws {
        let body = """
            %c = conv2d(%n, @w[16,3,3,8]) pad=1 : f32[1,4,4,16]
            %m = mul(%s, @scales[16]) : f32[16]
            %y = mul(%c, %m) : f32[1,4,4,16]
            output %y
            """
        try check(body, leaves: ["dynamic_quantize", "conv2d"])
    }

    @Test func layersOfOneOperandShareItsNumbers() throws {
        let body = """
            %a = linear(%n, @w.a[16,8]) : f32[1,4,4,16]
            %sa = mul(@is:0.02, %s) : f32[1]
            %ya = mul(%a, %sa) : f32[1,4,4,16]
            %b = linear(%n, @w.b[16,8]) : f32[1,4,4,16]
            %yb = mul(%s, %b) : f32[1,4,4,16]
            %y = add(%ya, %yb) : f32[1,4,4,16]
            output %y
            """
        try check(body, leaves: ["dynamic_quantize", "linear", "linear", "add"])
    }

    /// The sums themselves, read twice, are not scaled.
    @Test func sumsThatOthersReadStay() throws {
        let body = """
            %c = linear(%n, @w[16,8]) : f32[1,4,4,16]
            %m = mul(%c, %s) : f32[1,4,4,16]
            %y = add(%c, %m) : f32[1,4,4,16]
            output %y
            """
        try check(body, leaves: ["dynamic_quantize", "linear", "mul", "add"])
    }

    @Test func weightsBeyondBytesStayFloat() throws {
        let body = """
            %c = linear(%n, @w[16,8]) : f32[1,4,4,16]
            %y = mul(%c, %s) : f32[1,4,4,16]
            output %y
            """
        let expected = ["dynamic_quantize", "dequantize", "sub", "linear", "mul"]
        try check(body, leaves: expected, levels: 0...255)
    }
}
