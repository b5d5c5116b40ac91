import AlulaGraph

// The arithmetic of the int8 kernels, for the few numbers that Swift computes itself: inputs, clamps and fill values.

extension Quantization {
    /// `clamp(rne(t) + zeroPoint, 0, 255)`, t in units of the scale; NaN gives the zero point. As the quantize kernel
    /// does.
    func number(scaled t: Float) -> UInt8 {
        guard t == t else { return UInt8(zeroPoint) }
        // Within ±512 the addition leaves the integer that is nearest, ties to even, in the low bits of the sum.
        let bounded = t > -512 ? (t < 512 ? t : 512) : -512
        let nearest = Int32(bitPattern: (bounded + 12_582_912).bitPattern) - 0x4B40_0000
        return UInt8(min(max(nearest + zeroPoint, 0), 255))
    }

    /// The number that stands for `value`, computed as the quantize kernel does.
    package func number(_ value: Float) -> UInt8 { number(scaled: value * (1 / scale)) }

    /// What `number` stands for, computed as the dequantize kernel does.
    package func value(_ number: UInt8) -> Float { Float(Int32(number) - zeroPoint) * scale }
}

extension Activation {
    /// The bounds within which the result is kept by an activation that a clamp computes, or nil for those that need a
    /// table.
    func clamps(_ result: Quantization) -> (low: Int32, high: Int32)? {
        switch self {
        case nil: (0, 255)
        case .relu: (result.zeroPoint, 255)
        case .relu6: (result.zeroPoint, Int32(result.number(6)))
        default: nil
        }
    }
}
