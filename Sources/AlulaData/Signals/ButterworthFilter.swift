import Foundation

/// A Butterworth filter as a chain of second-order sections, applied forward and backward so that it shifts nothing in time.
///
/// Equal to scipy's `sosfiltfilt(butter(order, …, output="sos"), x)` with its default odd padding.
public struct ButterworthFilter: Sendable, Equatable {
    /// One section: `b0 + b1 z^-1 + b2 z^-2` over `1 + a1 z^-1 + a2 z^-2`.
    struct Section: Equatable {
        var b: (Double, Double, Double)
        var a: (Double, Double)

        static func == (left: Section, right: Section) -> Bool { left.b == right.b && left.a == right.a }
    }

    private(set) var sections: [Section]

    /// - Parameters:
    ///   - order: That of the low-pass prototype; a band-pass has twice as many poles.
    ///   - high: Frequencies below this one, in Hz, are damped; nil for none.
    ///   - low: Frequencies above this one, in Hz, are damped; nil for none. Both lie below half the rate.
    public init(order: Int, highPass high: Double?, lowPass low: Double?, rate: Double) {
        precondition((1...10).contains(order), "order outside of 1…10")
        precondition([high, low].allSatisfy { $0.map { $0 > 0 && $0 < rate / 2 } ?? true }, "edge outside of the band")
        precondition(high.map { high in low.map { $0 > high } ?? true } ?? true, "empty band")
        // Bilinear transform at a normalized rate of 2, edges prewarped.
        func warped(_ edge: Double) -> Double { 4 * tan(.pi * edge / rate) }
        let prototype = (0..<order).map { index -> Complex in
            let angle = .pi * Double(2 * index - order + 1) / Double(2 * order)
            return Complex(-cos(angle), -sin(angle))
        }
        switch (high, low) {
        case (let high?, let low?):
            let (lower, upper) = (warped(high), warped(low))
            let center = lower * upper
            let poles = prototype.flatMap { pole -> [Complex] in
                let half = pole * ((upper - lower) / 2)
                let root = (half * half - Complex(center, 0)).squareRoot()
                return [half + root, half - root]
            }
            let gain = (0..<order).reduce(1.0) { product, _ in product * (upper - lower) }
            sections = ButterworthFilter.sections(poles, zeros: order, gain: gain, numerator: (1, 0, -1))
        case (let high?, nil):
            let edge = warped(high)
            let poles = prototype.map { Complex(edge, 0) / $0 }
            sections = ButterworthFilter.sections(poles, zeros: order, gain: 1, numerator: (1, -2, 1))
        case (nil, let low?):
            let edge = warped(low)
            let gain = (0..<order).reduce(1.0) { product, _ in product * edge }
            sections = ButterworthFilter.sections(
                prototype.map { $0 * edge }, zeros: 0, gain: gain, numerator: (1, 2, 1))
        case (nil, nil): sections = []
        }
    }

    /// Digital sections of analog poles and `zeros` zeros at the origin. Each takes a pair of conjugate or of real poles; `numerator` is
    /// that of a whole section, and half of it that of a single pole's.
    private static func sections(
        _ analog: [Complex], zeros: Int, gain: Double, numerator: (Double, Double, Double)
    ) -> [Section] {
        var scale = Complex(gain, 0)
        for _ in 0..<zeros { scale = scale * 4.0 }
        for pole in analog { scale = scale / (Complex(4, 0) - pole) }
        let poles = analog.map { (Complex(4, 0) + $0) / (Complex(4, 0) - $0) }
        let isReal = { (pole: Complex) in abs(pole.imaginary) <= 1e-12 * max(1, abs(pole.real)) }
        var sections = poles.filter { !isReal($0) && $0.imaginary > 0 }.map { pole in
            let square = pole.real * pole.real + pole.imaginary * pole.imaginary
            return Section(b: numerator, a: (-2 * pole.real, square))
        }
        let real = poles.filter(isReal).map(\.real)
        for index in stride(from: 0, to: real.count - 1, by: 2) {
            sections.append(
                Section(b: numerator, a: (-real[index] - real[index + 1], real[index] * real[index + 1])))
        }
        if real.count % 2 == 1 {
            sections.append(Section(b: (1, numerator.1 / 2, 0), a: (-real[real.count - 1], 0)))
        }
        let first = sections[0].b
        sections[0].b = (first.0 * scale.real, first.1 * scale.real, first.2 * scale.real)
        return sections
    }

    /// The samples the sections need at both ends to settle.
    private var padding: Int {
        let single = sections.filter { $0.b.2 == 0 && $0.a.1 == 0 }.count
        return 3 * (2 * sections.count + 1 - single)
    }

    /// The filtered signal. Signals too short for the padding are padded with less.
    public func applied(to signal: [Double]) -> [Double] {
        guard signal.count > 1, !sections.isEmpty else { return signal }
        let edge = min(padding, signal.count - 1)
        let (first, last) = (signal[0], signal[signal.count - 1])
        var extended: [Double] = []
        extended.reserveCapacity(signal.count + 2 * edge)
        for index in stride(from: edge, to: 0, by: -1) { extended.append(2 * first - signal[index]) }
        extended += signal
        for index in 0..<edge { extended.append(2 * last - signal[signal.count - 2 - index]) }
        run(&extended)
        extended.reverse()
        run(&extended)
        extended.reverse()
        return Array(extended[edge..<edge + signal.count])
    }

    /// One pass, started as if the first sample had gone on forever before.
    private func run(_ signal: inout [Double]) {
        var level = signal[0]
        for section in sections {
            let (b, a) = (section.b, section.a)
            let steady = (b.0 + b.1 + b.2) / (1 + a.0 + a.1)
            var (first, second) = (level * (steady - b.0), level * (b.2 - a.1 * steady))
            for index in signal.indices {
                let x = signal[index]
                let y = b.0 * x + first
                first = b.1 * x - a.0 * y + second
                second = b.2 * x - a.1 * y
                signal[index] = y
            }
            level *= steady
        }
    }
}

/// What the design of filters needs of complex numbers.
private struct Complex {
    var real: Double
    var imaginary: Double

    init(_ real: Double, _ imaginary: Double) { (self.real, self.imaginary) = (real, imaginary) }

    static func + (a: Complex, b: Complex) -> Complex { Complex(a.real + b.real, a.imaginary + b.imaginary) }
    static func - (a: Complex, b: Complex) -> Complex { Complex(a.real - b.real, a.imaginary - b.imaginary) }
    static func * (a: Complex, b: Double) -> Complex { Complex(a.real * b, a.imaginary * b) }
    static func * (a: Complex, b: Complex) -> Complex {
        Complex(a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
    }
    static func / (a: Complex, b: Complex) -> Complex {
        let square = b.real * b.real + b.imaginary * b.imaginary
        return (a * Complex(b.real, -b.imaginary)) * (1 / square)
    }

    /// The root with a real part that is not negative.
    func squareRoot() -> Complex {
        let length = hypot(real, imaginary)
        let root = Complex(((length + real) / 2).squareRoot(), ((length - real) / 2).squareRoot())
        return imaginary < 0 ? Complex(root.real, -root.imaginary) : root
    }
}
