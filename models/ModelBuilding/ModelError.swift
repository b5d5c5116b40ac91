import AlulaGraph

/// A tensor whose shape is not what the configuration asks for.
public struct MisshapenTensor: Equatable, Sendable {
    /// As in the checkpoint.
    public var name: String
    public var expected: [Int]
    public var found: [Int]

    public init(name: String, expected: [Int], found: [Int]) {
        (self.name, self.expected, self.found) = (name, expected, found)
    }
}

/// Why a model cannot be configured or built. `message` says it in one line, without the file's name.
public enum ModelError: Error, Equatable, Sendable {
    /// The configuration is no JSON object.
    case notJSON
    /// A configuration's key has a value that no such model can have.
    case configuration(key: String, value: String, problem: String)
    case unknownArchitecture(name: String, known: [String])
    /// The tensor names are not those of the family.
    case unrecognized(example: String, family: String)
    /// All tensors that the configuration needs and the checkpoint lacks, and all that have another shape.
    case tensors(missing: [String], misshapen: [MisshapenTensor])
    /// A tensor's values or type cannot be used.
    case invalidTensor(name: String, problem: String)
    /// The operators do not fit together; carries the graph's own reason.
    case graph(GraphError)
    /// A graph to be exported is not the float graph that the architecture's builder makes.
    case notPlain(architecture: String)
    /// A sample model could not be written.
    case writing(path: String, problem: String)

    /// Names that a message lists before it only counts.
    static let listLimit = 8

    public var message: String {
        switch self {
        case .notJSON: "the configuration is no JSON object"
        case .configuration(let key, let value, let problem): "\(key) = \(value): \(problem)"
        case .unknownArchitecture(let name, let known):
            "\(name.quotedForMessage) is not a known architecture: known are " + known.joined(separator: ", ")
        case .unrecognized(let example, let family):
            "tensor names such as \(example.quotedForMessage) are not those of \(family)"
        case .tensors(let missing, let misshapen): ModelError.accountMessage(missing, misshapen)
        case .invalidTensor(let name, let problem): "tensor \(name.quotedForMessage) \(problem)"
        case .graph(let error): error.message
        case .notPlain(let architecture):
            "is not a plain float \(architecture): it was folded, fused or edited; export the model that convert or finetune wrote"
        case .writing(let path, let problem): "\(path): \(problem)"
        }
    }

    private static func accountMessage(_ missing: [String], _ misshapen: [MisshapenTensor]) -> String {
        var parts: [String] = []
        if !missing.isEmpty {
            parts.append("\(missing.count) tensors missing: " + abbreviated(missing.map(\.quotedForMessage)))
        }
        if !misshapen.isEmpty {
            let texts = misshapen.map { tensor in
                "\(tensor.name.quotedForMessage) is \(Shape(tensor.found).description), not \(Shape(tensor.expected).description)"
            }
            parts.append("\(misshapen.count) tensors misshapen: " + abbreviated(texts))
        }
        return parts.joined(separator: "; ")
    }

    private static func abbreviated(_ names: [String]) -> String {
        let head = names.prefix(listLimit).joined(separator: ", ")
        return names.count > listLimit ? head + ", and \(names.count - listLimit) more" : head
    }
}
