import Foundation

/// The kernels that Pillow resizes with. All but `nearest` are stretched when a picture shrinks, so that every source
/// pixel counts (antialiasing).
public enum ResizeFilter: String, Sendable, CaseIterable {
    case nearest
    case box
    case bilinear
    case hamming
    /// Cubic convolution with a = -0.5.
    case bicubic
    case lanczos

    /// How far the kernel reaches from its centre, in output pixels' widths (when shrinking).
    var support: Double {
        switch self {
        case .nearest: 0
        case .box: 0.5
        case .bilinear, .hamming: 1
        case .bicubic: 2
        case .lanczos: 3
        }
    }

    /// The kernel's weight at a distance from its centre.
    func weight(at x: Double) -> Double {
        let distance = abs(x)
        switch self {
        case .nearest: return 0
        case .box: return x > -0.5 && x <= 0.5 ? 1 : 0
        case .bilinear: return distance < 1 ? 1 - distance : 0
        case .hamming:
            guard distance < 1 else { return 0 }
            // The window's two constants are single-precision in Pillow.
            let window = Double(Float(0.54)) + Double(Float(0.46)) * cos(distance * .pi)
            return sinc(distance) * window
        case .bicubic:
            let a = -0.5
            if distance < 1 { return ((a + 2) * distance - (a + 3)) * distance * distance + 1 }
            if distance < 2 { return (((distance - 5) * distance + 8) * distance - 4) * a }
            return 0
        case .lanczos: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0
        }
    }
}

private func sinc(_ x: Double) -> Double {
    x == 0 ? 1 : sin(x * .pi) / (x * .pi)
}

/// For every output position of one axis, which input positions it mixes and with which fixed-point weights.
struct ResizeWeights {
    /// Weights are integers in units of 2^-22: a byte (8 bits), the weight and two bits for a kernel's overshoot fit 32.
    static let fractionBits = 22

    /// The largest number of inputs of one output.
    let window: Int
    /// Per output: its first input and the number of its inputs.
    let spans: [(first: Int, count: Int)]
    /// `window` weights per output, zero beyond its count.
    let values: [Int32]

    init(from inputSize: Int, to outputSize: Int, filter: ResizeFilter) {
        let scale = Double(inputSize) / Double(outputSize)
        let stretch = max(scale, 1)
        let reach = filter.support * stretch
        let window = min(Int(reach.rounded(.up)) * 2 + 1, inputSize)

        var spans: [(first: Int, count: Int)] = []
        spans.reserveCapacity(outputSize)
        var values = [Int32](repeating: 0, count: outputSize * window)
        var weights = [Double](repeating: 0, count: window)
        for output in 0..<outputSize {
            let center = (Double(output) + 0.5) * scale
            let first = max(Int(center - reach + 0.5), 0)
            let count = min(Int(center + reach + 0.5), inputSize) - first
            var sum = 0.0
            for index in 0..<count {
                let weight = filter.weight(at: (Double(index + first) - center + 0.5) * (1 / stretch))
                weights[index] = weight
                sum += weight
            }
            for index in 0..<count {
                let share = sum == 0 ? weights[index] : weights[index] / sum
                let fixed = share * Double(1 << ResizeWeights.fractionBits)
                values[output * window + index] = Int32(fixed < 0 ? fixed - 0.5 : fixed + 0.5)  // half away from zero
            }
            spans.append((first, count))
        }
        self.window = window
        self.spans = spans
        self.values = values
    }
}
