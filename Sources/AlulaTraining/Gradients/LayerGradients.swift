import AlulaGraph

// Convolutions, linear layers, matrix products, attention.

extension GradientEmitter {
    /// Fused activations and residuals are taken apart before (`Graph.unfused`).
    private func checkIsPlain(_ node: Node, _ activation: Activation) throws(TrainingError) {
        guard activation == nil, node.input(WeightedOperand.residual).isNone else {
            throw refuse(node, "its activation or residual is fused")
        }
    }

    /// Whether only batch norms with the batch's own statistics read a value: they subtract its mean, so a bias in it has no gradient but rounding errors.
    private func isCentred(_ id: ValueID) -> Bool {
        let readers = users[Int(id.index)].map { graph.nodes[$0] }
        return !readers.isEmpty && !graph.outputs.contains(id)
            && readers.allSatisfy { reader in
                switch reader.op {
                case .batchStatistics: true
                case .batchNorm: statistics(of: reader) != nil
                default: false
                }
            }
    }

    private mutating func differentiateBias(_ node: Node, _ dy: ValueID) throws(TrainingError) {
        let bias = node.input(WeightedOperand.bias)
        guard needs(bias), !isCentred(node.outputs[0]) else { return }
        try accumulate(sum(dy, to: shape(bias)), to: bias)
    }

    mutating func differentiate(_ op: Conv2D, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        try checkIsPlain(node, op.activation)
        guard op.paddingValues.isEmpty else { throw refuse(node, "its padding is not zero") }
        let (x, weight) = (node.inputs[WeightedOperand.x], node.inputs[WeightedOperand.weight])
        try differentiateBias(node, dy)
        let kernel = Pair(shape(weight)[1], shape(weight)[2])
        if needs(weight) {
            try accumulate(emit(.conv2DWeightGradient(Conv2DWeightGradient(op, kernel: kernel)), dy, x), to: weight)
        }
        guard needs(x) else { return }
        // Rows and columns at the end that no window reached get their zeros from the transposed convolution's extra ones.
        let extra = { (input: Int, output: Int, kernel: Int, stride: Int, dilation: Int, padding: Int) in
            input - ((output - 1) * stride + dilation * (kernel - 1) + 1 - padding)
        }
        let (size, result, padding) = (shape(x), shape(dy), op.padding)
        let height = extra(
            size[1], result[1], kernel.height, op.stride.height, op.dilation.height, padding.top + padding.bottom)
        let width = extra(
            size[2], result[2], kernel.width, op.stride.width, op.dilation.width, padding.left + padding.right)
        let transposed = ConvTranspose2D(
            stride: op.stride, padding: padding, outputPadding: Pair(height, width), dilation: op.dilation,
            groups: op.groups)
        try accumulate(emit(.convTranspose2D(transposed), dy, weight), to: x)
    }

    mutating func differentiate(_ op: ConvTranspose2D, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        try checkIsPlain(node, op.activation)
        let (x, weight) = (node.inputs[WeightedOperand.x], node.inputs[WeightedOperand.weight])
        try differentiateBias(node, dy)
        // y is the input gradient of a convolution from y's shape to x's, so that convolution is its transpose.
        let forward = Conv2D(stride: op.stride, padding: op.padding, dilation: op.dilation, groups: op.groups)
        let kernel = Pair(shape(weight)[1], shape(weight)[2])
        if needs(weight) {
            try accumulate(
                emit(.conv2DWeightGradient(Conv2DWeightGradient(forward, kernel: kernel)), x, dy), to: weight)
        }
        if needs(x) { try accumulate(emit(.conv2D(forward), dy, weight), to: x) }
    }

    /// As a 1x1 convolution over one long row.
    mutating func differentiate(_ op: Linear, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        try checkIsPlain(node, op.activation)
        let (x, weight) = (node.inputs[WeightedOperand.x], node.inputs[WeightedOperand.weight])
        try differentiateBias(node, dy)
        let (outputs, inputs) = (shape(weight)[0], shape(weight)[1])
        let rows = shape(x).elementCount / inputs
        let flat = try reshape(dy, [1, 1, rows, outputs])
        if needs(weight) {
            let gradient = Conv2DWeightGradient(Conv2D(), kernel: Pair(1))
            let result = try emit(.conv2DWeightGradient(gradient), flat, reshape(x, [1, 1, rows, inputs]))
            try accumulate(reshape(result, shape(weight)), to: weight)
        }
        guard needs(x) else { return }
        let result = try emit(.convTranspose2D(ConvTranspose2D()), flat, reshape(weight, [outputs, 1, 1, inputs]))
        try accumulate(reshape(result, shape(x)), to: x)
    }

    mutating func differentiate(_ op: MatMul, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let (a, b) = (node.inputs[0], node.inputs[1])
        if needs(a) {
            let product = MatMul(transposeB: !op.transposeB, scale: op.scale)
            try accumulate(sum(emit(.matmul(product), dy, b), to: shape(a)), to: a)
        }
        guard needs(b) else { return }
        let (left, right) = op.transposeB ? (dy, a) : (a, dy)
        let transposed = try emit(.transpose(Transpose(swappingLast(shape(left).rank))), left)
        try accumulate(sum(emit(.matmul(MatMul(scale: op.scale)), transposed, right), to: shape(b)), to: b)
    }

    private func swappingLast(_ rank: Int) -> [Int] { Array(0..<rank - 2) + [rank - 1, rank - 2] }

    mutating func differentiate(_ op: Attention, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let results = try emitAll(.attentionGradient(AttentionGradient(op)), [dy] + node.inputs)
        let operands = op.packing == .separate ? Array(node.inputs[0..<3]) : [node.inputs[0]]
        for (operand, result) in zip(operands, results) { try accumulate(result, to: operand) }
        let bias = node.input(Attention.bias)
        guard needs(bias) else { return }
        // Scores [B,heads,T,T'] read biases [heads or 1,T,T'], or [W,heads or 1,T,T'] where item i reads number i mod W.
        var (scores, target) = (results[results.count - 1], shape(bias))
        if target.rank == 4 {
            let all = shape(scores)
            scores = try reshape(scores, [all[0] / target[0], target[0], all[1], all[2], all[3]])
        } else {
            target = Shape([1] + target.dimensions)
        }
        try accumulate(reshape(sum(scores, to: target), shape(bias)), to: bias)
    }
}
