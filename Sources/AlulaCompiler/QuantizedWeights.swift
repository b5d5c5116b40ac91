import AlulaGraph
import Foundation

/// s8 weights with one symmetric scale an output channel, the i32 bias and the f32 requantization multiplier.
struct QuantizedWeights {
    var values: [Int8]
    var bias: [Int32]
    var multiplier: [Float]

    /// - Parameters:
    ///   - bias: real numbers by output channel, nil for zeros.
    ///   - means: of each input channel; the bias then makes up for what rounding the weights adds to the mean of each output (Nagel et al.,
    ///     arXiv 1906.04721, section 4.2). A group's channels are consecutive; a row holds them once a tap.
    ///   - outputScale: of the number the multiplier leads to: the result's, or the one before an activation table; 1 for an f32 result.
    init(
        _ rows: WeightRows, bias realBias: [Float]?, means: [Double]?, groups: Int, input: Quantization,
        outputScale: Float
    ) {
        values = [Int8](repeating: 0, count: rows.values.count)
        bias = [Int32](repeating: 0, count: rows.rows)
        multiplier = [Float](repeating: 0, count: rows.rows)
        for row in 0..<rows.rows {
            let range = row * rows.length..<(row + 1) * rows.length
            let real = Double(realBias?[row] ?? 0)
            let largest = Double(rows.values[range].reduce(Float(0)) { max($0, abs($1)) })
            // A channel of tiny weights and a large bias: the step must keep the bias within 30 bits.
            let floor = max(abs(real) / (Double(input.scale) * Double(1 << 30)), 1e-30)
            let scale = max(largest / 127, floor)
            var sum: Int32 = 0
            for index in range {
                let level = (Double(rows.values[index]) / scale).rounded(.toNearestOrEven)
                values[index] = Int8(max(-127, min(127, level)))
                sum += Int32(values[index])
            }
            var corrected = real
            if let means {
                let channels = means.count / groups
                let first = row / (rows.rows / groups) * channels
                for (place, index) in range.enumerated() {
                    corrected -=
                        (Double(values[index]) * scale - Double(rows.values[index])) * means[first + place % channels]
                }
            }
            let accumulatorScale = Double(input.scale) * scale
            let limit = Double(1 << 30)
            bias[row] =
                Int32(max(-limit, min(limit, (corrected / accumulatorScale).rounded(.toNearestOrEven)))) - input
                .zeroPoint * sum
            multiplier[row] = Float(accumulatorScale / Double(outputScale))
        }
    }
}

/// The 256 results of a function of one u8 number; nil only requantizes.
func activationTable(_ function: Unary?, from: Quantization, to: Quantization) -> [UInt8] {
    (0..<256).map { level in
        let x = Double(from.scale) * Double(level - Int(from.zeroPoint))
        let y = function.map { $0.value(x) } ?? x
        let scaled = (y / Double(to.scale)).rounded(.toNearestOrEven) + Double(to.zeroPoint)
        return scaled.isNaN ? UInt8(to.zeroPoint) : UInt8(max(0, min(255, scaled)))
    }
}

extension Unary {
    /// The function in f64.
    func value(_ x: Double) -> Double {
        let parameter = { (index: Int) in Double(parameters[index]) }
        return switch function {
        case .relu: max(x, 0)
        case .relu6: min(max(x, 0), 6)
        case .sigmoid: 1 / (1 + Foundation.exp(-x))
        case .tanh: Foundation.tanh(x)
        case .exp: Foundation.exp(x)
        case .log: Foundation.log(x)
        case .sqrt: x.squareRoot()
        case .rsqrt: 1 / x.squareRoot()
        case .reciprocal: 1 / x
        case .negate: -x
        case .abs: Swift.abs(x)
        case .erf: Foundation.erf(x)
        case .sin: Foundation.sin(x)
        case .cos: Foundation.cos(x)
        case .tan: Foundation.tan(x)
        case .asin: Foundation.asin(x)
        case .acos: Foundation.acos(x)
        case .atan: Foundation.atan(x)
        case .sinh: Foundation.sinh(x)
        case .cosh: Foundation.cosh(x)
        case .asinh: Foundation.asinh(x)
        case .acosh: Foundation.acosh(x)
        case .atanh: Foundation.atanh(x)
        case .floor: x.rounded(.down)
        case .ceil: x.rounded(.up)
        case .round: x.rounded(.toNearestOrEven)
        case .sign: x > 0 ? 1 : x < 0 ? -1 : x
        case .gelu: 0.5 * x * (1 + Foundation.erf(x / 2.0.squareRoot()))
        case .geluTanh: 0.5 * x * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        case .silu: x / (1 + Foundation.exp(-x))
        case .hardSwish: x * min(max(x + 3, 0), 6) / 6
        case .hardSigmoid: min(max(x / 6 + 0.5, 0), 1)
        case .softplus: softplus(x)
        case .softsign: x / (1 + Swift.abs(x))
        case .mish: x * Foundation.tanh(softplus(x))
        case .swish: x / (1 + Foundation.exp(-parameter(0) * x))
        case .leakyRelu: x < 0 ? parameter(0) * x : x
        case .elu: parameter(1) * (x > 0 ? x : parameter(0) * Foundation.expm1(parameter(2) * x))
        case .thresholdedRelu: x > parameter(0) ? x : 0
        case .shrink: x > parameter(0) ? x - parameter(1) : x < -parameter(0) ? x + parameter(1) : 0
        case .clip: min(max(parameter(2) * x + parameter(3), parameter(0)), parameter(1))
        }
    }

    private func softplus(_ x: Double) -> Double { max(x, 0) + Foundation.log1p(Foundation.exp(-Swift.abs(x))) }
}
