/// The name of a module or tensor of a model, from which its name in a checkpoint follows.
package protocol ParameterName: Sendable {
    /// The name that graphs carry.
    var canonical: String { get }
    /// A part of the module.
    static func + (parent: Self, child: String) -> Self
}

/// A name that checkpoints and graphs share.
package struct PlainName: ParameterName, Equatable, ExpressibleByStringInterpolation {
    package var canonical: String
    package init(stringLiteral name: String) { canonical = name }
    package static func + (parent: PlainName, child: String) -> PlainName { "\(parent.canonical).\(child)" }
}

/// One tensor that a configuration asks for.
public struct TensorSpecification: Equatable, Sendable {
    /// What the numbers are for: decides initial values, and whether they are trained.
    public enum Kind: Sendable, Equatable {
        case convolutionWeight, convolutionBias, linearWeight, bias, normGamma, normBeta, layerScale, attentionBiases
        case positions, fusion
        case runningMean, runningVariance
        /// Carries no information of its own: it is checked or skipped, never needed.
        case batchCount, attentionBiasIndices

        /// Counted as parameters in every publication.
        public var isParameter: Bool {
            switch self {
            case .runningMean, .runningVariance, .batchCount, .attentionBiasIndices: false
            default: true
            }
        }

        /// Whether the model computes with it.
        public var isNeeded: Bool { self != .batchCount && self != .attentionBiasIndices }
    }

    /// As graphs have it.
    public var name: String
    public var kind: Kind
    /// In PyTorch's layout: convolutions are [out, in, height, width].
    public var shape: [Int]

    public var elementCount: Int { shape.reduce(1, *) }

    /// Products that one result of a layer with these weights sums.
    package var fanIn: Int { shape.dropFirst().reduce(1, *) }
}
