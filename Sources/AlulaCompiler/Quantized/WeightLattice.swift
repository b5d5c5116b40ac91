import AlulaGraph

/// Numbers that are all multiples of one step: `step · level`. Weights of a quantized model are, however they were dequantized, so that they
/// become s8 again without loss.
struct WeightLattice {
    var step: Double
    var levels: [Int]

    /// The coarsest lattice of at most `limit` levels to each side that holds every number to 1e-4 of a step; nil where there is none.
    init?(_ values: some Collection<Float>, limit: Int) {
        let sizes = values.lazy.filter { $0 != 0 }.map { abs(Double($0)) }
        guard let smallest = sizes.min(), let largest = sizes.max() else {
            (step, levels) = (1, values.map { _ in 0 })
            return
        }
        guard smallest.isFinite, largest.isFinite, largest / smallest < Double(limit) + 0.5 else { return nil }
        candidates: for divisor in 1...limit {
            let step = smallest / Double(divisor)
            guard largest / step < Double(limit) + 0.5 else { return nil }
            var (products, squares) = (0.0, 0.0)
            for value in values {
                let level = (Double(value) / step).rounded()
                guard abs(Double(value) - level * step) <= 1e-4 * step else { continue candidates }
                products += Double(value) * level
                squares += level * level
            }
            // The step that fits all numbers best, each of which was rounded to f32.
            self.step = products / squares
            levels = values.map { Int((Double($0) / step).rounded()) }
            return
        }
        return nil
    }
}

extension QuantizedWeights {
    /// s8 weights that real ones stand for exactly, one lattice an output channel.
    ///
    /// - Parameters:
    ///   - bias: real numbers by output channel, nil for zeros.
    ///   - outputScale: 1 for an f32 result.
    /// - Returns: nil if the weights are on no lattice of 127 levels to each side, or a bias leaves the range of the sums.
    init?(exactly rows: WeightRows, bias realBias: [Float]?, input: Quantization, outputScale: Float) {
        values = []
        bias = []
        multiplier = []
        for row in 0..<rows.rows {
            guard let lattice = WeightLattice(rows.values[row * rows.length..<(row + 1) * rows.length], limit: 127)
            else { return nil }
            var step = lattice.step
            let real = Double(realBias?[row] ?? 0)
            // A row of zeros has any step: one at which the bias is fine enough.
            if !lattice.levels.contains(where: { $0 != 0 }) {
                step = max(abs(real) / Double(1 << 24), 1e-12) / Double(input.scale)
            }
            let accumulatorScale = Double(input.scale) * step
            let sum = lattice.levels.reduce(0, +)
            let start = (real / accumulatorScale).rounded(.toNearestOrEven)
            guard abs(start) <= Double(1 << 30) else { return nil }
            values += lattice.levels.map { Int8($0) }
            bias.append(Int32(start) - input.zeroPoint * Int32(sum))
            multiplier.append(Float(accumulatorScale / Double(outputScale)))
        }
    }
}
