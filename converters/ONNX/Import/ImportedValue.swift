import AlulaGraph

/// What an ONNX value is while importing.
enum ImportedValue: Sendable {
    /// Its numbers are known.
    case host(HostTensor)
    /// It is, or becomes, a value of the graph.
    case view(View)
    /// A node that cannot be converted gives it.
    case unknown
    /// An input of the model whose elements the graph does not hold at run time.
    case unreadable(DataType?, shape: [Int]?, elements: String)

    var shape: [Int]? {
        switch self {
        case .host(let tensor): tensor.shape
        case .view(let view): view.shape
        case .unknown: nil
        case .unreadable(_, let shape, _): shape
        }
    }

    var type: DataType? {
        switch self {
        case .host(let tensor): tensor.type
        case .view(let view): view.type
        case .unknown: nil
        case .unreadable(let type, _, _): type
        }
    }
}

/// An ONNX tensor seen through a permutation of a graph value's axes: axis i of what the graph stores is axis `order[i]` of the ONNX tensor.
///
/// This is how channels-first models become channels-last graphs almost without transposes: an ONNX Transpose changes the order alone,
/// convolutions leave their results channels-last, and whatever does not care about the order of axes passes it on.
struct View: Sendable {
    var id: ValueID
    /// ONNX's shape.
    var shape: [Int]
    var order: [Int]
    /// ONNX's element type. The graph stores numbers of every type as f32: bool as 0 and 1.
    var type: DataType

    init(_ id: ValueID, _ shape: [Int], order: [Int]? = nil, type: DataType = .f32) {
        (self.id, self.shape, self.type) = (id, shape, type)
        self.order = order ?? Array(shape.indices)
    }

    var rank: Int { shape.count }
    var storedShape: [Int] { order.map { shape[$0] } }
    /// Where the graph has an ONNX axis.
    func storedAxis(_ axis: Int) -> Int { order.firstIndex(of: axis)! }

    /// The ONNX tensor with its axes permuted as ONNX's Transpose does.
    func transposed(_ permutation: [Int]) -> View {
        var inverse = permutation
        for (new, old) in permutation.enumerated() { inverse[old] = new }
        return View(id, permutation.map { shape[$0] }, order: order.map { inverse[$0] }, type: type)
    }

    /// The same with more axes of size 1 in front.
    func extended(to rank: Int) -> View {
        let added = rank - self.rank
        guard added > 0 else { return self }
        return View(
            id, [Int](repeating: 1, count: added) + shape, order: Array(0..<added) + order.map { $0 + added },
            type: type)
    }

    /// Whether the axes that are larger than 1 lie in the given order.
    func isStored(as wanted: [Int]) -> Bool {
        order.filter { shape[$0] != 1 } == wanted.filter { shape[$0] != 1 }
    }
}

/// Channels last: the batch, then the spatial axes, then the channels.
func channelsLast(_ rank: Int) -> [Int] { rank < 2 ? Array(0..<rank) : [0] + Array(2..<rank) + [1] }

/// Why a node cannot be lowered.
enum LoweringProblem: Error {
    /// There is no counterpart; says what would be needed.
    case unsupported(needed: String)
    /// An input must be known while importing.
    case wantsConstant(input: Int, what: String)
    /// The model contradicts ONNX's rules.
    case invalid(String)
}

/// One node with its inputs, and typed access to its attributes.
struct NodeContext {
    var node: ONNXNode
    /// The version of the operator set that the node's domain has.
    var opset: Int
    var inputs: [ImportedValue?]

    var op: String { node.op }
    var outputCount: Int { node.outputs.count }

    // MARK: Inputs

    func optional(_ index: Int) -> ImportedValue? { index < inputs.count ? inputs[index] : nil }

    func input(_ index: Int) throws -> ImportedValue {
        guard let value = optional(index) else { throw LoweringProblem.invalid("input \(index) is missing") }
        return value
    }

    func shape(_ index: Int) throws -> [Int] {
        guard let shape = try input(index).shape else { throw LoweringProblem.invalid("input \(index) is not known") }
        return shape
    }

    /// The numbers of an input that must be known; nil if it is left out.
    func host(_ index: Int, _ what: String) throws -> HostTensor? {
        switch optional(index) {
        case nil: return nil
        case .host(let tensor): return tensor
        case .view, .unknown, .unreadable: throw LoweringProblem.wantsConstant(input: index, what: what)
        }
    }

    func integers(_ index: Int, _ what: String) throws -> [Int]? { try host(index, what)?.integers }

    func scalar(_ index: Int, _ what: String) throws -> Double? {
        guard let tensor = try host(index, what) else { return nil }
        guard tensor.count == 1 else { throw LoweringProblem.invalid("\(what) is not one number") }
        return tensor.reals[0]
    }

    // MARK: Attributes

    func has(_ name: String) -> Bool { node.attributes[name] != nil }

    func int(_ name: String, default defaultValue: Int) throws -> Int {
        switch node.attributes[name] {
        case nil: return defaultValue
        case .int(let value): return value
        default: throw wrongKind(name, "an integer")
        }
    }

    func flag(_ name: String, default defaultValue: Bool = false) throws -> Bool {
        try int(name, default: defaultValue ? 1 : 0) != 0
    }

    func ints(_ name: String) throws -> [Int]? {
        switch node.attributes[name] {
        case nil: return nil
        case .ints(let values): return values
        default: throw wrongKind(name, "a list of integers")
        }
    }

    func float(_ name: String, default defaultValue: Float) throws -> Float {
        switch node.attributes[name] {
        case nil: return defaultValue
        case .float(let value): return value
        default: throw wrongKind(name, "a number")
        }
    }

    func floats(_ name: String) throws -> [Float]? {
        switch node.attributes[name] {
        case nil: return nil
        case .floats(let values): return values
        default: throw wrongKind(name, "a list of numbers")
        }
    }

    func string(_ name: String, default defaultValue: String) throws -> String {
        switch node.attributes[name] {
        case nil: return defaultValue
        case .string(let value): return value
        default: throw wrongKind(name, "a word")
        }
    }

    private func wrongKind(_ name: String, _ expected: String) -> LoweringProblem {
        .invalid("attribute \(name.quotedForMessage) is not \(expected)")
    }

    // MARK: Both

    /// Integers that later operator sets take as an input and earlier ones as an attribute.
    func integers(attribute: String, orInput index: Int) throws -> [Int]? {
        try has(attribute) ? ints(attribute) : integers(index, attribute)
    }

    /// An axis, counted from the end when negative. `rank` itself is allowed where the axis is a boundary.
    func axis(_ value: Int, rank: Int, allowsEnd: Bool = false) throws -> Int {
        let axis = value < 0 ? value + rank : value
        guard axis >= 0, axis < rank || (allowsEnd && axis == rank) else {
            throw LoweringProblem.invalid("axis \(value) is none of \(rank) axes")
        }
        return axis
    }

    func axes(_ values: [Int], rank: Int) throws -> [Int] {
        let axes = try values.map { try axis($0, rank: rank) }
        guard Set(axes).count == axes.count else { throw LoweringProblem.invalid("an axis is named twice") }
        return axes
    }
}
