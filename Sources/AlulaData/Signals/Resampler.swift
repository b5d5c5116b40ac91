import Foundation

/// Changes a signal's sampling rate by a ratio of whole numbers with one zero-phase low-pass filter.
///
/// Equal to scipy's `resample_poly(x, up, down)` with its default Kaiser window (5.0) and zero padding.
public struct Resampler: Sendable {
    public let up: Int
    public let down: Int
    /// The filter, symmetric around its middle; empty where nothing is to be done.
    private let filter: [Double]

    /// Largest `up` or `down` after cancelling; the filter has twenty times as many taps.
    public static let maximumFactor = 4096

    /// - Returns: nil where a factor is below 1 or, after cancelling, above `maximumFactor`.
    public init?(up: Int, down: Int) {
        guard up > 0, down > 0 else { return nil }
        let divisor = Resampler.greatestCommonDivisor(up, down)
        (self.up, self.down) = (up / divisor, down / divisor)
        let factor = max(self.up, self.down)
        guard factor <= Resampler.maximumFactor else { return nil }
        filter = factor == 1 ? [] : Resampler.lowPass(factor).map { [up = self.up] in $0 * Double(up) }
    }

    /// The resampler between two rates, whose ratio is taken as the simplest fraction within a millionth.
    public init?(from: Double, to: Double) {
        guard from.isFinite, to.isFinite, from > 0, to > 0,
            let (up, down) = Resampler.fraction(to / from, tolerance: 1e-6)
        else { return nil }
        self.init(up: up, down: down)
    }

    /// Samples that `count` samples become.
    public func outputCount(_ count: Int) -> Int { (count * up + down - 1) / down }

    public func applied(to signal: [Double]) -> [Double] {
        guard !filter.isEmpty else { return signal }
        let half = filter.count / 2
        return (0..<outputCount(signal.count)).map { place in
            // The sample at index i sits at i * up; the filter reaches `half` to both sides.
            let center = place * down
            let first = max(0, (center - half + up - 1) / up)
            let last = min(signal.count - 1, (center + half) / up)
            guard first <= last else { return 0 }
            var sum = 0.0
            for index in first...last { sum += signal[index] * filter[center - index * up + half] }
            return sum
        }
    }

    /// `firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5))`: a sinc under a window, scaled to keep constants.
    private static func lowPass(_ factor: Int) -> [Double] {
        let half = 10 * factor
        let cutoff = 1 / Double(factor)
        let taps = (-half...half).map { index -> Double in
            let x = .pi * cutoff * Double(index)
            let share = Double(index) / Double(half)
            return (index == 0 ? 1 : sin(x) / x) * bessel(5 * (1 - share * share).squareRoot())
        }
        let sum = taps.reduce(0, +)
        return taps.map { $0 / sum }
    }

    /// The modified Bessel function of the first kind and order 0, by its series; the window divides its constant factor out.
    private static func bessel(_ x: Double) -> Double {
        var (sum, term, index) = (1.0, 1.0, 1.0)
        while term > 1e-18 * sum {
            term *= x * x / (4 * index * index)
            sum += term
            index += 1
        }
        return sum
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        b == 0 ? a : greatestCommonDivisor(b, a % b)
    }

    /// The first convergent of the continued fraction that is near enough.
    private static func fraction(_ value: Double, tolerance: Double) -> (Int, Int)? {
        var (rest, previous, current) = (value, (0, 1), (1, 0))
        for _ in 0..<20 {
            guard rest.magnitude < 1e6 else { return nil }
            let whole = Int(rest.rounded(.down))
            (previous, current) = (current, (whole * current.0 + previous.0, whole * current.1 + previous.1))
            guard current.0 < 1 << 24, current.1 < 1 << 24 else { return nil }
            if current.0 > 0, abs(Double(current.0) / Double(current.1) - value) <= tolerance * value { return current }
            rest = 1 / (rest - Double(whole))
        }
        return nil
    }
}
