import AlulaGraph

/// A forward value that backward nodes read and that few cheap nodes give again, from values that are there anyway.
package struct RecomputableValue: Sendable {
    package var value: ValueID
    /// The forward nodes to be repeated, in order; the last one computes the value.
    package var nodes: [Int]
    /// Bytes that need not be kept.
    package var bytes: Int
    /// Bytes that the repeated nodes read and write: what they cost.
    package var cost: Int
}

extension Graph {
    /// The most nodes that are repeated for one value.
    private static let longestChain = 3

    /// Values of the first `forwardCount` nodes that the others may compute again instead of reading them, the cheapest for its size first.
    package func recomputableValues(forwardCount: Int) -> [RecomputableValue] {
        let producers = self.producers()
        // When each value is read for the last time: what a repeated node reads must live until then without it.
        var lastUse = [Int](repeating: -1, count: values.count)
        var firstBackwardUse = [Int](repeating: Int.max, count: values.count)
        for (index, node) in nodes.enumerated() {
            for id in node.inputs where !id.isNone {
                lastUse[Int(id.index)] = index
                if index >= forwardCount {
                    firstBackwardUse[Int(id.index)] = min(firstBackwardUse[Int(id.index)], index)
                }
            }
        }
        for id in outputs { lastUse[Int(id.index)] = nodes.count }
        var result: [RecomputableValue] = []
        var chosen: Set<ValueID> = []
        for index in 0..<forwardCount where nodes[index].op.isCheap && nodes[index].outputs.count == 1 {
            let id = nodes[index].outputs[0]
            let use = firstBackwardUse[Int(id.index)]
            guard use < Int.max, !outputs.contains(id) else { continue }
            var chain: [Int] = []
            let isKept = { (other: ValueID) in
                let producer = producers[Int(other.index)]
                return producer < 0 || (!chosen.contains(other) && lastUse[Int(other.index)] >= use)
            }
            guard collect(index, &chain, producers, isKept) else { continue }
            let bytes = type(id).byteCount
            let cost = chain.reduce(0) { sum, node in
                (nodes[node].inputs + nodes[node].outputs).reduce(sum) { $0 + ($1.isNone ? 0 : type($1).byteCount) }
            }
            chosen.insert(id)
            result.append(RecomputableValue(value: id, nodes: chain.sorted(), bytes: bytes, cost: cost))
        }
        // Small values are not worth a step.
        return result.filter { $0.bytes >= 4096 }.sorted {
            ($0.cost * $1.bytes, $0.value.index) < ($1.cost * $0.bytes, $1.value.index)
        }
    }

    /// The node and those before it that must be repeated with it; false if these are too many or not cheap.
    private func collect(_ index: Int, _ chain: inout [Int], _ producers: [Int], _ isKept: (ValueID) -> Bool) -> Bool {
        guard chain.count < Graph.longestChain, nodes[index].op.isCheap, nodes[index].outputs.count == 1 else {
            return false
        }
        chain.append(index)
        for id in nodes[index].inputs where !id.isNone && !isKept(id) {
            let producer = producers[Int(id.index)]
            if chain.contains(producer) { continue }
            guard collect(producer, &chain, producers, isKept) else { return false }
        }
        return true
    }

    /// The graph in which the nodes from `forwardCount` on read repeated computations of some values, each in front of its first reader.
    package func recomputing(_ values: ArraySlice<RecomputableValue>, forwardCount: Int) -> Graph {
        var result = self
        result.nodes = Array(nodes[..<forwardCount])
        var place = [Int](repeating: -1, count: self.values.count)
        for (index, value) in values.enumerated() { place[Int(value.value.index)] = index }
        let all = Array(values)
        var renamed: [ValueID: ValueID] = [:]
        for node in nodes[forwardCount...] {
            for id in node.inputs where !id.isNone && place[Int(id.index)] >= 0 && renamed[id] == nil {
                var local: [ValueID: ValueID] = [:]
                for index in all[place[Int(id.index)]].nodes {
                    var again = nodes[index]
                    let old = again.outputs[0]
                    let new = result.addValue("", type(old))
                    again.inputs = again.inputs.map { local[$0] ?? $0 }
                    again.outputs = [new]
                    result.nodes.append(again)
                    local[old] = new
                }
                renamed[id] = local[id]
            }
            var node = node
            node.inputs = node.inputs.map { renamed[$0] ?? $0 }
            result.nodes.append(node)
        }
        return result
    }
}

extension Operator {
    /// Operators that take about as long as reading and writing their operands.
    fileprivate var isCheap: Bool {
        switch self {
        case .binary(let op): op.kind != .pow && op.kind != .mod && op.kind != .fmod
        case .unary, .select, .batchNorm, .layerNorm, .pool, .slice, .concat, .roll, .pad, .transpose, .expand, .gather,
            .dequantize:
            true
        default: false
        }
    }
}
