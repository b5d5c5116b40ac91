import AlulaGraph
import EdgeViT
import EfficientFormer
import MSWTransformer
import ModelBuilding

/// The families of architectures that this program converts and creates.
enum Architectures {
    static let families = [EfficientFormer.family, EdgeViT.family, MSWTransformer.family]

    static var names: [String] { families.flatMap(\.architectures) }

    /// What `create --set` can change, a line a family.
    static var settings: String {
        families.filter { !$0.settings.isEmpty }
            .map { "  \($0.name): \($0.settings.joined(separator: ", "))" }.joined(separator: "\n")
    }

    /// The family of a published architecture.
    static func family(named name: String) -> ModelFamily? {
        families.first { $0.architectures.contains(hyphenated(name)) }
    }

    /// The family of a checkpoint, by the names of its tensors.
    static func family(of checkpoint: Checkpoint) -> ModelFamily? { families.first { $0.recognizes(checkpoint) } }

    /// The family that a `config.json` names.
    static func family(configuredBy json: [UInt8]) -> ModelFamily? {
        guard let keys = try? ConfigurationKeys(json: json) else { return nil }
        for key in ["model_type", "architecture"] {
            guard let word = try? keys.string(key) else { continue }
            if let family = families.first(where: { hyphenated(word).hasPrefix($0.name) }) { return family }
        }
        return nil
    }
}

extension ModelError {
    /// The error as a command reports it: of the configuration where it is at fault, else of the weights; all tensors are listed.
    func failure(weights: String, configuration: String?) -> Failure {
        switch self {
        case .tensors(let missing, let misshapen):
            // All of them, where the error's own message lists the first few.
            var parts: [String] = []
            if !missing.isEmpty { parts.append("missing tensors: " + missing.joined(separator: ", ")) }
            if !misshapen.isEmpty {
                let texts = misshapen.map {
                    "\($0.name) is \(Shape($0.found).description), not \(Shape($0.expected).description)"
                }
                parts.append("misshapen tensors: " + texts.joined(separator: ", "))
            }
            return Failure(weights, parts.joined(separator: "; "))
        case .notJSON, .configuration, .unknownArchitecture: return Failure(configuration ?? weights, message)
        case .unrecognized, .invalidTensor, .graph, .notPlain, .writing: return Failure(weights, message)
        }
    }
}
