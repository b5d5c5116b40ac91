import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import Testing

/// Normalization of pictures as part of the first convolution.
@Suite struct PixelTests {
    private let normalization = (scale: [0.0171, 0.0175, 0.0174], shift: [-2.118, -2.036, -1.804])
    private let stem = """
        alula 1
        const @w : f32[5,3,3,3]
        input %x : f32[1,6,7,3]
        %0 = conv2d(%x, @w) stride=2 pad=1,0,1,2 : f32[1,3,4,5]
        %1 = relu(%0) : f32[1,3,4,5]
        output %1

        """

    private func normalized(_ bytes: [Float]) -> [Float] {
        bytes.enumerated().map {
            Float(Double($1) * normalization.scale[$0 % 3] + normalization.shift[$0 % 3])
        }
    }

    @Test func bytesGiveWhatNormalizedNumbersGave() throws {
        let plain = try graph(stem)
        let folded = try plain.takingPixels(normalization)
        let bytes = (0..<126).map { Float($0 * 37 % 256) }
        let (expected, found) = (try run(plain, normalized(bytes)), try run(folded, bytes))
        for (a, b) in zip(expected, found) { #expect(abs(a - b) < 2e-5) }
        #expect(folded.text.contains("pad_values=123.8"))
    }

    /// Bytes are not rounded again, so int8 is as near as its results' 256 levels let it be.
    @Test func quantizedBytesAreNearNormalizedNumbers() throws {
        let plain = try graph(stem)
        let folded = try plain.takingPixels(normalization)
        let bytes = (0..<126).map { UInt8($0 * 37 % 256) }
        var calibration = try Calibration(folded, method: .minMax, threads: 1)
        try calibration.observe([bytes.map(Float.init)])
        var options = Quantizer.Options()
        options.takesPixels = true
        let int8 = try Quantizer.quantize(folded, calibration, options: options)
        #expect(int8.type(int8.inputs[0]).quantization == Quantization(scale: 1, zeroPoint: 0))
        let session = try Session(int8)
        try session.setInput(0, bytes: bytes)
        session.run()
        let expected = try run(plain, normalized(bytes.map(Float.init)))
        let found = try session.outputFloats(0)
        let step = expected.max()! / 255
        for (a, b) in zip(expected, found) { #expect(abs(a - b) < 3 * step) }
    }

    @Test(arguments: [
        "alula 1\ninput %x : f32[1,6,7,3]\n%0 = relu(%x) : f32[1,6,7,3]\noutput %0\n",
        "alula 1\nconst @w : f32[3,1,1,1]\ninput %x : f32[1,6,7,3]\n%0 = conv2d(%x, @w) groups=3 : f32[1,6,7,3]\noutput %0\n",
        "alula 1\nconst @w : f32[4,1,1,4]\ninput %x : f32[1,6,7,4]\n%0 = conv2d(%x, @w) : f32[1,6,7,4]\noutput %0\n",
        "alula 1\nconst @w : f32[3,1,1,3]\ninput %x : f32[1,6,7,3]\n%0 = conv2d(%x, @w) : f32[1,6,7,3]\n%1 = add(%0, %x) : f32[1,6,7,3]\noutput %1\n",
    ])
    func refusesWhatIsNoPicture(text: String) throws {
        let plain = try graph(text)
        #expect(throws: CompilerError.self) { try plain.takingPixels(normalization) }
    }
}
