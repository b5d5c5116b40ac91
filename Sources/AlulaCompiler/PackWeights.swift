import AlulaGraph
import AlulaRuntime

extension Pass {
    /// The last step of every graph that is to be run from its file: weights in the order in which kernels read them.
    public static let pack = Pass(name: "pack", run: packWeights)
}

/// Reorders the weights of convolutions and linear layers (`docs/format.md`, layouts), so that a run uses them in place.
@Sendable func packWeights(_ graph: Graph) throws(CompilerError) -> Graph {
    var result = graph
    for index in result.nodes.indices {
        let node = result.nodes[index]
        guard let groups = node.op.weightGroups, case let id = node.inputs[WeightedOperand.weight],
            let constant = result[id].constant, constant.layout == .plain, let data = constant.data
        else { continue }
        let type = result.type(id)
        let geometry = WeightGeometry(type.shape, groups: groups)
        let layout = geometry.packedLayout(type.dataType)
        guard let count = geometry.byteCount(layout, type.dataType) else { continue }
        let packed = TensorData(count: count) { target in
            data.withUnsafeBytes { source in
                switch type.dataType {
                case .f32:
                    geometry.pack(
                        source.baseAddress!.assumingMemoryBound(to: Float.self), as: layout,
                        into: target.baseAddress!.assumingMemoryBound(to: Float.self))
                default:
                    geometry.pack(
                        source.baseAddress!.assumingMemoryBound(to: Int8.self), as: layout,
                        into: target.baseAddress!.assumingMemoryBound(to: Int8.self))
                }
            }
        }
        // A constant that two operators share is packed once for each: they may differ in groups.
        let new = result.addConstant(result[id].name, type, layout: layout, packed)
        result.nodes[index].inputs[WeightedOperand.weight] = new
    }
    return result.pruned().withUniqueConstantNames()
}
