/// Why a graph, or its text, is not acceptable. Carries the values that explain it.
public enum GraphError: Error, Equatable, Sendable {
    /// The text does not follow the grammar. Lines and columns count from 1.
    case syntax(line: Int, column: Int, problem: String)
    /// A name is used that nothing defined before.
    case undefined(name: String, line: Int)
    /// A name is defined twice.
    case redefined(name: String)
    /// The operator's operands or attributes do not fit together. `value` names the node's first result.
    case invalidNode(operator: String, value: String, problem: String)
    /// A value's declared type contradicts its operator.
    case typeMismatch(operator: String, value: String, declared: String, expected: String)
    /// A constant's declaration and its data in the file disagree, or the data are missing.
    case invalidConstant(name: String, problem: String)
    /// The graph as a whole is malformed (no outputs, too many nodes, …).
    case invalidGraph(problem: String)

    /// One line for a person, without the file's name.
    public var message: String {
        switch self {
        case .syntax(let line, let column, let problem): "graph text, line \(line), column \(column): \(problem)"
        case .undefined(let name, let line):
            line > 0 ? "graph text, line \(line): \(name) is not defined" : "\(name) is not defined"
        case .redefined(let name): "\(name) is defined twice"
        case .invalidNode(let op, let value, let problem): "\(op) giving %\(value): \(problem)"
        case .typeMismatch(let op, let value, let declared, let expected):
            "\(op) giving %\(value): declared \(declared), but the operator gives \(expected)"
        case .invalidConstant(let name, let problem): "constant @\(name): \(problem)"
        case .invalidGraph(let problem): problem
        }
    }
}
