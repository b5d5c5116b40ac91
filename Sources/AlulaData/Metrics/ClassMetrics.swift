/// What was decided about one class against what is true, counted.
public struct ClassCounts: Sendable, Equatable {
    public var truePositives = 0
    public var falsePositives = 0
    public var falseNegatives = 0

    public init(truePositives: Int = 0, falsePositives: Int = 0, falseNegatives: Int = 0) {
        (self.truePositives, self.falsePositives) = (truePositives, falsePositives)
        self.falseNegatives = falseNegatives
    }

    /// Examples that belong to the class.
    public var support: Int { truePositives + falseNegatives }

    /// 0 where nothing was decided to belong, as scikit-learn counts with `zero_division=0`.
    public var precision: Double { ClassCounts.ratio(truePositives, truePositives + falsePositives) }
    /// 0 where nothing belongs.
    public var recall: Double { ClassCounts.ratio(truePositives, support) }
    /// 0 where nothing belongs and nothing was decided to.
    public var f1: Double { ClassCounts.ratio(2 * truePositives, 2 * truePositives + falsePositives + falseNegatives) }

    static func ratio(_ part: Int, _ whole: Int) -> Double { whole == 0 ? 0 : Double(part) / Double(whole) }

    static func + (a: ClassCounts, b: ClassCounts) -> ClassCounts {
        ClassCounts(
            truePositives: a.truePositives + b.truePositives, falsePositives: a.falsePositives + b.falsePositives,
            falseNegatives: a.falseNegatives + b.falseNegatives)
    }
}

extension Collection where Element == Double {
    /// 0 of nothing.
    public var mean: Double { isEmpty ? 0 : reduce(0, +) / Double(count) }
}

/// Measures of a model that picks one class.
public struct SingleLabelMetrics: Sendable {
    public let classCount: Int
    /// Examples by true class and by decision: `confusion[truth * classCount + decision]`.
    public private(set) var confusion: [Int]
    public private(set) var count = 0
    private var topFive = 0
    private var calibration = CalibrationError()

    public init(classCount: Int) {
        precondition(classCount > 0, "no classes")
        self.classCount = classCount
        confusion = Array(repeating: 0, count: classCount * classCount)
    }

    /// Notes one example. `probabilities` are by class; of equal ones the first wins.
    public mutating func add(_ probabilities: [Double], truth: Int) {
        precondition(probabilities.count == classCount && (0..<classCount).contains(truth), "another number of classes")
        let decision = probabilities.indices.reduce(0) { probabilities[$1] > probabilities[$0] ? $1 : $0 }
        let better = probabilities.indices.filter {
            probabilities[$0] > probabilities[truth] || (probabilities[$0] == probabilities[truth] && $0 < truth)
        }
        confusion[truth * classCount + decision] += 1
        count += 1
        if better.count < 5 { topFive += 1 }
        calibration.add(confidence: probabilities[decision], isCorrect: decision == truth)
    }

    /// The share of examples whose class was decided.
    public var accuracy: Double {
        ClassCounts.ratio((0..<classCount).reduce(0) { $0 + confusion[$1 * classCount + $1] }, count)
    }
    /// The share of examples whose class is among the five likeliest.
    public var topFiveAccuracy: Double { ClassCounts.ratio(topFive, count) }
    /// The expected calibration error of the likeliest class's probability.
    public var calibrationError: Double { calibration.value }

    public var classes: [ClassCounts] {
        (0..<classCount).map { index in
            let right = confusion[index * classCount + index]
            let decided = (0..<classCount).reduce(0) { $0 + confusion[$1 * classCount + index] }
            let support = confusion[index * classCount..<(index + 1) * classCount].reduce(0, +)
            return ClassCounts(
                truePositives: right, falsePositives: decided - right, falseNegatives: support - right)
        }
    }

    public var macroPrecision: Double { classes.map(\.precision).mean }
    public var macroRecall: Double { classes.map(\.recall).mean }
    /// Over all classes, those without examples and decisions with 0.
    public var macroF1: Double { classes.map(\.f1).mean }
}

/// Measures of a model that decides about every class on its own.
///
/// Scores are kept, eight bytes an example and class, because areas under curves need them all at once.
public struct MultiLabelMetrics: Sendable {
    public let classCount: Int
    /// By class, then by example.
    public private(set) var scores: [[Double]]
    public private(set) var labels: [[Bool]]
    private var calibration = CalibrationError()

    public init(classCount: Int) {
        self.classCount = classCount
        scores = Array(repeating: [], count: classCount)
        labels = Array(repeating: [], count: classCount)
    }

    /// Notes one example: probabilities and truths by class.
    public mutating func add(_ probabilities: [Double], truth: [Bool]) {
        precondition(probabilities.count == classCount && truth.count == classCount, "another number of classes")
        for index in 0..<classCount {
            scores[index].append(probabilities[index])
            labels[index].append(truth[index])
            calibration.add(confidence: probabilities[index], isCorrect: truth[index])
        }
    }

    public var count: Int { scores.first?.count ?? 0 }
    /// The expected calibration error over all classes and examples.
    public var calibrationError: Double { calibration.value }

    /// By class; nil where only one label occurs.
    public var areasUnderROC: [Double?] { zip(scores, labels).map { RankMetrics.areaUnderROC($0, $1) } }
    /// By class; nil without positives.
    public var averagePrecisions: [Double?] { zip(scores, labels).map { RankMetrics.averagePrecision($0, $1) } }
    /// By class, the threshold with the largest F1 on these examples.
    public var bestThresholds: [Double] { zip(scores, labels).map { RankMetrics.bestThreshold($0, $1) } }

    /// What decisions by thresholds are worth: a class belongs where its score is at least its threshold.
    public func decisions(thresholds: [Double]) -> Decisions {
        precondition(thresholds.count == classCount, "a class without a threshold")
        var decisions = Decisions()
        decisions.classes = (0..<classCount).map { index in
            var counts = ClassCounts()
            for (score, label) in zip(scores[index], labels[index]) {
                switch (score >= thresholds[index], label) {
                case (true, true): counts.truePositives += 1
                case (true, false): counts.falsePositives += 1
                case (false, true): counts.falseNegatives += 1
                case (false, false): break
                }
            }
            return counts
        }
        var exact = 0
        let perExample = (0..<count).map { example -> Double in
            var counts = ClassCounts()
            for index in 0..<classCount {
                let decided = scores[index][example] >= thresholds[index]
                if decided && labels[index][example] { counts.truePositives += 1 }
                if decided && !labels[index][example] { counts.falsePositives += 1 }
                if !decided && labels[index][example] { counts.falseNegatives += 1 }
            }
            if counts.falsePositives == 0, counts.falseNegatives == 0 { exact += 1 }
            return counts.f1
        }
        decisions.sampleF1 = perExample.mean
        decisions.exactMatch = ClassCounts.ratio(exact, count)
        return decisions
    }

    public struct Decisions: Sendable {
        public var classes: [ClassCounts] = []
        /// The mean over examples of each one's own F1, 0 where nothing belongs and nothing was decided to.
        public var sampleF1 = 0.0
        /// The share of examples with every class right.
        public var exactMatch = 0.0

        public var macroF1: Double { classes.map(\.f1).mean }
        /// Over all classes' counts together.
        public var microF1: Double { classes.reduce(ClassCounts(), +).f1 }
    }
}
