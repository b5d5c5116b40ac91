import AlulaGraph

/// Brings arithmetic with constants to one spelling, so that the passes behind it have fewer to know: subtractions and divisions by constants
/// become additions and multiplications, chains of either become one, powers and quotients of roots become products, and what changes nothing
/// is dropped.
@Sendable func simplifyArithmetic(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        switch editor.graph.nodes[index].op {
        case .unary(let unary) where unary.function == .reciprocal: simplifyReciprocal(&editor, index)
        case .binary(let binary) where binary.activation == nil:
            avoidQuotients(&editor, index)
            mergeConstants(&editor, index)
            dropNeutral(&editor, index)
        default: break
        }
    }
    return editor.finished()
}

/// `1 / √x` is one function.
private func simplifyReciprocal(_ editor: inout GraphEditor, _ index: Int) {
    let x = editor.graph.nodes[index].inputs[0]
    guard let root = editor.producer(x), editor.graph.nodes[root].op == .unary(Unary(.sqrt)) else { return }
    editor.replace(index, .unary(Unary(.rsqrt)), [editor.graph.nodes[root].inputs[0]])
}

/// `x - c`, `x / c`, `1 / x`, `x / √y` and powers, as sums, products and functions.
private func avoidQuotients(_ editor: inout GraphEditor, _ index: Int) {
    let node = editor.graph.nodes[index]
    guard case .binary(let binary) = node.op else { return }
    let (a, b) = (node.inputs[0], node.inputs[1])
    switch (binary.kind, editor.graph.floats(b)) {
    case (.sub, let values?):
        editor.replace(index, .binary(Binary(.add)), [a, editor.graph.derived(b, "negated", values.map { -$0 })])
    case (.div, let values?) where values.allSatisfy { $0 != 0 && (1 / $0).isFinite }:
        editor.replace(index, .binary(Binary(.mul)), [a, editor.graph.derived(b, "inverse", values.map { 1 / $0 })])
    case (.pow, let values?):
        guard let exponent = values.first, values.allSatisfy({ $0 == exponent }),
            editor.graph.shape(node.outputs[0]) == editor.graph.shape(a)
        else { return }
        switch exponent {
        case 2: editor.replace(index, .binary(Binary(.mul)), [a, a])
        case 0.5: editor.replace(index, .unary(Unary(.sqrt)), [a])
        case -0.5: editor.replace(index, .unary(Unary(.rsqrt)), [a])
        case -1: editor.replace(index, .unary(Unary(.reciprocal)), [a])
        default: return
        }
    case (.div, nil):
        if let root = editor.producer(b), editor.graph.nodes[root].op == .unary(Unary(.sqrt)), editor.hasSingleUse(b) {
            editor.replace(root, .unary(Unary(.rsqrt)), editor.graph.nodes[root].inputs)
            editor.replace(index, .binary(Binary(.mul)), [a, b])
        } else if let one = editor.graph.floats(a), one.allSatisfy({ $0 == 1 }),
            editor.graph.shape(node.outputs[0]) == editor.graph.shape(b)
        {
            editor.replace(index, .unary(Unary(.reciprocal)), [b])
            simplifyReciprocal(&editor, index)
        }
    default: return
    }
}

/// `(x + c) + d` is `x + (c + d)`, and so for products, where the new constant is no larger than the greater of the two.
private func mergeConstants(_ editor: inout GraphEditor, _ index: Int) {
    let node = editor.graph.nodes[index]
    guard case .binary(let outer) = node.op, outer == Binary(.add) || outer == Binary(.mul),
        let (inner, outerConstant) = editor.graph.constantOperand(node),
        let producer = editor.producer(inner), editor.hasSingleUse(inner),
        editor.graph.nodes[producer].op == node.op,
        let (x, innerConstant) = editor.graph.constantOperand(editor.graph.nodes[producer]),
        let (shape, values) = combine(editor.graph, innerConstant, outerConstant, outer.kind)
    else { return }
    let constant = editor.graph.addFloats(editor.graph[outerConstant].name, shape, values)
    editor.fuse(producer, into: index, node.op, [x, constant])
}

private func combine(_ graph: Graph, _ a: ValueID, _ b: ValueID, _ kind: Binary.Kind) -> (Shape, [Float])? {
    guard let left = graph.floats(a), let right = graph.floats(b) else { return nil }
    let (larger, smaller) = left.count >= right.count ? (a, right) : (b, left)
    let shape = graph.shape(larger)
    guard smaller.count == 1 || graph.shape(a) == graph.shape(b) else { return nil }
    let values = (left.count >= right.count ? left : right).enumerated().map { index, value in
        let other = smaller.count == 1 ? smaller[0] : smaller[index]
        return kind == .add ? value + other : value * other
    }
    return (shape, values)
}

/// `x + 0`, `x · 1` and `x ^ 1`.
private func dropNeutral(_ editor: inout GraphEditor, _ index: Int) {
    let node = editor.graph.nodes[index]
    guard case .binary(let binary) = node.op else { return }
    let neutral: Float
    switch binary.kind {
    case .add: neutral = 0
    case .mul, .pow: neutral = 1
    default: return
    }
    guard let (x, constant) = editor.graph.constantOperand(node), binary.kind != .pow || constant == node.inputs[1],
        editor.graph.shape(node.outputs[0]) == editor.graph.shape(x),
        editor.graph.floats(constant)!.allSatisfy({ $0 == neutral })
    else { return }
    editor.bypass(index, x)
}

extension Graph {
    /// The operands of a binary operator of which exactly one is a constant with known numbers.
    func constantOperand(_ node: Node) -> (x: ValueID, constant: ValueID)? {
        switch (floats(node.inputs[0]) != nil, floats(node.inputs[1]) != nil) {
        case (true, false): (node.inputs[1], node.inputs[0])
        case (false, true): (node.inputs[0], node.inputs[1])
        default: nil
        }
    }
}
