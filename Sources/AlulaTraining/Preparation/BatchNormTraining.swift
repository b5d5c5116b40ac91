import AlulaGraph

/// A batch norm's stored statistics, and where a training graph computes a batch's.
package struct RunningStatistics: Sendable, Equatable {
    /// Names of the constants.
    package var mean: String
    package var variance: String
    package var batchMean: ValueID
    package var batchVariance: ValueID
    /// Elements of each channel in a batch.
    package var count: Int
}

extension Graph {
    /// Batch norms take the statistics of their own operand, and the activation behind them if nobody else reads what lies between.
    ///
    /// With `isFrozen` they keep the stored ones.
    package func withTrainingBatchNorms(isFrozen: Bool) throws(TrainingError) -> (Graph, [RunningStatistics]) {
        let users = self.users()
        var copy = try GraphCopy(self)
        var statistics: [RunningStatistics] = []
        var fused: Set<Int> = []
        for (index, node) in nodes.enumerated() where !fused.contains(index) {
            guard case .batchNorm(var op) = node.op else {
                try copy.copy(node)
                continue
            }
            var operands = copy.operands(node)
            if !isFrozen {
                let results = try copy.graph.emitAll(.batchStatistics(BatchStatistics()), [operands[0]])
                (operands[3], operands[4]) = (results[0], results[1])
                let x = shape(node.inputs[0])
                statistics.append(
                    RunningStatistics(
                        mean: self[node.inputs[3]].name, variance: self[node.inputs[4]].name, batchMean: results[0],
                        batchVariance: results[1], count: copy.graph.shape(operands[0]).elementCount / x.last))
            }
            let readers = users[Int(node.outputs[0].index)]
            if readers.count == 1, !outputs.contains(node.outputs[0]), case .unary(let unary) = nodes[readers[0]].op,
                unary.function.parameters.isEmpty, op.activation == nil
            {
                op.activation = unary.function
                fused.insert(readers[0])
                try copy.add(.batchNorm(op), operands, for: nodes[readers[0]])
            } else {
                try copy.add(.batchNorm(op), operands, for: node)
            }
        }
        return (copy.finished(), statistics)
    }
}
