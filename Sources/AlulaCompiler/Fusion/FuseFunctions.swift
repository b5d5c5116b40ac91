import AlulaGraph
import Foundation

/// Elementwise chains over one tensor and single numbers (a GELU by its error function, `x · sigmoid(x)`, a hard-swish of clips) into the
/// operator that computes the same function of one number.
///
/// A chain is recognized by its values, not by its spelling: it is evaluated in f64 on a grid and compared with each operator. Spellings differ
/// by exporter and version; functions do not.
@Sendable func fuseFunctions(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices.reversed() where editor.producer(graph.nodes[index].outputs[0]) == index {
        guard let match = functionMatch(editor.graph, editor, index) else { continue }
        switch match.scale {
        case 1: editor.replace(index, .unary(Unary(match.function)), [match.x])
        case let scale:
            // f(a · x) / a, as the quick GELU: x · sigmoid(1.702 x).
            let name = editor.graph.displayName(editor.graph.nodes[index].outputs[0])
            let scaled = try editor.insert(
                .binary(Binary(.mul)), [match.x, editor.graph.addFloats(name + ".scale", [1], [scale])], before: index)
            let value = try editor.insert(.unary(Unary(match.function)), [scaled], before: index)
            let inverse = editor.graph.addFloats(name + ".inverse", [1], [1 / scale])
            editor.replace(index, .binary(Binary(.mul)), [value, inverse])
        }
    }
    return editor.finished()
}

private struct FunctionMatch {
    var x: ValueID
    var function: UnaryFunction
    var scale: Float
}

/// Follows the operands of node `index` back, always through the latest, and asks at each point where one value is left whether the node
/// is a known function of it. The longest chain wins.
private func functionMatch(_ graph: Graph, _ editor: GraphEditor, _ index: Int) -> FunctionMatch? {
    let result = graph.nodes[index].outputs[0]
    let shape = graph.shape(result)
    var chain: [Int] = []
    var frontier: [ValueID] = [result]
    let longestChain = 16
    var longest: FunctionMatch?
    while chain.count < longestChain {
        guard let latest = frontier.max(by: { editor.producer($0) ?? -1 < editor.producer($1) ?? -1 }),
            let producer = editor.producer(latest), graph.shape(latest) == shape,
            let operands = functionOperands(graph, graph.nodes[producer])
        else { break }
        chain.append(producer)
        frontier.removeAll { $0 == latest }
        for id in operands where !frontier.contains(id) { frontier.append(id) }
        guard frontier.count == 1, graph.shape(frontier[0]) == shape else { continue }
        let isKnown = chain.count == 1 && isUnary(graph.nodes[index].op)
        if !isKnown, let match = knownFunction(graph, chain, from: frontier[0], to: result) { longest = match }
    }
    return longest
}

private func isUnary(_ op: Operator) -> Bool {
    if case .unary = op { true } else { false }
}

/// The operands of an elementwise node that are not single numbers; nil for every other node.
private func functionOperands(_ graph: Graph, _ node: Node) -> [ValueID]? {
    switch node.op {
    case .unary where node.input(1).isNone: return [node.inputs[0]]
    case .binary(let binary) where binary.activation == nil:
        return node.inputs.filter { graph.scalar($0) == nil }
    default: return nil
    }
}

/// The function that the chain computes, if an operator of ours agrees with it everywhere on the grid.
private func knownFunction(_ graph: Graph, _ chain: [Int], from x: ValueID, to result: ValueID) -> FunctionMatch? {
    var values: [ValueID: [Double]] = [x: grid]
    for index in chain.reversed() {
        let node = graph.nodes[index]
        let operands = node.inputs.prefix(2).map { id in
            graph.scalar(id).map { [Double](repeating: Double($0), count: grid.count) } ?? values[id]!
        }
        switch node.op {
        case .unary(let unary): values[node.outputs[0]] = operands[0].map(unary.value)
        case .binary(let binary):
            values[node.outputs[0]] = zip(operands[0], operands[1]).map { binary.kind.value($0, $1) }
        default: return nil
        }
    }
    let computed = values[result]!
    for function in UnaryFunction.allCases where agrees(computed, grid.map(Unary(function).value)) {
        return FunctionMatch(x: x, function: function, scale: 1)
    }
    // x · sigmoid(a · x), where a = log(y / (x - y)) at x = 1.
    let one = computed[grid.firstIndex(of: 1)!]
    let scale = Float(Foundation.log(one / (1 - one)))
    guard scale.isFinite, scale > 0.01,
        agrees(computed, grid.map { Unary(.silu).value($0 * Double(scale)) / Double(scale) })
    else { return nil }
    return FunctionMatch(x: x, function: .silu, scale: scale)
}

/// Dense where the functions bend, sparse far out, where clips show.
private let grid: [Double] =
    (-160...160).map { Double($0) / 16 } + [20.3, 50, 101, 1000, 1e4].flatMap { [$0, -$0] }

private func agrees(_ a: [Double], _ b: [Double]) -> Bool {
    // Constants come rounded to f32, some with six digits. The two GELUs are 5e-4 apart.
    zip(a, b).allSatisfy { ($0.isNaN && $1.isNaN) || $0 == $1 || abs($0 - $1) <= 4e-6 * max(1, abs($1)) }
}

extension Binary.Kind {
    /// The operator in the precision of its operands.
    func value<Real: BinaryFloatingPoint>(_ a: Real, _ b: Real) -> Real {
        switch self {
        case .add: a + b
        case .sub: a - b
        case .mul: a * b
        case .div: a / b
        case .max: Swift.max(a, b)
        case .min: Swift.min(a, b)
        case .pow: Real(Foundation.pow(Double(a), Double(b)))
        case .equal: a == b ? 1 : 0
        case .less: a < b ? 1 : 0
        case .lessEqual: a <= b ? 1 : 0
        case .mod: a - b * (a / b).rounded(.down)
        case .fmod: a.truncatingRemainder(dividingBy: b)
        case .prelu: a < 0 ? a * b : a
        }
    }
}
