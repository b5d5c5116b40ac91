import AlulaGraph

/// Why an ONNX model cannot be read or converted. `message` says it in one line, without the model file's name.
public enum ONNXError: Error, Equatable, Sendable {
    case system(SystemError)
    /// The bytes are not a model, or contradict themselves.
    case malformed(problem: String)
    /// More of something than the limits allow.
    case limit(what: String, count: Int, limit: Int)
    /// Data outside of the model file that may not or cannot be read.
    case externalData(tensor: String, problem: String)
    /// A tensor whose element type, size or data do not fit together, or are not read.
    case tensor(name: String, problem: String)
    /// A node contradicts the format's rules: this names it and says how.
    case node(ONNXNodeName, problem: String)
    /// An input whose size depends on the caller, and the dimensions that must be said.
    case dynamicInput(name: String, shape: String)
    case unknownInput(name: String, known: [String])
    /// Everything in the model that has no counterpart here.
    case unsupported([ONNXUnsupportedNode])
    case graph(GraphError)

    public var message: String {
        switch self {
        case .system(let error): error.message
        case .malformed(let problem): "not a readable ONNX model: \(problem)"
        case .limit(let what, let count, let limit): "has \(count) \(what), more than the limit of \(limit)"
        case .externalData(let tensor, let problem): "external data of tensor \(tensor.quotedForMessage): \(problem)"
        case .tensor(let name, let problem): "tensor \(name.quotedForMessage): \(problem)"
        case .node(let node, let problem): "\(node.text): \(problem)"
        case .dynamicInput(let name, let shape):
            "input \(name.quotedForMessage) has the shape \(shape): fix it with --batch N or --shape \(argument(name))=1x3x224x224"
        case .unknownInput(let name, let known):
            "has no input \(name.quotedForMessage); its inputs are \(known.map(\.quotedForMessage).joined(separator: ", "))"
        case .unsupported(let nodes):
            nodes.count == 1
                ? nodes[0].text
                : "\(nodes.count) unsupported nodes: " + nodes.map(\.text).joined(separator: "; ")
        case .graph(let error): error.message
        }
    }

    /// An input's name as --shape takes it, where a message can show it.
    private func argument(_ name: String) -> String { name.quotedForMessage == "\"\(name)\"" ? name : "NAME" }
}

extension ONNXError {
    /// Inputs of the model that unsupported nodes want to be constant.
    public var wantedConstants: [String] {
        guard case .unsupported(let nodes) = self else { return [] }
        return nodes.compactMap(\.constantInput)
    }
}

/// Which node of an ONNX graph is meant.
public struct ONNXNodeName: Equatable, Sendable {
    /// With its domain in front where that is not ONNX's own.
    public var op: String
    /// The node's own name, or else its first result's.
    public var name: String

    var text: String {
        let isPlain = !op.isEmpty && op.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && op.utf8.count <= 100
        return "\(isPlain ? op : op.quotedForMessage) \(name.quotedForMessage)"
    }
}

/// A node that has no counterpart in Alula's graph.
public struct ONNXUnsupportedNode: Equatable, Sendable {
    public var node: ONNXNodeName
    /// Shapes of its inputs as far as they are known, such as `[1,3,224,224]`.
    public var shapes: [String]
    /// What would be needed.
    public var needed: String
    /// The input that must be a constant, if that is what is missing.
    public var constantInput: String? = nil

    public var text: String { "\(node.text) of \(shapes.joined(separator: ", ")): \(needed)" }
}

/// What a model may hold at most. Reading stops at the first excess.
public struct ONNXLimits: Sendable {
    /// Bytes that the parser may allocate in all, weights not counted: they stay in the file.
    public var parsedBytes = 1 << 30
    /// Nodes after functions have been put in place.
    public var nodes = 65_536
    /// Initializers, declared values and functions.
    public var declarations = 262_144
    /// Functions within functions.
    public var depth = 32
    /// Elements of a tensor that is computed while importing.
    public var constantElements = 1 << 22

    public static let `default` = ONNXLimits()

    public init() {}
}
