import Alula
import AlulaGraph
import Foundation

/// What a model's logits mean: one class of all, or a yes or no for each.
struct Scoring {
    let labels: [String]
    /// Each class is decided on its own, by a sigmoid.
    let isMultiLabel: Bool
    /// By class, what a probability must reach to count as yes; 0.5 where the model has none.
    let thresholds: [Double]
    /// Whether the thresholds were chosen on data.
    let hasThresholds: Bool

    /// - Parameter path: the model's, for messages.
    init(_ model: ModelFile, path: String) throws {
        let classes = model.graph.outputs.first.map { model.graph.shape($0).elementCount } ?? 0
        labels = try Models.labels(model, path: path)
        let chosen = try naming(path) { try Scoring.thresholds(model) }
        guard chosen.isEmpty || chosen.count == classes else {
            throw Failure(path, "has \(chosen.count) thresholds (alula.thresholds) for \(classes) classes")
        }
        hasThresholds = !chosen.isEmpty
        isMultiLabel = hasThresholds || model.metadata[ModelFile.Key.task] == ModelFile.multiLabelTask
        thresholds = hasThresholds ? chosen : Array(repeating: 0.5, count: classes)
    }

    private static func thresholds(_ model: ModelFile) throws -> [Double] {
        guard let text = model.metadata[ModelFile.Key.thresholds] else { return [] }
        guard let numbers = try? JSONDecoder().decode([Double].self, from: Data(text.utf8)),
            numbers.allSatisfy(\.isFinite)
        else { throw Failure(nil, "has an alula.thresholds that is no list of numbers") }
        return numbers
    }

    func label(_ index: Int) -> String { index < labels.count ? labels[index] : String(index) }

    /// By class: softmax over all, or each class's own sigmoid.
    func probabilities(_ logits: [Float]) -> [Double] {
        if !isMultiLabel { return softmax(logits).map(Double.init) }
        return logits.map { 1 / (1 + exp(-Double($0))) }
    }

    func isPositive(_ probability: Double, _ index: Int) -> Bool {
        index < thresholds.count && probability >= thresholds[index]
    }
}
