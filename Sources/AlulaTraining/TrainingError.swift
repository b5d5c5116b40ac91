import AlulaCompiler
import AlulaGraph
import AlulaRuntime

/// Why a graph cannot be trained, or a training step cannot be done.
public enum TrainingError: Error, Equatable, Sendable {
    case graph(GraphError)
    case runtime(RuntimeError)
    case compiler(CompilerError)
    /// The loss depends on parameters through an operator that has no gradient.
    case notDifferentiable(operator: String, value: String, reason: String)
    /// The operator mixes the samples of a batch, or the graph was not made for one sample at a time.
    case notBatchable(operator: String, value: String, reason: String)
    /// No constant is left to train, or patterns name none.
    case noParameters
    /// A pattern matches no parameter, or names what cannot have what is asked for.
    case noMatch(pattern: String, problem: String)
    /// An option is outside of its range.
    case invalidOption(name: String, problem: String)
    /// The model's output does not fit the loss.
    case wrongOutput(name: String, problem: String)
    /// Data of the wrong size.
    case wrongSize(name: String, expected: Int, given: Int)
    /// Even with everything recomputed that can be, a step needs more memory than allowed.
    case memoryLimit(needed: Int, limit: Int)

    /// One line for a person.
    public var message: String {
        switch self {
        case .graph(let error): error.message
        case .runtime(let error): error.message
        case .compiler(let error): error.message
        case .notDifferentiable(let op, let value, let reason): "\(op) giving %\(value) has no gradient: \(reason)"
        case .notBatchable(let op, let value, let reason): "\(op) giving %\(value) cannot take a batch: \(reason)"
        case .noParameters: "no parameter is left to train"
        case .noMatch(let pattern, let problem): "\(pattern): \(problem)"
        case .invalidOption(let name, let problem): "\(name): \(problem)"
        case .wrongOutput(let name, let problem): "output %\(name): \(problem)"
        case .wrongSize(let name, let expected, let given): "\(name) takes \(expected) numbers, not \(given)"
        case .memoryLimit(let needed, let limit):
            "a training step needs at least \(needed) bytes of memory, more than the limit of \(limit)"
        }
    }
}

extension Graph {
    /// `add`, with the error as a training error.
    mutating func emit(_ op: Operator, _ inputs: [ValueID], name: String = "") throws(TrainingError) -> ValueID {
        do throws(GraphError) { return try add(op, inputs, name: name) } catch { throw .graph(error) }
    }

    mutating func emitAll(_ op: Operator, _ inputs: [ValueID]) throws(TrainingError) -> [ValueID] {
        do throws(GraphError) { return try addAll(op, inputs) } catch { throw .graph(error) }
    }

    /// An f32 constant that training adds. Its name is unique.
    mutating func addTrainingConstant(_ shape: Shape, _ values: [Float]) -> ValueID {
        addConstant("training.\(self.values.count)", TensorType(.f32, shape), TensorData(elements: values))
    }
}
