import AlulaGraph

/// Removes moves that cancel: transposes of transposes, reshapes of reshapes, and either that changes nothing. Importers of channels-first
/// formats put a transpose on each side of every image operator; this pass leaves only those at the borders.
@Sendable func simplifyLayout(_ graph: Graph) throws(CompilerError) -> Graph {
    var editor = GraphEditor(graph)
    for index in graph.nodes.indices {
        let node = editor.graph.nodes[index]
        switch node.op {
        case .transpose(let outer):
            guard let producer = editor.producer(node.inputs[0]),
                case .transpose(let inner) = editor.graph.nodes[producer].op
            else { break }
            let composed = Transpose(outer.permutation.map { inner.permutation[$0] })
            editor.replace(index, .transpose(composed), [editor.graph.nodes[producer].inputs[0]])
        case .reshape(let outer):
            guard let producer = editor.producer(node.inputs[0]), case .reshape = editor.graph.nodes[producer].op else {
                break
            }
            editor.replace(index, .reshape(outer), [editor.graph.nodes[producer].inputs[0]])
        default: break
        }
        let current = editor.graph.nodes[index]
        if movesNothing(current, editor.graph), !editor.graph.outputs.contains(current.outputs[0]) {
            editor.replaceUses(of: current.outputs[0], with: current.inputs[0])
        }
    }
    return editor.finished()
}

private func movesNothing(_ node: Node, _ graph: Graph) -> Bool {
    switch node.op {
    case .reshape(let reshape): reshape.shape == graph.shape(node.inputs[0])
    case .expand(let expand): expand.shape == graph.shape(node.inputs[0])
    case .transpose(let transpose): transpose.permutation == Array(transpose.permutation.indices)
    case .slice(let slice): slice.begin == 0 && slice.step == 1 && slice.end == graph.shape(node.inputs[0])[slice.axis]
    case .roll(let roll): roll.shift % graph.shape(node.inputs[0])[roll.axis] == 0
    case .pad(let pad): (pad.before + pad.after).allSatisfy { $0 == 0 }
    default: false
    }
}
