import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import Testing

/// What mobile networks are made of besides layers: gates by channel, differences, activations with parameters, interpolation.
@Suite struct QuantizedGateTests {
    private static let network = """
        alula 1
        const @w : f32[16,3,3,3]
        const @squeeze : f32[8,1,1,16]
        const @excite : f32[16,1,1,8]
        const @eb : f32[16]
        const @scale : f32[16]
        const @w2 : f32[16,1,1,16]
        input %image : f32[1,8,8,3]
        %c = conv2d(%image, @w) pad=1 : f32[1,8,8,16]
        %r = leaky_relu(%c) alpha=0.1 : f32[1,8,8,16]
        %m = mean(%r) axes=1,2 keep=true : f32[1,1,1,16]
        %s = conv2d(%m, @squeeze) : f32[1,1,1,8]
        %sr = clip(%s) high=4 : f32[1,1,1,8]
        %e = conv2d(%sr, @excite, bias=@eb) : f32[1,1,1,16]
        %g = hard_sigmoid(%e) : f32[1,1,1,16]
        %gated = mul(%r, %g) : f32[1,8,8,16]
        %p = max_pool(%gated) kernel=3 pad=1 : f32[1,8,8,16]
        %d = sub(%p, %gated) : f32[1,8,8,16]
        %scaled = mul(@scale, %d) : f32[1,8,8,16]
        %o = conv2d(%scaled, @w2) : f32[1,8,8,16]
        %y = mish(%o) : f32[1,8,8,16]
        output %y

        """

    private static let inputs: [[Float]] = (0..<6).map { sample in
        (0..<192).map { (place: Int) -> Float in Float((place * 31 + sample * 17) % 97) / 48 - 1 }
    }

    private func quantized(_ text: String) throws -> (float: Graph, int8: Graph) {
        let float = try Pass.run(Pass.folding, on: try graph(text))
        var calibration = try Calibration(float, method: .minMax)
        for input in Self.inputs { try calibration.observe([input]) }
        return (float, try Quantizer.quantize(float, calibration))
    }

    @Test func everythingStaysInt8AndCloseToFloat() throws {
        let (float, int8) = try quantized(Self.network)
        let floats = int8.nodes.filter { int8.type($0.outputs[0]).dataType == .f32 }.map { $0.op.name }
        #expect(floats == ["dequantize"], "\(int8.text)")
        var (signal, noise): (Float, Float) = (0, 0)
        for input in Self.inputs {
            let (expected, actual): ([Float], [Float]) = (try run(float, input), try run(int8, input))
            for (a, b) in zip(expected, actual) {
                signal += a * a
                noise += (a - b) * (a - b)
            }
        }
        #expect(signal / noise > 300, "\(signal / noise)")
    }

    @Test func squaresStayFloat() throws {
        let text = """
            alula 1
            input %image : f32[1,8,8,3]
            %a = abs(%image) : f32[1,8,8,3]
            %y = mul(%a, %a) : f32[1,8,8,3]
            output %y

            """
        #expect(try quantized(text).int8.nodes.map { $0.op.name } == ["abs", "dequantize", "mul"])
    }
}
