/// Names one value of a graph: an input, a constant, or a node's result.
public struct ValueID: Hashable, Sendable {
    package let index: Int32

    package init(_ index: Int) { self.index = Int32(index) }

    /// Stands for an optional operand that is absent.
    public static let none = ValueID(-1)
    package var isNone: Bool { index < 0 }
}

/// A value: its name, its type and, for constants, its data.
public struct Value: Sendable {
    /// Without the `%` or `@`; empty for results that the printer numbers.
    public var name: String
    public var type: TensorType
    /// Set for constants only.
    public var constant: Constant?
}

/// The data of a constant. Data are absent in a graph that was parsed from text and not yet bound to a file.
public struct Constant: Sendable {
    public var layout: Layout
    public var data: TensorData?

    public init(layout: Layout = .plain, data: TensorData?) {
        self.layout = layout
        self.data = data
    }
}

/// One operator applied to values.
public struct Node: Sendable {
    public var op: Operator
    /// In the order of the operator's operand list; absent optional operands are `.none`, trailing ones are left out.
    public var inputs: [ValueID]
    public var outputs: [ValueID]

    package func input(_ index: Int) -> ValueID { index < inputs.count ? inputs[index] : .none }
}

/// A frozen computation in static single assignment form: nodes in an order in which every operand is defined before its use.
public struct Graph: Sendable {
    public package(set) var values: [Value] = []
    public package(set) var nodes: [Node] = []
    public package(set) var inputs: [ValueID] = []
    public package(set) var outputs: [ValueID] = []

    public init() {}

    public subscript(id: ValueID) -> Value {
        get { values[Int(id.index)] }
        set { values[Int(id.index)] = newValue }
    }

    public func type(_ id: ValueID) -> TensorType { self[id].type }
    public func shape(_ id: ValueID) -> Shape { self[id].type.shape }

    // MARK: Building

    /// Adds a value that nothing computes yet.
    package mutating func addValue(_ name: String, _ type: TensorType, constant: Constant? = nil) -> ValueID {
        values.append(Value(name: name, type: type, constant: constant))
        return ValueID(values.count - 1)
    }

    public mutating func addInput(_ name: String, _ type: TensorType) -> ValueID {
        let id = addValue(name, type)
        inputs.append(id)
        return id
    }

    public mutating func addConstant(_ name: String, _ type: TensorType, layout: Layout = .plain, _ data: TensorData?)
        -> ValueID
    {
        addValue(name, type, constant: Constant(layout: layout, data: data))
    }

    /// Appends a node whose single result has the shape the operator's rule gives. The result's element type is the first
    /// operand's, and its quantization that of an operand that is only moved; other quantized results are declared with `addNode(_:_:types:)`.
    @discardableResult
    public mutating func add(_ op: Operator, _ inputs: [ValueID], name: String = "") throws(GraphError) -> ValueID {
        let shapes = try op.resultShapes(operandTypes(inputs))
        guard shapes.count == 1 else {
            throw .invalidNode(
                operator: op.name, value: name, problem: "gives \(shapes.count) results where one is used")
        }
        return addNode(op, inputs, types: [resultType(op, inputs, 0, shapes[0])], names: [name])[0]
    }

    /// Appends a node with several results (split, top_k, dynamic_quantize).
    public mutating func addAll(_ op: Operator, _ inputs: [ValueID]) throws(GraphError) -> [ValueID] {
        let shapes = try op.resultShapes(operandTypes(inputs))
        return addNode(op, inputs, types: shapes.enumerated().map { resultType(op, inputs, $0, $1) })
    }

    /// Appends a node with declared result types; `verify` checks them.
    @discardableResult
    package mutating func addNode(_ op: Operator, _ inputs: [ValueID], types: [TensorType], names: [String] = [])
        -> [ValueID]
    {
        var operands = inputs
        while operands.last == ValueID.none { operands.removeLast() }
        var outputs: [ValueID] = []
        for (index, type) in types.enumerated() {
            outputs.append(addValue(index < names.count ? names[index] : "", type))
        }
        nodes.append(Node(op: op, inputs: operands, outputs: outputs))
        return outputs
    }

    public mutating func setOutputs(_ ids: [ValueID]) { outputs = ids }

    /// Turns a constant into an input of the same name, behind the others.
    package mutating func makeInput(_ id: ValueID) {
        self[id].constant = nil
        inputs.append(id)
    }

    /// New numbers for the f32 constant of this name; nothing if there is none.
    package mutating func setConstant(_ name: String, _ elements: [Float]) {
        guard let id = constants.first(where: { self[$0].name == name }) else { return }
        precondition(elements.count == shape(id).elementCount, "the constant has another size")
        self[id].constant?.data = TensorData(elements: elements)
    }

    package func operandTypes(_ inputs: [ValueID]) -> [TensorType?] {
        inputs.map { $0.isNone ? nil : type($0) }
    }

    private func resultType(_ op: Operator, _ inputs: [ValueID], _ index: Int, _ shape: Shape) -> TensorType {
        let operand = inputs.first.flatMap { $0.isNone ? nil : type($0) }
        // Moved elements mean what they meant.
        if let operand, case .movement = op.numericRule {
            return TensorType(operand.dataType, shape, operand.quantization)
        }
        if case .dynamicQuantize = op.numericRule, index == 0 { return TensorType(.u8, shape, .identity) }
        return TensorType(op.numericRule.resultType(index, operand?.dataType ?? .f32), shape)
    }

    /// Forgets the numbers of the constant of this name.
    package mutating func dropData(ofConstant name: String) {
        guard let id = constants.first(where: { self[$0].name == name }) else { return }
        self[id].constant?.data = nil
    }

    // MARK: Queries

    /// Indices of the nodes that read each value, by value index; the graph's outputs are not in it.
    package func users() -> [[Int]] {
        var result = [[Int]](repeating: [], count: values.count)
        for (index, node) in nodes.enumerated() {
            for id in node.inputs where !id.isNone { result[Int(id.index)].append(index) }
        }
        return result
    }

    /// The index of the node that computes each value, or -1 for inputs and constants.
    package func producers() -> [Int] {
        var result = [Int](repeating: -1, count: values.count)
        for (index, node) in nodes.enumerated() {
            for id in node.outputs { result[Int(id.index)] = index }
        }
        return result
    }

    /// Constants in order of definition.
    package var constants: [ValueID] { (0..<values.count).filter { values[$0].constant != nil }.map { ValueID($0) } }

    /// A copy without nodes that no output needs and without values that nothing uses; order and names are kept.
    package func pruned() -> Graph {
        var live = [Bool](repeating: false, count: values.count)
        for id in outputs + inputs { live[Int(id.index)] = true }
        var keep = [Bool](repeating: false, count: nodes.count)
        for index in nodes.indices.reversed() where nodes[index].outputs.contains(where: { live[Int($0.index)] }) {
            keep[index] = true
            for id in nodes[index].inputs where !id.isNone { live[Int(id.index)] = true }
            for id in nodes[index].outputs { live[Int(id.index)] = true }
        }
        var result = Graph()
        var renumbered = [ValueID](repeating: .none, count: values.count)
        for index in values.indices where live[index] {
            renumbered[index] = result.addValue(
                values[index].name, values[index].type, constant: values[index].constant)
        }
        let map = { (id: ValueID) -> ValueID in id.isNone ? .none : renumbered[Int(id.index)] }
        for index in nodes.indices where keep[index] {
            result.nodes.append(
                Node(op: nodes[index].op, inputs: nodes[index].inputs.map(map), outputs: nodes[index].outputs.map(map)))
        }
        result.inputs = inputs.map(map)
        result.outputs = outputs.map(map)
        return result
    }

    /// Multiply-adds of one run: convolutions, linear layers, matrix products and attention.
    public var macs: Int { nodes.reduce(0) { $0 + $1.op.macs(operandTypes($1.inputs), type($1.outputs[0])) } }
}
