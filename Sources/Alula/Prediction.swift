#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#else
    import Glibc
#endif

/// What a model gave for one input.
public struct Prediction: Sendable, Equatable {
    /// One class of a classifier, with its share of the probability.
    public struct Candidate: Sendable, Equatable {
        /// The class's position in the model's output.
        public let index: Int
        /// The class's name, or its index as text where the model has no labels.
        public let label: String
        /// Between 0 and 1; all classes add up to 1.
        public let score: Float
    }

    /// The outputs in the model's order.
    public let outputs: [(name: String, tensor: Tensor)]
    private let labels: [String]

    init(outputs: [(name: String, tensor: Tensor)], labels: [String]) {
        self.outputs = outputs
        self.labels = labels
    }

    /// The output of that name.
    public subscript(name: String) -> Tensor? { outputs.first { $0.name == name }?.tensor }

    /// The likeliest classes, best first: softmax over the first output, taken as logits.
    ///
    ///     for candidate in prediction.top(3) { print(candidate.label, candidate.score) }
    public func top(_ count: Int) -> [Candidate] {
        let logits = outputs.first?.tensor.values ?? []
        let scores = softmax(logits)
        let best = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(max(0, count))
        return best.map { Candidate(index: $0, label: $0 < labels.count ? labels[$0] : String($0), score: scores[$0]) }
    }

    public static func == (left: Prediction, right: Prediction) -> Bool {
        left.labels == right.labels && left.outputs.elementsEqual(right.outputs, by: ==)
    }
}

/// Shares that add up to 1, in proportion to the exponentials of `logits`.
package func softmax(_ logits: [Float]) -> [Float] {
    // Subtracting the largest keeps the exponentials in range.
    guard let largest = logits.max() else { return [] }
    let exponentials = logits.map { exp(Double($0 - largest)) }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { Float($0 / sum) }
}
