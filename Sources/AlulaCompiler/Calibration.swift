import AlulaGraph
import AlulaRuntime

/// How the range of a value is chosen from what calibration saw.
public enum CalibrationMethod: Sendable, Equatable {
    /// The smallest and largest number seen.
    case minMax
    /// The range that holds this share of the numbers seen, such as 0.9999; the rest is clipped, half of it at each end.
    case percentile(Double)
    /// The range with the smallest mean squared error of rounding and clipping together.
    case meanSquaredError
}

/// What each value of a float graph was seen to hold over the calibration samples.
public struct Calibration {
    /// A histogram over a range that grows by doubling, so that one pass over the samples is enough.
    struct Histogram: Sendable {
        static let bins = 4096
        var low: Float = .infinity
        var high: Float = -.infinity
        /// Counts over `-limit..<limit`; empty until the first observation.
        var counts: [Int] = []
        var limit: Float = 0
        var total = 0

        mutating func observe(_ values: UnsafeBufferPointer<Float>) -> Bool {
            var (smallest, largest) = (Float.infinity, -Float.infinity)
            var checksum: Float = 0
            for value in values {
                smallest = min(smallest, value)
                largest = max(largest, value)
                checksum += value * 0  // NaN and infinities survive this
            }
            guard checksum == 0 else { return false }
            low = min(low, smallest)
            high = max(high, largest)
            count(values, reach: max(abs(smallest), abs(largest)))
            return true
        }

        private mutating func count(_ values: UnsafeBufferPointer<Float>, reach: Float) {
            if counts.isEmpty {
                counts = [Int](repeating: 0, count: Histogram.bins)
                limit = max(reach, 1e-6) * 1.25
            }
            while limit <= reach {
                var wider = [Int](repeating: 0, count: Histogram.bins)
                for bin in 0..<Histogram.bins { wider[Histogram.bins / 4 + bin / 2] += counts[bin] }
                counts = wider
                limit *= 2
            }
            let scale = Float(Histogram.bins) / (2 * limit)
            for value in values { counts[min(Histogram.bins - 1, max(0, Int((value + limit) * scale)))] += 1 }
            total += values.count
        }

        /// The range that leaves out `tail` of the counts at each end, at most what was seen.
        func range(leavingOut tail: Double) -> (low: Float, high: Float) {
            guard total > 0, tail > 0 else { return (low, high) }
            let allowed = Int(Double(total) * tail)
            let width = 2 * limit / Float(Histogram.bins)
            var (first, last, sum) = (0, Histogram.bins - 1, 0)
            while first < Histogram.bins, sum + counts[first] <= allowed {
                sum += counts[first]
                first += 1
            }
            sum = 0
            while last > first, sum + counts[last] <= allowed {
                sum += counts[last]
                last -= 1
            }
            return (max(low, Float(first) * width - limit), min(high, Float(last + 1) * width - limit))
        }
    }

    let graph: Graph
    private let method: CalibrationMethod
    private var histograms: [Histogram]
    /// Sums over all positions by channel (last axis), for the inputs of convolutions and linear layers; empty for other values.
    private var channelSums: [[Double]]
    private let session: Session
    public private(set) var samples = 0

    /// - Parameter graph: a float graph after `Pass.folding`, the one that is to be quantized.
    public init(_ graph: Graph, method: CalibrationMethod, threads: Int = 1) throws(CompilerError) {
        self.graph = graph
        self.method = method
        histograms = [Histogram](repeating: Histogram(), count: graph.values.count)
        channelSums = [[Double]](repeating: [], count: graph.values.count)
        for node in graph.nodes where node.op.isWeighted {
            channelSums[Int(node.inputs[0].index)] = [Double](repeating: 0, count: graph.shape(node.inputs[0]).last)
        }
        do throws(RuntimeError) {
            session = try Session(graph, options: SessionOptions(threads: threads, keepsAllValues: true))
        } catch { throw .runtime(error) }
    }

    /// Runs one sample: the graph's inputs as f32, in order, row-major.
    public mutating func observe(_ inputs: [[Float]]) throws(CompilerError) {
        for (index, input) in inputs.enumerated() {
            do throws(RuntimeError) { try session.setInput(index, floats: input) } catch { throw .runtime(error) }
        }
        session.run()
        for index in graph.values.indices
        where graph.values[index].constant == nil && graph.values[index].type.dataType == .f32 {
            let isFinite = session.withValue(ValueID(index)) { bytes in
                let values = bytes.bindMemory(to: Float.self)
                addChannels(of: values, to: index)
                return histograms[index].observe(values)
            }
            guard isFinite != false else { throw .notFinite(value: graph.displayName(ValueID(index))) }
        }
        samples += 1
    }

    private mutating func addChannels(of values: UnsafeBufferPointer<Float>, to index: Int) {
        let channels = channelSums[index].count
        guard channels > 0 else { return }
        channelSums[index].withUnsafeMutableBufferPointer { sums in
            for row in stride(from: 0, to: values.count, by: channels) {
                for channel in 0..<channels { sums[channel] += Double(values[row + channel]) }
            }
        }
    }

    /// The mean of each channel of a layer's input over positions and samples; nil for values that no layer reads.
    func channelMeans(_ id: ValueID) -> [Double]? {
        let sums = channelSums[Int(id.index)]
        guard !sums.isEmpty, samples > 0 else { return nil }
        let count = Double(samples * graph.shape(id).elementCount / sums.count)
        return sums.map { $0 / count }
    }

    /// The chosen range of a value, nil when it was never seen.
    func range(_ id: ValueID) -> (low: Float, high: Float)? {
        let histogram = histograms[Int(id.index)]
        guard histogram.low <= histogram.high else { return nil }
        switch method {
        case .minMax: return (histogram.low, histogram.high)
        case .percentile(let share): return histogram.range(leavingOut: (1 - share) / 2)
        case .meanSquaredError: return histogram.bestRange { $0 }
        }
    }

    /// The range in front of an activation function whose results are what matters: numbers where the function is flat cost nothing.
    func range(_ id: ValueID, before function: (Double) -> Double) -> (low: Float, high: Float)? {
        let histogram = histograms[Int(id.index)]
        guard histogram.low <= histogram.high else { return nil }
        return histogram.bestRange(function)
    }

    /// Scale and zero point for a range, which is first widened to hold 0 exactly (padding and skipped windows need it).
    static func quantization(low: Float, high: Float) -> Quantization {
        let (low, high) = (min(low, 0), max(high, 0))
        let scale = max((high - low) / 255, 1e-12)
        let zero = (-low / scale).rounded(.toNearestOrEven)
        return Quantization(scale: scale, zeroPoint: Int32(min(255, max(0, zero))))
    }
}
