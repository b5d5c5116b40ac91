import AlulaGraph

/// A model as its file says it, checked for size but not for meaning.
public struct ONNXModel: Sendable {
    public internal(set) var irVersion = 0
    /// Such as `pytorch 2.9.0`.
    public internal(set) var producer = ""
    /// Versions of the operator sets by domain; ONNX's own is the empty string.
    public internal(set) var opsets: [String: Int] = [:]
    public internal(set) var functions: [ONNXFunction] = []
    /// What the model says about itself, in the file's order.
    public internal(set) var metadata: [(key: String, value: String)] = []

    var nodes: [ONNXNode] = []
    var initializers: [ONNXTensor] = []
    var inputs: [ONNXValueInfo] = []
    var outputs: [ONNXValueInfo] = []
    var valueInfo: [ONNXValueInfo] = []
    var limits = ONNXLimits.default
    /// Files with external data that were read, by path.
    public internal(set) var externalFiles: [String] = []
}

/// A named tensor.
struct ONNXTensor: Sendable {
    var name: String
    var value: HostTensor
}

/// A declared value: element type and the sizes of its axes.
struct ONNXValueInfo: Sendable {
    enum Dimension: Sendable, Equatable {
        case size(Int)
        /// Named by the model, or unnamed.
        case symbol(String)
    }

    var name: String
    /// ONNX's number of the element type.
    var elementType: Int
    /// nil where even the rank is unknown.
    var shape: [Dimension]?

    var shapeText: String {
        guard let shape else { return "[?]" }
        let texts = shape.map { dimension in
            switch dimension {
            case .size(let size): String(size)
            case .symbol(let name): name.isEmpty ? "?" : name
            }
        }
        return "[" + texts.joined(separator: ",") + "]"
    }
}

public struct ONNXFunction: Sendable {
    public internal(set) var domain = ""
    public internal(set) var name = ""
    var overload = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var nodes: [ONNXNode] = []
    var defaults: [String: ONNXAttribute] = [:]
    var opsets: [String: Int] = [:]
}

struct ONNXNode: Sendable {
    var name = ""
    var op = ""
    var domain = ""
    var overload = ""
    /// Empty for an optional input that is left out.
    var inputs: [String] = []
    var outputs: [String] = []
    var attributes: [String: ONNXAttribute] = [:]

    /// With its domain, where that is not ONNX's own.
    var qualifiedOp: String { domain.isEmpty ? op : domain + ":" + op }

    var label: ONNXNodeName {
        ONNXNodeName(op: qualifiedOp, name: name.isEmpty ? outputs.first { !$0.isEmpty } ?? "" : name)
    }
}

enum ONNXAttribute: Sendable {
    case float(Float)
    case int(Int)
    case string(String)
    case tensor(HostTensor)
    case floats([Float])
    case ints([Int])
    case strings([String])
    /// The value of the calling node's attribute of that name.
    case reference(String)
    /// A kind that no supported operator has, such as a graph.
    case other
}
