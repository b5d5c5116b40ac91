import AlulaGraph

/// Why a graph cannot be run.
public enum RuntimeError: Error, Equatable, Sendable {
    /// The graph itself is not valid.
    case graph(GraphError)
    /// No kernel computes this operator for these types or attributes. `value` names the node's first result.
    case unsupported(operator: String, value: String, problem: String)
    /// The session would need more memory than `SessionOptions.memoryLimit`.
    case memoryLimit(needed: Int, limit: Int)
    /// The system did not give this many bytes.
    case outOfMemory(bytes: Int)
    /// A constant has no data: the graph was not bound to a file.
    case missingConstant(name: String)
    /// A constant's data do not fit its declaration or its use.
    case invalidConstant(name: String, problem: String)
    /// The number of threads is negative, or larger than the platform supports.
    case invalidThreads(count: Int, limit: Int)
    /// The system did not start the threads.
    case threadsNotStarted(count: Int)
    /// The instruction set is unknown, or this build or CPU lacks it.
    case instructionSetUnavailable(name: String)
    /// Data for an input, or memory for an output, of the wrong size or element type.
    case wrongSize(name: String, expected: Int, given: Int)
    case wrongType(name: String, expected: String, given: String)

    /// One line for a person.
    public var message: String {
        switch self {
        case .graph(let error): error.message
        case .unsupported(let op, let value, let problem): "\(op) giving %\(value): \(problem)"
        case .memoryLimit(let needed, let limit): "needs \(needed) bytes of memory, more than the limit of \(limit)"
        case .outOfMemory(let bytes): "the system has no \(bytes) bytes of memory"
        case .missingConstant(let name): "constant @\(name) has no data"
        case .invalidConstant(let name, let problem): "constant @\(name): \(problem)"
        case .invalidThreads(let count, let limit):
            "\(count) threads: from 1 to \(limit) are possible, 0 for all physical cores"
        case .threadsNotStarted(let count): "the system did not start \(count) threads"
        case .instructionSetUnavailable(let name):
            "instruction set \(name) is not available on this CPU or in this build"
        case .wrongSize(let name, let expected, let given): "\(name) takes \(expected) elements, not \(given)"
        case .wrongType(let name, let expected, let given): "\(name) holds \(expected), not \(given)"
        }
    }
}
