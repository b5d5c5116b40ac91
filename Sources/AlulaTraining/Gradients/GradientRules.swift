import AlulaGraph

extension GradientEmitter {
    /// The one place that knows which operator has which rule. `dy` holds the gradients of the node's results, `.none` where the loss does not
    /// depend on one; at least one is there.
    mutating func emitRule(_ node: Node, _ dy: [ValueID]) throws(TrainingError) {
        switch node.op {
        case .conv2D(let op): try differentiate(op, node, dy[0])
        case .convTranspose2D(let op): try differentiate(op, node, dy[0])
        case .linear(let op): try differentiate(op, node, dy[0])
        case .matmul(let op): try differentiate(op, node, dy[0])
        case .attention(let op): try differentiate(op, node, dy[0])
        case .binary(let op): try differentiate(op, node, dy[0])
        case .unary(let op): try differentiate(op, node, dy[0])
        case .select: try differentiateSelect(node, dy[0])
        case .batchNorm(let op): try differentiate(op, node, dy[0])
        case .batchStatistics: try differentiateStatistics(node, dy)
        case .layerNorm(let op): try differentiate(op, node, dy[0])
        case .softmax(let op): try differentiate(op, node, dy[0])
        case .pool(let op): try differentiate(op, node, dy[0])
        case .poolMixer(let op): try differentiate(op, node, dy[0])
        case .reduce(let op): try differentiate(op, node, dy[0])
        case .channelSum: try differentiateChannelSum(node, dy[0])
        case .reshape: try accumulate(reshape(dy[0], shape(node.inputs[0])), to: node.inputs[0])
        case .transpose(let op): try differentiate(op, node, dy[0])
        case .slice(let op): try differentiate(op, node, dy[0])
        case .concat(let op): try differentiate(op, node, dy[0])
        case .split(let op): try differentiate(op, node, dy)
        case .gather(let op): try differentiate(op, node, dy[0])
        case .roll(let op): try differentiate(op, node, dy[0])
        case .pad(let op): try differentiate(op, node, dy[0])
        case .expand: try accumulate(sum(dy[0], to: shape(node.inputs[0])), to: node.inputs[0])
        case .resample(let op): try differentiate(op, node, dy[0])
        case .topK: throw refuse(node, "which elements are largest does not change smoothly")
        case .quantize: try differentiateQuantize(node, dy[0])
        case .dequantize: try differentiateDequantize(node, dy[0])
        case .requantize, .dynamicQuantize:
            throw refuse(node, "training takes the float graph, not the int8 one")
        case .conv2DWeightGradient, .unaryGradient, .batchNormGradient, .layerNormGradient, .poolGradient,
            .attentionGradient:
            throw refuse(node, "there are no second derivatives")
        }
    }
}
