import AlulaGraph

/// Reverse-mode differentiation: walks the nodes backwards, and each operator's rule emits the nodes that compute the gradients of its operands
/// from those of its results.
///
/// Backward nodes are ordinary nodes behind the forward ones: shape rules, memory planning, kernels, threads and the reference interpreter are
/// the same. What the backward part reads of the forward part lives until then, so the memory plan is the tape.
package struct GradientEmitter {
    package internal(set) var graph: Graph
    /// By value index: whether the loss's gradient with respect to the value is wanted.
    private var isNeeded: [Bool]
    /// By value index: the sum of the contributions so far.
    private var gradients: [ValueID]
    private var numbers: [(value: Float, id: ValueID)] = []
    /// Of the forward part.
    let producers: [Int]
    let users: [[Int]]

    /// Appends the backward part to a graph.
    ///
    /// - Parameters:
    ///   - loss: a value with one element.
    ///   - parameters: what to differentiate with respect to: inputs or constants.
    ///   - constants: values that count as constant.
    /// - Returns: the graph, and for each parameter its gradient, nil where the loss does not depend on it.
    package static func differentiate(
        _ graph: Graph, loss: ValueID, parameters: [ValueID], constants: [ValueID] = []
    ) throws(TrainingError) -> (graph: Graph, gradients: [ValueID?]) {
        var emitter = GradientEmitter(graph, parameters, constants)
        guard graph.shape(loss).elementCount == 1 else {
            throw .wrongOutput(name: graph.displayName(loss), problem: "a loss is one number")
        }
        let one = emitter.graph.addTrainingConstant(graph.shape(loss), [1])
        if emitter.needs(loss) { emitter.gradients[Int(loss.index)] = one }
        for node in graph.nodes.reversed() {
            let results = node.outputs.map { emitter.gradient(of: $0) }
            guard results.contains(where: { !$0.isNone }), node.inputs.contains(where: { emitter.needs($0) }) else {
                continue
            }
            try emitter.emitRule(node, results)
        }
        return (emitter.graph, parameters.map { emitter.gradient(of: $0) }.map { $0.isNone ? nil : $0 })
    }

    private init(_ graph: Graph, _ parameters: [ValueID], _ constants: [ValueID]) {
        self.graph = graph
        producers = graph.producers()
        users = graph.users()
        isNeeded = [Bool](repeating: false, count: graph.values.count)
        gradients = [ValueID](repeating: .none, count: graph.values.count)
        for id in parameters { isNeeded[Int(id.index)] = true }
        for node in graph.nodes where !node.op.isFlat && node.inputs.contains(where: { needs($0) }) {
            for id in node.outputs where !constants.contains(id) { isNeeded[Int(id.index)] = true }
        }
    }

    // MARK: For rules

    package func needs(_ id: ValueID) -> Bool { !id.isNone && isNeeded[Int(id.index)] }

    private func gradient(of id: ValueID) -> ValueID { gradients[Int(id.index)] }

    func shape(_ id: ValueID) -> Shape { graph.shape(id) }

    mutating func emit(_ op: Operator, _ inputs: ValueID...) throws(TrainingError) -> ValueID {
        try graph.emit(op, inputs)
    }

    mutating func emit(_ op: Operator, _ inputs: [ValueID]) throws(TrainingError) -> ValueID {
        try graph.emit(op, inputs)
    }

    mutating func emitAll(_ op: Operator, _ inputs: [ValueID]) throws(TrainingError) -> [ValueID] {
        try graph.emitAll(op, inputs)
    }

    mutating func binary(_ kind: Binary.Kind, _ a: ValueID, _ b: ValueID) throws(TrainingError) -> ValueID {
        try emit(.binary(Binary(kind)), a, b)
    }

    mutating func unary(_ function: UnaryFunction, _ x: ValueID) throws(TrainingError) -> ValueID {
        try emit(.unary(Unary(function)), x)
    }

    mutating func reshape(_ x: ValueID, _ shape: Shape) throws(TrainingError) -> ValueID {
        graph.shape(x) == shape ? x : try emit(.reshape(Reshape(shape)), x)
    }

    /// One number, as a constant of shape [1].
    mutating func number(_ value: Float) -> ValueID {
        if let known = numbers.first(where: { $0.value == value }) { return known.id }
        let id = graph.addTrainingConstant([1], [value])
        numbers.append((value, id))
        return id
    }

    mutating func scaled(_ x: ValueID, _ factor: Float) throws(TrainingError) -> ValueID {
        factor == 1 ? x : try binary(.mul, x, number(factor))
    }

    /// Adds to the gradient of `id`, of whose shape `contribution` is; nothing if nobody wants it.
    mutating func accumulate(_ contribution: ValueID, to id: ValueID) throws(TrainingError) {
        guard needs(id), !contribution.isNone else { return }
        let known = gradients[Int(id.index)]
        gradients[Int(id.index)] = known.isNone ? contribution : try binary(.add, known, contribution)
    }

    func refuse(_ node: Node, _ reason: String) -> TrainingError {
        .notDifferentiable(operator: node.op.name, value: graph.displayName(node.outputs[0]), reason: reason)
    }

    // MARK: Sums over repeated elements

    /// Whether `target` repeats over all axes of `shape` but the last.
    private func isChannelVector(_ target: Shape, of shape: Shape) -> Bool {
        target.rank >= 1 && shape.rank >= 1 && target.last == shape.last && target.elementCount == target.last
            && shape.last > 1
    }

    /// Sums over the axes along which an operand of shape `target` was repeated.
    mutating func sum(_ x: ValueID, to target: Shape) throws(TrainingError) -> ValueID {
        let shape = graph.shape(x)
        if shape == target { return x }
        if isChannelVector(target, of: shape) { return try reshape(emit(.channelSum(ChannelSum()), x), target) }
        let missing = shape.rank - target.rank
        let axes = (0..<shape.rank).filter { $0 < missing || (target[$0 - missing] == 1 && shape[$0] > 1) }
        guard !axes.isEmpty else { return try reshape(x, target) }
        return try reshape(emit(.reduce(Reduce(.sum, axes: axes)), x), target)
    }

    /// The same for a product, which need not exist.
    mutating func sumOfProducts(_ x: ValueID, _ y: ValueID, to target: Shape) throws(TrainingError) -> ValueID {
        if graph.shape(x) == graph.shape(y), graph.shape(x) != target, isChannelVector(target, of: graph.shape(x)) {
            return try reshape(emit(.channelSum(ChannelSum()), x, y), target)
        }
        return try sum(binary(.mul, x, y), to: target)
    }
}

extension Operator {
    /// Whether the results stay the same in a neighbourhood of almost every operand.
    fileprivate var isFlat: Bool {
        switch self {
        case .unary(let op): [.floor, .ceil, .round, .sign].contains(op.function)
        case .binary(let op): op.kind == .equal || op.kind == .less || op.kind == .lessEqual
        default: false
        }
    }
}
