import AlulaGraph
import AlulaRuntime

/// Runs everything that depends on constants alone, and keeps the results as constants.
@Sendable func foldConstants(_ graph: Graph) throws(CompilerError) -> Graph {
    var isConstant = graph.values.map { $0.constant?.data != nil && $0.constant?.layout == .plain }
    var folded: [Int] = []
    for (index, node) in graph.nodes.enumerated()
    where node.inputs.allSatisfy({ $0.isNone || isConstant[Int($0.index)] }) {
        folded.append(index)
        for id in node.outputs { isConstant[Int(id.index)] = true }
    }
    guard !folded.isEmpty else { return graph }

    // The values that the rest of the graph reads.
    let isFolded = Set(folded)
    var needed: [ValueID] = []
    let users = graph.users()
    for index in folded {
        for id in graph.nodes[index].outputs
        where graph.outputs.contains(id) || users[Int(id.index)].contains(where: { !isFolded.contains($0) }) {
            needed.append(id)
        }
    }
    var part = graph
    part.nodes = folded.map { graph.nodes[$0] }
    part.inputs = []
    part.setOutputs(needed)
    var result = graph
    result.nodes = graph.nodes.indices.filter { !isFolded.contains($0) }.map { graph.nodes[$0] }
    guard !needed.isEmpty else { return result.pruned() }
    do throws(RuntimeError) {
        let session = try Session(part.pruned())
        session.run()
        for (place, id) in needed.enumerated() {
            result[id].constant = Constant(data: session.withOutput(place) { TensorData(copying: $0) })
            if result[id].name.isEmpty { result[id].name = "constant.\(id.index)" }
        }
    } catch { throw .runtime(error) }
    return result.pruned().withUniqueConstantNames()
}
