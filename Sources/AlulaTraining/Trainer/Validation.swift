import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaRuntime
import Foundation

/// What a model is worth on the validation data.
package struct ValidationResult: Sendable {
    /// The mean over examples: cross-entropy, or binary cross-entropy, of the model's answers without smoothing or weights.
    package var loss: Double
    package var figures: [EpochRecord.Figure]
    /// Of models that pick one class.
    package var single: SingleLabelMetrics?
    /// Of models that decide about each class.
    package var multiple: MultiLabelMetrics?

    package static let keys = ["accuracy", "top5", "macro_f1", "macro_auroc", "macro_ap"]

    /// The figure that a recipe judges epochs by, and whether less is better; nil where these data do not have it.
    package func monitored(_ monitor: Recipe.Monitor) -> (value: Double, prefersLess: Bool)? {
        func figure(_ key: String) -> (value: Double, prefersLess: Bool)? {
            figures.first { $0.key == key }.map { ($0.value, false) }
        }
        switch monitor {
        case .loss: return (loss, true)
        case .accuracy: return figure("accuracy")
        case .macroF1: return figure("macro_f1")
        case .macroAUROC: return figure("macro_auroc")
        case .auto: return figure(single == nil ? "macro_auroc" : "accuracy") ?? (loss, true)
        }
    }
}

/// Measures a graph on labelled data as `alula evaluate` does: folded where it is float, one example at a time.
package struct Validation {
    package let dataset: any Dataset
    package let classes: ClassMap
    private let preparation: InputPreparation
    private let threads: Int

    package init(_ dataset: any Dataset, _ classes: ClassMap, _ preparation: InputPreparation, threads: Int) {
        (self.dataset, self.classes, self.preparation, self.threads) = (dataset, classes, preparation, threads)
    }

    /// - Parameter advance: called after every example; false ends the measurement.
    /// - Returns: nil if it was ended.
    package func measure(_ graph: Graph, advance: () -> Bool = { true }) throws -> ValidationResult? {
        let runnable = graph.isQuantized ? graph : try Pass.run(Pass.folding + Pass.floatOnly, on: graph)
        let session = try Session(runnable, options: SessionOptions(threads: threads))
        var single = classes.isMultiLabel ? nil : SingleLabelMetrics(classCount: classes.count)
        var multiple = MultiLabelMetrics(classCount: classes.isMultiLabel ? classes.places.count : 0)
        var loss = 0.0
        for index in 0..<dataset.count {
            do {
                try session.setInput(0, floats: try preparation.input(try dataset.example(index)))
            } catch { throw ExampleError(name: dataset.name(index), underlying: error) }
            session.run()
            let logits = try session.outputFloats(0).map(Double.init)
            switch dataset.target(index) {
            case .unlabelled:
                throw ExampleError(name: dataset.name(index), underlying: TrainerError.classes("has no label"))
            case .class(let truth):
                let place = classes.places[truth]
                if classes.isMultiLabel {
                    let flags = classes.places.indices.map { $0 == truth }
                    loss += addDecisions(logits, flags, &multiple)
                } else {
                    let (probabilities, normalizer) = Validation.softmax(logits)
                    single?.add(probabilities, truth: place)
                    loss += normalizer - logits[place]
                }
            case .classes(let flags): loss += addDecisions(logits, flags, &multiple)
            }
            if !advance() { return nil }
        }
        loss /= Double(max(1, dataset.count))
        return ValidationResult(
            loss: loss, figures: single.map(figures) ?? figures(multiple), single: single,
            multiple: classes.isMultiLabel ? multiple : nil)
    }

    /// Notes one example's decisions; gives the mean binary cross-entropy over the data's classes.
    private func addDecisions(_ logits: [Double], _ flags: [Bool], _ metrics: inout MultiLabelMetrics) -> Double {
        let scores = classes.places.map { logits[$0] }
        metrics.add(scores.map { 1 / (1 + exp(-$0)) }, truth: flags)
        let losses = zip(scores, flags).map { score, flag in
            max(score, 0) - (flag ? score : 0) + log1p(exp(-abs(score)))
        }
        return losses.mean
    }

    private func figures(_ metrics: SingleLabelMetrics) -> [EpochRecord.Figure] {
        var figures = [EpochRecord.Figure("accuracy", metrics.accuracy)]
        if classes.count > 5 { figures.append(.init("top5", metrics.topFiveAccuracy)) }
        return figures + [.init("macro_f1", metrics.macroF1)]
    }

    private func figures(_ metrics: MultiLabelMetrics) -> [EpochRecord.Figure] {
        let areas = metrics.areasUnderROC.compactMap { $0 }
        let precisions = metrics.averagePrecisions.compactMap { $0 }
        let halves = Array(repeating: 0.5, count: metrics.classCount)
        var figures = [EpochRecord.Figure("macro_f1", metrics.decisions(thresholds: halves).macroF1)]
        if !areas.isEmpty { figures.append(.init("macro_auroc", areas.mean)) }
        if !precisions.isEmpty { figures.append(.init("macro_ap", precisions.mean)) }
        return figures
    }

    /// Probabilities, and the logarithm of the sum that divides them.
    private static func softmax(_ logits: [Double]) -> (probabilities: [Double], normalizer: Double) {
        let top = logits.max() ?? 0
        let powers = logits.map { exp($0 - top) }
        let sum = powers.reduce(0, +)
        return (powers.map { $0 / sum }, top + log(sum))
    }
}
