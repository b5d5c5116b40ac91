import AlulaGraph

extension StepBuilder {
    /// Appends the steps of one node.
    mutating func bind(_ node: Node) throws(RuntimeError) {
        if isView(graph, node) {
            try checkView(node)
            return
        }
        if pairs[self.node] != .none { return }  // prepared with the next node
        if self.node > 0, pairs[self.node - 1] != .none {
            try bindPair(graph.nodes[self.node - 1], node, pairs[self.node - 1])
            return
        }
        switch node.op {
        case .conv2D(let op): try bind(op, node)
        case .convTranspose2D(let op): try bind(op, node)
        case .linear(let op): try bind(op, node)
        case .matmul(let op): try bind(op, node)
        case .attention(let op): try bind(op, node)
        case .binary(let op): try bind(op, node)
        case .unary(let op): try bind(op, node)
        case .select(let op): try bind(op, node)
        case .batchNorm(let op): try bind(op, node)
        case .layerNorm(let op): try bind(op, node)
        case .softmax(let op): try bind(op, node)
        case .pool(let op): try bind(op, node)
        case .poolMixer(let op): try bind(op, node)
        case .reduce(let op): try bind(op, node)
        case .topK(let op): try bind(op, node)
        case .reshape: break  // always a view
        case .transpose(let op): try bind(op, node)
        case .slice(let op): try bind(op, node)
        case .concat(let op): try bind(op, node)
        case .split(let op): try bind(op, node)
        case .gather(let op): try bind(op, node)
        case .roll(let op): try bind(op, node)
        case .pad(let op): try bind(op, node)
        case .expand(let op): try bind(op, node)
        case .resample(let op): try bind(op, node)
        case .quantize(let op): try bind(op, node)
        case .dequantize(let op): try bind(op, node)
        case .requantize(let op): try bind(op, node)
        case .conv2DWeightGradient(let op): try bind(op, node)
        case .unaryGradient(let op): try bind(op, node)
        case .channelSum(let op): try bind(op, node)
        case .batchStatistics(let op): try bind(op, node)
        case .batchNormGradient(let op): try bind(op, node)
        case .layerNormGradient(let op): try bind(op, node)
        case .poolGradient(let op): try bind(op, node)
        case .attentionGradient(let op): try bind(op, node)
        case .dynamicQuantize: try bindDynamicQuantize(node)
        }
    }

    private func checkView(_ node: Node) throws(RuntimeError) {
        let (x, result) = (graph.type(node.inputs[0]), graph.type(node.outputs[0]))
        guard x.dataType == result.dataType, x.quantization == result.quantization else {
            throw unsupported("the result's element type or quantization differs from the operand's")
        }
    }
}
