import AlulaGraph

extension Calibration.Histogram {
    /// The range for 8 bits with the smallest mean squared error of `function` over the numbers seen, rounding and clipping counted.
    ///
    /// The error is smooth in each end, so the ends are searched in turn, each over cuts of the range seen.
    func bestRange(_ function: (Double) -> Double) -> (low: Float, high: Float) {
        guard total > 0, low < high else { return (low, high) }
        // Bins that hold something: their centres, counts and the function there.
        let width = 2 * Double(limit) / Double(Self.bins)
        var points: [(x: Double, y: Double, weight: Double)] = []
        for bin in 0..<Self.bins where counts[bin] > 0 {
            let x = min(Double(high), max(Double(low), (Double(bin) + 0.5) * width - Double(limit)))
            points.append((x, function(x), Double(counts[bin])))
        }
        func error(_ low: Double, _ high: Double) -> Double {
            let quantization = Calibration.quantization(low: Float(low), high: Float(high))
            let (scale, zero) = (Double(quantization.scale), Double(quantization.zeroPoint))
            let levels = (0..<256).map { function((Double($0) - zero) * scale) }
            var sum = 0.0
            for point in points {
                let exact = point.x / scale + zero
                let level = min(255, max(0, exact.rounded(.toNearestOrEven)))
                let difference = point.y - levels[Int(level)]
                // Inside the range the error is uniform over a step; a bin's centre alone would see none of it.
                let slope = level > 0 && level < 255 ? (levels[Int(level) + 1] - levels[Int(level) - 1]) / 2 : 0
                let clipped = exact < 0 || exact > 255
                sum += point.weight * (clipped ? difference * difference : slope * slope / 12)
            }
            return sum
        }
        var best = (low: Double(low), high: Double(high))
        var bestError = error(best.low, best.high)
        for _ in 0..<2 {
            for cut in cuts where error(best.low, Double(high) * cut) < bestError {
                best.high = Double(high) * cut
                bestError = error(best.low, best.high)
            }
            for cut in cuts where error(Double(low) * cut, best.high) < bestError {
                best.low = Double(low) * cut
                bestError = error(best.low, best.high)
            }
        }
        return (Float(best.low), Float(best.high))
    }

    private var cuts: [Double] { (5...40).map { Double($0) / 40 } }
}
