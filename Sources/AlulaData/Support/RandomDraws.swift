import AlulaGraph
import Foundation

/// Draws that are the same on every platform with the same generator.
extension SplitMix64 {
    /// Uniform in 0..<1, a multiple of 2^-53.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Uniform in a range.
    mutating func uniform(_ range: ClosedRange<Double>) -> Double {
        range.lowerBound + (range.upperBound - range.lowerBound) * unit()
    }

    /// A whole number in a range, each as likely as the others to one part in 2^32 or better.
    mutating func integer(_ range: Range<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }

    /// True with the given probability.
    mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// Standard normal, by Box and Muller.
    mutating func normal() -> Double {
        let radius = (-2 * log(1 - unit())).squareRoot()
        return radius * cos(2 * .pi * unit())
    }

    /// Gamma with the given shape and scale 1 (Marsaglia and Tsang, ACM TOMS 26:363, 2000).
    mutating func gamma(_ shape: Double) -> Double {
        if shape < 1 { return gamma(shape + 1) * pow(1 - unit(), 1 / shape) }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal()
            let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
            if v > 0, log(1 - unit()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
        }
    }

    /// Beta with both parameters `alpha`, as mixup and CutMix draw their shares.
    mutating func beta(_ alpha: Double) -> Double {
        let (a, b) = (gamma(alpha), gamma(alpha))
        return a + b > 0 ? a / (a + b) : 0.5
    }
}
