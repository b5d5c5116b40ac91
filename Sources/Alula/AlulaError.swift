import AlulaGraph
import AlulaRuntime

/// Why a model cannot be opened or run. `message` says it in one line.
public enum AlulaError: Error, Equatable, Sendable {
    /// The file is missing, damaged, or no frozen model.
    case file(path: String, ModelFileError)
    /// The model's labels are no JSON list of strings.
    case labels(problem: String)
    /// The model cannot be run here: it needs more memory than allowed, or an operator that this library lacks.
    case runtime(RuntimeError)
    /// The model takes another number of tensors.
    case inputCount(expected: Int, given: Int)
    /// The tensor's shape is not the one that the model takes, or its values do not fill its shape.
    case inputShape(name: String, expected: [Int], given: [Int], values: Int)

    /// One line for a person.
    public var message: String {
        switch self {
        case .file(let path, let error): path + ": " + error.message
        case .labels(let problem): "the model's labels: " + problem
        case .runtime(let error): error.message
        case .inputCount(let expected, let given): "the model takes \(expected) tensors, not \(given)"
        case .inputShape(let name, let expected, let given, let values):
            "input \(name) has shape \(expected); the tensor has shape \(given) and \(values) values"
        }
    }
}

extension AlulaError: CustomStringConvertible {
    public var description: String { message }
}
