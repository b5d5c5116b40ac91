/// Measures of how well scores tell positives from negatives, over all thresholds.
public enum RankMetrics {
    /// One point of a receiver operating characteristic: what a threshold accepts.
    public struct Point: Sendable, Equatable {
        /// Scores of at least this count as positive.
        public var threshold: Double
        public var truePositives: Int
        public var falsePositives: Int
    }

    /// The points of the distinct scores from the highest down, behind the origin; NaN scores rank last.
    public static func curve(_ scores: [Double], _ labels: [Bool]) -> [Point] {
        precondition(scores.count == labels.count, "a score without a label")
        let order = scores.indices.sorted {
            let (a, b) = (scores[$0], scores[$1])
            return b.isNaN ? !a.isNaN : a > b
        }
        var points = [Point(threshold: .infinity, truePositives: 0, falsePositives: 0)]
        var current = points[0]
        for (place, index) in order.enumerated() {
            if labels[index] { current.truePositives += 1 } else { current.falsePositives += 1 }
            let isLast = place + 1 == order.count
            if isLast || scores[order[place + 1]] != scores[index] {
                current.threshold = scores[index]
                points.append(current)
            }
        }
        return points
    }

    /// The area under the receiver operating characteristic by trapezoids; nil unless both labels occur.
    public static func areaUnderROC(_ scores: [Double], _ labels: [Bool]) -> Double? {
        let points = curve(scores, labels)
        guard let end = points.last, end.truePositives > 0, end.falsePositives > 0 else { return nil }
        var area = 0
        for (a, b) in zip(points, points.dropFirst()) {
            area += (b.falsePositives - a.falsePositives) * (a.truePositives + b.truePositives)
        }
        return Double(area) / 2 / Double(end.truePositives) / Double(end.falsePositives)
    }

    /// The mean precision over the recalls that are reached (the step rule); nil without positives.
    public static func averagePrecision(_ scores: [Double], _ labels: [Bool]) -> Double? {
        let points = curve(scores, labels)
        guard let end = points.last, end.truePositives > 0 else { return nil }
        return zip(points, points.dropFirst()).reduce(0.0) { sum, pair in
            let (a, b) = pair
            guard b.truePositives > a.truePositives else { return sum }
            let precision = Double(b.truePositives) / Double(b.truePositives + b.falsePositives)
            return sum + precision * Double(b.truePositives - a.truePositives) / Double(end.truePositives)
        }
    }

    /// The threshold that gives the largest F1: half way between the last score accepted and the first refused, at 0.5 where there are no
    /// positives. Of equally good ones the highest.
    public static func bestThreshold(_ scores: [Double], _ labels: [Bool]) -> Double {
        let points = curve(scores, labels)
        guard let end = points.last, end.truePositives > 0 else { return 0.5 }
        var best = (score: -1.0, place: 0)
        for (place, point) in points.enumerated().dropFirst() where !point.threshold.isNaN {
            let accepted = point.truePositives + point.falsePositives
            let score = 2 * Double(point.truePositives) / Double(accepted + end.truePositives)
            if score > best.score { best = (score, place) }
        }
        guard best.place + 1 < points.count, !points[best.place + 1].threshold.isNaN else {
            return points[best.place].threshold
        }
        return (points[best.place].threshold + points[best.place + 1].threshold) / 2
    }
}

/// How far stated probabilities are from how often they hold.
public struct CalibrationError: Sendable {
    private var bins: [(count: Int, confidence: Double, correct: Int)]

    public init(bins: Int = 15) {
        self.bins = Array(repeating: (0, 0, 0), count: bins)
    }

    /// Notes one statement, made with `confidence` in 0…1. Bins are open at their lower end: the first also holds 0.
    public mutating func add(confidence: Double, isCorrect: Bool) {
        guard confidence.isFinite else { return }
        let bin = Int((confidence * Double(bins.count)).rounded(.up)) - 1
        let place = max(0, min(bins.count - 1, bin))
        bins[place].count += 1
        bins[place].confidence += confidence
        bins[place].correct += isCorrect ? 1 : 0
    }

    /// The expected calibration error (Guo et al., ICML 2017): the mean over statements of |accuracy - confidence| of their bin.
    public var value: Double {
        let total = bins.reduce(0) { $0 + $1.count }
        guard total > 0 else { return 0 }
        return bins.reduce(0.0) { $0 + abs(Double($1.correct) - $1.confidence) } / Double(total)
    }
}
