import AlulaGraph
import ModelBuilding

/// Builds the unfused float graph of an MSW-Transformer (Cheng et al., arXiv 2306.12098), completed as the README beside this file says.
struct MSWTransformerBuilder {
    private let configuration: MSWTransformerConfiguration
    private let classes: Int
    private(set) var layers: LayerBuilder<PlainName>
    /// Values that `stageOutputs` makes outputs, in order of computation.
    private var stages: [ValueID] = []

    /// Added to scores that must not count: its exponential is 0 in f32, and it is finite, so that a window of nothing but padding is harmless.
    static let masked: Float = -10000

    init(_ configuration: MSWTransformerConfiguration, classes: Int, weights: WeightReader<PlainName>) {
        (self.configuration, self.classes) = (configuration, classes)
        layers = LayerBuilder(weights)
    }

    mutating func build(stageOutputs: Bool) throws(ModelError) {
        let shape: Shape = [1, 1, configuration.length, configuration.leads]
        let signal = layers.graph.addInput("signal", TensorType(.f32, shape))
        let tokens = try embedding(signal)
        stages.append(tokens)
        var scales: [ValueID] = []
        for scale in configuration.windows.indices {
            var x = tokens
            for layer in 0..<configuration.layers { x = try block(x, scale, layer) }
            scales.append(x)
        }
        stages += scales
        let fused = try fusion(scales)
        stages.append(fused)
        let normed = try layers.layerNorm(fused, "norm", epsilon: configuration.normEpsilon)
        let pooled = try layers.add(.reduce(Reduce(.mean, axes: [1])), [normed], name: "pooled")
        let logits = try layers.linear(pooled, "head", to: classes, resultName: "logits")
        layers.graph.setOutputs([logits] + (stageOutputs ? stages : []))
    }

    // MARK: Tokens

    private mutating func embedding(_ signal: ValueID) throws(ModelError) -> ValueID {
        let (patch, tokens, dim) = (configuration.patch, configuration.tokens, configuration.dim)
        let missing = tokens * patch - configuration.length
        let op = Conv2D(stride: Pair(1, patch), padding: Padding(top: 0, left: 0, bottom: 0, right: missing))
        let patches = try layers.convolution1D(signal, "patch_embed.proj", to: dim, kernel: patch, op)
        let flat = try layers.add(.reshape(Reshape([1, tokens, dim])), [patches])
        let name = "tokens"
        guard configuration.usesPositions else {
            return try layers.layerNorm(
                flat, "patch_embed.norm", epsilon: configuration.normEpsilon, resultName: name)
        }
        let normed = try layers.layerNorm(flat, "patch_embed.norm", epsilon: configuration.normEpsilon)
        return try layers.sum(normed, layers.constant("pos_embed", .positions, [1, tokens, dim]), name: name)
    }

    // MARK: Scales

    /// Attention in windows, attention in shifted windows, MLP: each normalized in front, with a residual around it.
    private mutating func block(_ input: ValueID, _ scale: Int, _ layer: Int) throws(ModelError) -> ValueID {
        let own: PlainName = "scales.\(scale).blocks.\(layer)"
        let name: PlainName = configuration.sharesScales ? "shared.blocks.\(layer)" : own
        let window = configuration.windows[scale]
        let epsilon = configuration.normEpsilon
        var x = input
        let passes = [("norm1", "attn", 0), ("norm2", "shifted_attn", configuration.shift(ofWindow: window))]
        for (norm, attention, shift) in passes {
            let normed = try layers.layerNorm(x, name + norm, epsilon: epsilon)
            let bias = try attentionBias(own + attention, window: window, shift: shift)
            let mixed = try windowAttention(normed, name + attention, bias, window: window, shift: shift)
            x = try layers.sum(x, mixed)
        }
        let normed = try layers.layerNorm(x, name + "norm3", epsilon: epsilon)
        let branch = try layers.perceptron(
            normed, name + "mlp.fc1", name + "mlp.fc2", hidden: configuration.hiddenWidth, .gelu)
        let isLast = layer == configuration.layers - 1
        return try layers.sum(x, branch, name: isLast ? "scales.\(scale)" : "")
    }

    /// Multi-head attention among the tokens of each window, after a cyclic shift to the left. Tokens are filled up to whole windows.
    private mutating func windowAttention(
        _ x: ValueID, _ name: PlainName, _ bias: ValueID, window: Int, shift: Int
    ) throws(ModelError) -> ValueID {
        let (tokens, dim) = (configuration.tokens, configuration.dim)
        let count = (tokens + window - 1) / window
        let padded = count * window
        var y = x
        if padded > tokens {
            y = try layers.add(.pad(Pad(before: [0, 0, 0], after: [0, padded - tokens, 0])), [y])
        }
        // Whole turns to the right stand for turns to the left.
        if shift > 0 { y = try layers.add(.roll(Roll(axis: 1, shift: padded - shift)), [y]) }
        y = try layers.add(.reshape(Reshape([count, window, dim])), [y])
        y = try layers.linear(y, name + "qkv", to: 3 * dim, hasBias: configuration.hasQKVBias)
        let width = dim / configuration.heads
        let op = Attention(
            heads: configuration.heads, keyDim: width, valueDim: width, scale: Float(1 / Double(width).squareRoot()),
            packing: .stacked)
        y = try layers.add(.attention(op), bias.isNone ? [y] : [y, .none, .none, bias])
        y = try layers.linear(y, name + "proj", to: dim)
        y = try layers.add(.reshape(Reshape([1, padded, dim])), [y])
        if shift > 0 { y = try layers.add(.roll(Roll(axis: 1, shift: shift)), [y]) }
        if padded > tokens { y = try layers.add(.slice(Slice(axis: 1, begin: 0, end: tokens)), [y]) }
        return y
    }

    /// What attention adds to its scores: the relative biases `table[head, i - j + w - 1]`, and the mask where tokens must not see each other.
    /// `[heads,w,w]` where all windows are alike, `[windows,heads,w,w]` else; none where there is nothing to add. Gathered and added in the graph,
    /// so that training changes the table; the compiler folds it.
    private mutating func attentionBias(
        _ name: PlainName, window: Int, shift: Int
    ) throws(ModelError) -> ValueID {
        let heads = configuration.heads
        let mask = mask(window: window, shift: shift)
        let shape: Shape = [max(1, mask.count / (window * window)), 1, window, window]
        if configuration.usesRelativeBias {
            let table = layers.constant(name + "rel_bias", .attentionBiases, [heads, 2 * window - 1])
            let columns = layers.indices(
                "window.\(window).distances",
                (0..<window * window).map { $0 / window - $0 % window + window - 1 })
            let gathered = try layers.add(.gather(Gather(axis: 1)), [table, columns])
            let biases = try layers.add(.reshape(Reshape([heads, window, window])), [gathered])
            if mask.isEmpty { return biases }
            let masks = layers.graph.addConstant(
                (name + "mask").canonical, TensorType(.f32, shape), TensorData(elements: mask))
            return try layers.add(.binary(Binary(.add)), [biases, masks])
        }
        if mask.isEmpty { return .none }
        return layers.graph.addConstant(
            (name + "mask").canonical, TensorType(.f32, shape), TensorData(elements: mask))
    }

    /// `[windows,w,w]`: 0 where query i may see key j, `masked` where j is padding or lies at the signal's other end. Empty if all may.
    private func mask(window: Int, shift: Int) -> [Float] {
        let tokens = configuration.tokens
        let padded = (tokens + window - 1) / window * window
        let separates = shift > 0 && configuration.masksWrapped
        guard padded > tokens || separates else { return [] }
        var values: [Float] = []
        values.reserveCapacity(padded * window)
        for query in 0..<padded {
            let first = query / window * window
            for key in first..<first + window {
                let isPadding = (key + shift) % padded >= tokens
                let isApart = separates && (query + shift >= padded) != (key + shift >= padded)
                values.append(isPadding || isApart ? MSWTransformerBuilder.masked : 0)
            }
        }
        return values
    }

    // MARK: Fusion

    /// The scales' features, each through a linear layer of its own, added with learned weights. The compiler folds the weights into the layers.
    private mutating func fusion(_ scales: [ValueID]) throws(ModelError) -> ValueID {
        var weights: ValueID
        switch configuration.fusion {
        case .softmax:
            let logits = layers.vector("fusion.logits", .fusion, scales.count)
            weights = try layers.add(.softmax(Softmax(axis: 0)), [logits])
        case .weights: weights = layers.vector("fusion.weights", .fusion, scales.count)
        }
        var result = ValueID.none
        for (scale, x) in scales.enumerated() {
            let features = try layers.linear(x, "fusion.proj.\(scale)", to: configuration.dim)
            let weight = try layers.add(.slice(Slice(axis: 0, begin: scale, end: scale + 1)), [weights])
            let weighted = try layers.add(.binary(Binary(.mul)), [features, weight])
            let name = scale == scales.count - 1 ? "fused" : ""
            result = scale == 0 ? weighted : try layers.sum(result, weighted, name: name)
        }
        return result
    }
}
