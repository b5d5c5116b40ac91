import AlulaGraph

/// What training makes small. All are means over the samples of a batch.
public struct Loss: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// `-Σ t · log softmax(x)` for targets t that are class probabilities: one-hot, smoothed or mixed.
        case crossEntropy
        /// The mean over classes of `-(w · t · log σ(x) + (1 - t) · log(1 - σ(x)))`, w one weight a class (nil: all 1). With `focus` γ each term is
        /// multiplied by `(1 - p)^γ`, p the probability given to what is true (Lin et al., arXiv 1708.02002).
        case binaryCrossEntropy(positiveWeights: [Float]? = nil, focus: Float? = nil)
        /// The mean over outputs of `(x - t)²`.
        case meanSquaredError
    }

    /// Learning from a teacher's logits beside the targets: `(1 - weight) · loss + weight · distillation`.
    public struct Distillation: Sendable, Equatable {
        public enum Kind: Sendable, Equatable {
            /// `T² · KL(softmax(teacher / T) ‖ softmax(student / T))` (Hinton et al., arXiv 1503.02531).
            case soft(temperature: Float)
            /// Cross-entropy with the teacher's choice (Touvron et al., arXiv 2012.12877).
            case hard
        }
        public var kind: Kind
        public var weight: Float
        public init(_ kind: Kind, weight: Float) { (self.kind, self.weight) = (kind, weight) }
    }

    public var kind: Kind
    public var distillation: Distillation?

    public init(_ kind: Kind = .crossEntropy, distillation: Distillation? = nil) {
        (self.kind, self.distillation) = (kind, distillation)
    }

    public static let crossEntropy = Loss(.crossEntropy)

    package func check(classes: Int) throws(TrainingError) {
        if case .binaryCrossEntropy(let weights, let focus) = kind {
            if let weights, weights.count != classes || !weights.allSatisfy({ $0.isFinite && $0 >= 0 }) {
                throw .invalidOption(
                    name: "positive weights", problem: "takes \(classes) numbers of at least 0, one a class")
            }
            if let focus, !(focus.isFinite && focus >= 0) {
                throw .invalidOption(name: "focus", problem: "\(focus) is not a number of at least 0")
            }
        }
        guard let distillation else { return }
        guard distillation.weight >= 0, distillation.weight <= 1 else {
            throw .invalidOption(name: "distillation weight", problem: "\(distillation.weight) is not within 0...1")
        }
        if case .soft(let temperature) = distillation.kind, !(temperature > 0 && temperature.isFinite) {
            throw .invalidOption(name: "temperature", problem: "\(temperature) is not positive")
        }
    }
}
