import AlulaGraph

extension Graph {
    /// The same graph with activations and residuals as nodes of their own, as gradient rules want them.
    package func unfused() throws(TrainingError) -> Graph {
        var copy = try GraphCopy(self)
        for node in nodes {
            switch node.op {
            case .conv2D(var op):
                let activation = op.activation
                op.activation = nil
                try copy.addLayer(.conv2D(op), activation, node)
            case .convTranspose2D(var op):
                let activation = op.activation
                op.activation = nil
                try copy.addLayer(.convTranspose2D(op), activation, node)
            case .linear(let op): try copy.addLayer(.linear(Linear()), op.activation, node)
            case .binary(let op) where op.activation != nil:
                let plain = try copy.graph.emit(.binary(Binary(op.kind)), copy.operands(node))
                try copy.add(.unary(Unary(op.activation!)), [plain], for: node)
            default: try copy.copy(node)
            }
        }
        return copy.finished()
    }
}

extension GraphCopy {
    fileprivate mutating func addLayer(_ op: Operator, _ activation: Activation, _ node: Node) throws(TrainingError) {
        let residual = self[node.input(WeightedOperand.residual)]
        guard activation != nil || !residual.isNone else { return try copy(node) }
        let operands = Array(self.operands(node).prefix(WeightedOperand.multiplier))
        let sum = try graph.emit(op, operands)
        guard let activation else { return try add(.binary(Binary(.add)), [sum, residual], for: node) }
        guard !residual.isNone else { return try add(.unary(Unary(activation)), [sum], for: node) }
        let active = try graph.emit(.unary(Unary(activation)), [sum])
        try add(.binary(Binary(.add)), [active, residual], for: node)
    }
}
