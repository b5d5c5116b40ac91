import AlulaGraph

extension Graph {
    /// The same graph, every result named: a layer by its weights (`stem.0.weight` gives `stem.0`), any other by its operator and a count.
    /// Quantization keeps names, so that layers can be compared and be picked by name.
    package func withNamedResults() -> Graph {
        var result = self
        var taken = Set(values.map(\.name))
        for node in nodes {
            for id in node.outputs where self[id].name.isEmpty {
                let weight = node.op.isWeighted ? node.input(WeightedOperand.weight) : .none
                var base = weight.isNone ? node.op.name : self[weight].name
                if !weight.isNone, base.hasSuffix(".weight") { base.removeLast(7) }
                var name = weight.isNone ? base + ".0" : base
                var count = 0
                while !taken.insert(name).inserted {
                    count += 1
                    name = base + "." + String(count)
                }
                result[id].name = name
            }
        }
        return result
    }
}
