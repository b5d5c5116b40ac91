import AlulaGraph

extension GradientEmitter {
    mutating func differentiate(_ op: BatchNorm, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        // With its own batch's statistics the rule counts what flows through them.
        let usesBatch = statistics(of: node) != nil
        if !usesBatch, needs(node.inputs[3]) || needs(node.inputs[4]) {
            throw refuse(node, "its statistics depend on parameters, but are not those of its operand")
        }
        let gradient = BatchNormGradient(op, usesBatchStatistics: usesBatch)
        let results = try emitAll(.batchNormGradient(gradient), [dy] + node.inputs)
        for (operand, result) in zip(node.inputs, results) { try accumulate(result, to: operand) }
    }

    /// The node that computes a batch norm's statistics from the batch norm's own operand.
    func statistics(of node: Node) -> Int? {
        let own = producers[Int(node.inputs[3].index)]
        guard own >= 0, case .batchStatistics = graph.nodes[own].op, graph.nodes[own].inputs[0] == node.inputs[0],
            graph.nodes[own].outputs == [node.inputs[3], node.inputs[4]]
        else { return nil }
        return own
    }

    /// Statistics that are used by themselves: d mean / dx = 1 / n, d variance / dx = 2 (x - mean) / n.
    mutating func differentiateStatistics(_ node: Node, _ dy: [ValueID]) throws(TrainingError) {
        let (x, channels) = (node.inputs[0], shape(node.inputs[0]).last)
        let n = Float(shape(x).elementCount / channels)
        if !dy[0].isNone {
            try accumulate(emit(.expand(Expand(shape(x))), scaled(dy[0], 1 / n)), to: x)
        }
        if !dy[1].isNone {
            let deviation = try binary(.sub, x, node.outputs[0])
            try accumulate(binary(.mul, deviation, scaled(dy[1], 2 / n)), to: x)
        }
    }

    mutating func differentiate(_ op: LayerNorm, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let gradient = LayerNormGradient(epsilon: op.epsilon)
        let results = try emitAll(.layerNormGradient(gradient), [dy, node.inputs[0], node.inputs[1]])
        for (operand, result) in zip(node.inputs, results) { try accumulate(result, to: operand) }
    }

    /// y · (dy - Σ dy · y).
    mutating func differentiate(_ op: Softmax, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let y = node.outputs[0]
        let product = try binary(.mul, dy, y)
        let total = try emit(.reduce(Reduce(.sum, axes: [op.axis], keepsAxes: true)), product)
        try accumulate(binary(.sub, product, binary(.mul, y, total)), to: node.inputs[0])
    }
}
