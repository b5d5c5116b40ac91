extension Graph {
    /// Checks the whole graph: every operand defined before its use, shapes as the operators' rules give them, element types that the
    /// operators know, quantization where u8 stands for real numbers, and constants whose data have the declared size.
    ///
    /// - Throws: the first `GraphError` found, in order of the nodes.
    public func verify() throws(GraphError) {
        guard !outputs.isEmpty else { throw .invalidGraph(problem: "the graph has no output") }
        guard nodes.count <= Graph.maximumNodes else {
            throw .invalidGraph(problem: "\(nodes.count) operators are more than the limit of \(Graph.maximumNodes)")
        }
        var defined = [Bool](repeating: false, count: values.count)
        var names: Set<String> = []
        for id in inputs {
            defined[Int(id.index)] = true
            try checkActivationType("input", id)
        }
        for id in constants {
            defined[Int(id.index)] = true
            guard names.insert(self[id].name).inserted else { throw .redefined(name: "@" + self[id].name) }
            try checkConstant(id)
        }
        for node in nodes {
            let result = node.outputs.first.map { displayName($0) } ?? ""
            for id in node.inputs where !id.isNone {
                guard values.indices.contains(Int(id.index)), defined[Int(id.index)] else {
                    throw .undefined(name: "operand of %" + result, line: 0)
                }
            }
            try checkShapes(node, result)
            try checkTypes(node, result)
            try checkWeightLayout(node)
            for id in node.outputs {
                guard !defined[Int(id.index)] else { throw .redefined(name: "%" + displayName(id)) }
                defined[Int(id.index)] = true
            }
        }
        for id in outputs where !defined[Int(id.index)] {
            throw .undefined(name: "output %" + displayName(id), line: 0)
        }
    }

    /// Planning memory takes time that grows with the square of this.
    public static let maximumNodes = 16_384

    /// The name for messages; nameless values go by their index.
    package func displayName(_ id: ValueID) -> String { self[id].name.isEmpty ? "#" + String(id.index) : self[id].name }

    private func checkShapes(_ node: Node, _ result: String) throws(GraphError) {
        let shapes: [Shape]
        do throws(GraphError) { shapes = try node.op.resultShapes(operandTypes(node.inputs)) } catch {
            guard case .invalidNode(let op, _, let problem) = error else { throw error }
            throw .invalidNode(operator: op, value: result, problem: problem)
        }
        guard shapes.count == node.outputs.count else {
            throw .invalidNode(
                operator: node.op.name, value: result,
                problem: "gives \(shapes.count) results, not \(node.outputs.count)")
        }
        for (id, expected) in zip(node.outputs, shapes) where shape(id) != expected {
            throw .typeMismatch(
                operator: node.op.name, value: displayName(id), declared: shape(id).description,
                expected: expected.description)
        }
    }

    private func checkTypes(_ node: Node, _ result: String) throws(GraphError) {
        let x = type(node.inputs[0])
        let wantsOperand: DataType? =
            switch node.op.numericRule {
            case .float, .quantize, .dynamicQuantize, .ranking: .f32
            case .dequantize: .u8
            case .movement: nil
            case .arithmetic: x.dataType == .u8 ? .u8 : .f32
            }
        if let wantsOperand, x.dataType != wantsOperand {
            throw .invalidNode(
                operator: node.op.name, value: result, problem: "takes \(wantsOperand.name), not \(x.dataType.name)")
        }
        if x.dataType == .u8, self[node.inputs[0]].constant == nil, x.quantization == nil {
            throw .invalidNode(operator: node.op.name, value: result, problem: "its u8 operand has no scale")
        }
        for (index, id) in node.outputs.enumerated() {
            let expected = node.op.numericRule.resultType(index, x.dataType)
            var isKnown = type(id).dataType == expected
            if case .arithmetic(f32Result: true) = node.op.numericRule {
                isKnown = isKnown || type(id).dataType == .f32
            }
            guard isKnown else {
                throw .typeMismatch(
                    operator: node.op.name, value: displayName(id), declared: type(id).dataType.name,
                    expected: expected.name)
            }
            try checkActivationType(node.op.name, id)
            if case .dynamicQuantize = node.op.numericRule, index == 0, type(id).quantization != .identity {
                throw .typeMismatch(
                    operator: node.op.name, value: displayName(id), declared: type(id).text,
                    expected: "scale=1 zero=0")
            }
            if case .movement = node.op.numericRule, type(id).quantization != x.quantization {
                throw .typeMismatch(
                    operator: node.op.name, value: displayName(id), declared: type(id).text,
                    expected: "the operand's scale and zero point")
            }
        }
        try checkOperandTypes(node, result, isQuantized: x.dataType == .u8)
    }

    /// Element types of the operands after the first.
    private func checkOperandTypes(_ node: Node, _ result: String, isQuantized: Bool) throws(GraphError) {
        for (index, id) in node.inputs.enumerated().dropFirst() where !id.isNone {
            let operand = type(id)
            let wanted: DataType
            let name = index < node.op.operands.count ? node.op.operands[index].name : "x"
            switch (name, isQuantized) {
            case ("weight", true): wanted = .s8
            case ("bias", true): if case .attention = node.op { wanted = .f32 } else { wanted = .i32 }
            case ("multiplier", true), ("gamma", true), ("beta", true), ("center", true), ("average", true),
                ("scale", true), ("x_scale", true), ("x_zero", true):
                wanted = .f32
            case ("table", true): wanted = .u8
            case ("indices", _): wanted = .i32
            case ("weights", _): wanted = .f32
            case ("multiplier", false), ("table", false), ("x_scale", false), ("x_zero", false):
                throw .invalidNode(operator: node.op.name, value: result, problem: "\(name) is for int8 operands")
            default: wanted = type(node.inputs[0]).dataType
            }
            guard operand.dataType == wanted else {
                throw .invalidNode(
                    operator: node.op.name, value: result,
                    problem: "\(name) is \(operand.dataType.name), not \(wanted.name)")
            }
            if wanted == .u8, name != "table", operand.quantization == nil {
                throw .invalidNode(operator: node.op.name, value: result, problem: "\(name) has no scale")
            }
            if case .concat = node.op, operand.quantization != type(node.inputs[0]).quantization {
                throw .invalidNode(
                    operator: node.op.name, value: result, problem: "operands differ in scale or zero point")
            }
        }
    }

    /// u8 values that are computed stand for real numbers and need a scale; nothing else may have one.
    private func checkActivationType(_ op: String, _ id: ValueID) throws(GraphError) {
        let type = type(id)
        guard type.shape.isValid else {
            throw .invalidNode(
                operator: op, value: displayName(id), problem: "shape \(type.shape.description) is empty or too large")
        }
        guard (type.dataType == .u8) == (type.quantization != nil), type.quantization?.isValid ?? true else {
            throw .invalidNode(
                operator: op, value: displayName(id),
                problem: "u8 needs a valid scale and zero point, and only u8 has them")
        }
    }

    private func checkConstant(_ id: ValueID) throws(GraphError) {
        let value = self[id]
        guard value.type.shape.isValid else {
            throw .invalidConstant(name: value.name, problem: "shape is empty or too large")
        }
        guard let constant = value.constant else { return }
        switch constant.layout {
        case .plain:
            if let data = constant.data, data.count != value.type.byteCount {
                throw .invalidConstant(
                    name: value.name,
                    problem: "has \(data.count) bytes, not the \(value.type.byteCount) of \(value.type.text)")
            }
        case .n16k4, .n16k1, .taps:
            let isFloat = constant.layout == .n16k1 || (constant.layout == .taps && value.type.dataType == .f32)
            guard value.type.dataType == (isFloat ? .f32 : .s8) else {
                throw .invalidConstant(
                    name: value.name,
                    problem: "layout \(constant.layout.name) does not hold \(value.type.dataType.name)")
            }
        }
    }

    /// Packed weights have a size that depends on the operator's groups, so they are checked where they are used.
    private func checkWeightLayout(_ node: Node) throws(GraphError) {
        for (index, id) in node.inputs.enumerated() where !id.isNone {
            guard let constant = self[id].constant, constant.layout != .plain else { continue }
            guard index == WeightedOperand.weight, let groups = node.op.weightGroups else {
                throw .invalidConstant(
                    name: self[id].name,
                    problem: "layout \(constant.layout.name) is for weights of convolutions and linear layers")
            }
            let expected = constant.layout.storedShape(shape(id), groups: groups).elementCount * type(id).dataType.size
            if let data = constant.data, data.count != expected {
                throw .invalidConstant(
                    name: self[id].name,
                    problem: "has \(data.count) bytes, not the \(expected) of layout \(constant.layout.name)")
            }
        }
    }
}

extension Operator {
    /// Groups of an operator whose weights can be packed; nil for all others.
    package var weightGroups: Int? {
        switch self {
        case .conv2D(let conv): conv.groups
        case .linear: 1
        default: nil
        }
    }
}

extension Layout {
    /// The shape in the file of weights that are `[O,kh,kw,C/groups]` or `[N,K]` in the graph. `docs/format.md` describes the layouts.
    package func storedShape(_ shape: Shape, groups: Int) -> Shape {
        let channels = shape[0] / max(groups, 1)
        let taps = shape.rank == 4 ? shape[1] * shape[2] : 1
        let depth = shape.last
        let roundUp = { (value: Int, unit: Int) in (value + unit - 1) / unit * unit }
        return switch self {
        case .plain: shape
        case .n16k4: [groups * roundUp(channels, 16) / 16, taps * roundUp(depth, 4) / 4, 16, 4]
        case .n16k1: [groups * roundUp(channels, 16) / 16, taps * depth, 16]
        case .taps: [taps, roundUp(shape[0], 16)]
        }
    }
}
