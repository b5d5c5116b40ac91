import AlulaData
import Foundation
import Testing

@Suite struct MetricsTests {
    private static func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-9 }
    private static func near(_ a: [Double], _ b: [Double]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { near($0, $1) }
    }
    private static func near(_ a: [Double?], _ b: [Double?]) -> Bool {
        a.count == b.count
            && zip(a, b).allSatisfy { pair in
                guard let first = pair.0, let second = pair.1 else { return pair.0 == nil && pair.1 == nil }
                return near(first, second)
            }
    }

    @Test(arguments: SignalGolden.recorded.single.map(\.name)) func oneClassOfManyIsScikitLearns(_ name: String) throws
    {
        let golden = try #require(SignalGolden.recorded.single.first { $0.name == name })
        let noise = SignalGolden.noise(golden.examples * golden.classes, seed: golden.seed)
        let draws = SignalGolden.noise(golden.examples, seed: golden.seed + 100)
        var metrics = SingleLabelMetrics(classCount: golden.classes)
        for example in 0..<golden.examples {
            let scores = (0..<golden.classes).map {
                SignalGolden.rounded(noise[example * golden.classes + $0] + 0.5, golden.decimals)
            }
            let truth = min(golden.classes - 1, Int((draws[example] + 0.5) * Double(golden.classes)))
            metrics.add(scores, truth: golden.fixedLabel ?? truth)
        }
        #expect(metrics.confusion == golden.confusion)
        #expect(Self.near(metrics.accuracy, golden.accuracy) && Self.near(metrics.topFiveAccuracy, golden.topFive))
        #expect(Self.near(metrics.classes.map(\.precision), golden.precision))
        #expect(Self.near(metrics.classes.map(\.recall), golden.recall))
        #expect(Self.near(metrics.classes.map(\.f1), golden.f1))
        #expect(metrics.classes.map(\.support) == golden.support)
        #expect(Self.near(metrics.macroF1, golden.macroF1))
        #expect(Self.near(metrics.calibrationError, golden.ece))
    }

    @Test(arguments: SignalGolden.recorded.multiple.map(\.name)) func everyClassOnItsOwnIsScikitLearns(_ name: String)
        throws
    {
        let golden = try #require(SignalGolden.recorded.multiple.first { $0.name == name })
        let noise = SignalGolden.noise(golden.examples * golden.classes, seed: golden.seed)
        let draws = SignalGolden.noise(golden.examples * golden.classes, seed: golden.seed + 100)
        var metrics = MultiLabelMetrics(classCount: golden.classes)
        for example in 0..<golden.examples {
            let range = example * golden.classes..<(example + 1) * golden.classes
            var scores = noise[range].map { SignalGolden.rounded($0 + 0.5, golden.decimals) }
            var truth = draws[range].map { $0 > 0.1 }
            if golden.name == "degenerate" {
                (truth[0], truth[1], scores[2], truth[3]) = (false, true, 0.25, scores[3] >= 0.5)
            }
            metrics.add(scores, truth: truth)
        }
        let decisions = metrics.decisions(thresholds: Array(repeating: 0.5, count: golden.classes))
        #expect(Self.near(metrics.areasUnderROC, golden.auroc))
        #expect(Self.near(metrics.averagePrecisions, golden.ap))
        #expect(Self.near(decisions.classes.map(\.f1), golden.f1))
        #expect(Self.near(decisions.classes.map(\.precision), golden.precision))
        #expect(Self.near(decisions.classes.map(\.recall), golden.recall))
        #expect(Self.near(decisions.macroF1, golden.macroF1) && Self.near(decisions.microF1, golden.microF1))
        #expect(Self.near(decisions.sampleF1, golden.sampleF1) && Self.near(decisions.exactMatch, golden.exactMatch))
    }

    @Test(
        .enabled(if: sharedExists("fixtures/ecg_metrics/expected.json"), "no shared fixtures"),
        arguments: ["challenge2021", "challenge2020", "small"])
    func theSharedSetsAreScikitLearns(_ name: String) throws {
        let arrays = try Safetensors(contents(shared("fixtures/ecg_metrics/arrays.safetensors")))
        let json =
            try JSONSerialization.jsonObject(
                with: Data(contents(shared("fixtures/ecg_metrics/expected.json")))) as? [String: Any]
        let expected = try #require((json?["sklearn"] as? [String: Any])?[name] as? [String: Any])
        let (shape, labels) = try arrays.bytes(name + ".labels")
        let scores = try arrays.doubles(name + ".scores")
        var metrics = MultiLabelMetrics(classCount: shape[1])
        for row in 0..<shape[0] {
            let range = row * shape[1]..<(row + 1) * shape[1]
            metrics.add(Array(scores[range]), truth: labels[range].map { $0 == 1 })
        }
        // The fixture decides by more than 0.5, we by at least: the next number above is the same.
        let decisions = metrics.decisions(thresholds: Array(repeating: (0.5).nextUp, count: shape[1]))
        func value(_ key: String) throws -> Double { try #require(expected[key] as? Double) }
        #expect(Self.near(decisions.macroF1, try value("macro_f1")))
        #expect(Self.near(decisions.microF1, try value("micro_f1")))
        #expect(Self.near(decisions.sampleF1, try value("samples_f1")))
        #expect(Self.near(decisions.exactMatch, try value("subset_accuracy")))
        #expect(Self.near(metrics.areasUnderROC.compactMap { $0 }.mean, try value("macro_auroc")))
        #expect(Self.near(metrics.averagePrecisions.compactMap { $0 }.mean, try value("macro_average_precision")))
        #expect(Self.near(decisions.classes.map(\.f1), try #require(expected["per_class_f1"] as? [Double])))
    }

    @Test func theBestThresholdBeatsAllOthers() {
        for seed in UInt32(1)...20 {
            let scores = SignalGolden.noise(40, seed: seed).map { SignalGolden.rounded($0 + 0.5, 1 + Int(seed % 3)) }
            let labels = SignalGolden.noise(40, seed: seed + 50).map { $0 > 0.2 }
            func f1(_ threshold: Double) -> Double {
                var counts = ClassCounts()
                for (score, label) in zip(scores, labels) {
                    if score >= threshold && label { counts.truePositives += 1 }
                    if score >= threshold && !label { counts.falsePositives += 1 }
                    if score < threshold && label { counts.falseNegatives += 1 }
                }
                return counts.f1
            }
            let best = f1(RankMetrics.bestThreshold(scores, labels))
            #expect(scores.allSatisfy { f1($0) <= best })
        }
        #expect(RankMetrics.bestThreshold([0.1, 0.9], [false, false]) == 0.5)
        #expect(RankMetrics.bestThreshold([], []) == 0.5)
    }

    @Test func scoresThatAreNoNumbersRankLast() {
        #expect(RankMetrics.areaUnderROC([.nan, 0.4, 0.3], [false, true, true]) == 1)
        #expect(RankMetrics.areaUnderROC([.nan, 0.4], [true, true]) == nil)
    }
}
