import AlulaGraph
import ModelBuilding

/// Builds the unfused float graph of an EdgeViT (Pan et al., arXiv 2205.03436), as its authors' code computes it. Maps stay N,H,W,C
/// throughout: tokens are their pixels in rows, so that linear layers and layer norms apply to maps as they are.
struct EdgeViTBuilder {
    private let configuration: EdgeViTConfiguration
    private let classes: Int
    private(set) var layers: LayerBuilder<PlainName>
    /// Values that `stageOutputs` makes outputs, in order of computation.
    private var stages: [ValueID] = []

    init(_ configuration: EdgeViTConfiguration, classes: Int, weights: WeightReader<PlainName>) {
        (self.configuration, self.classes) = (configuration, classes)
        layers = LayerBuilder(weights)
    }

    mutating func build(stageOutputs: Bool) throws(ModelError) {
        let shape: Shape = [1, configuration.height, configuration.width, configuration.channels]
        var x = layers.graph.addInput("image", TensorType(.f32, shape))
        for stage in 0..<configuration.stageCount {
            x = try patchEmbedding(x, stage)
            for block in 0..<configuration.depths[stage] {
                let name: PlainName = "blocks\(stage + 1).\(block)"
                if configuration.rates[stage] > 1 { x = try localAggregation(x, name + "LocalAgg", stage) }
                x = try selfAttention(x, name + "SelfAttn", stage)
            }
        }
        x = try layers.batchNorm(x, "norm", epsilon: configuration.batchNormEpsilon, resultName: "norm")
        stages.append(x)
        let pooled = try layers.add(.reduce(Reduce(.mean, axes: [1, 2])), [x], name: "pooled")
        let logits = try layers.linear(pooled, "head", to: classes, resultName: "logits")
        layers.graph.setOutputs([logits] + (stageOutputs ? stages : []))
    }

    private mutating func patchEmbedding(_ x: ValueID, _ stage: Int) throws(ModelError) -> ValueID {
        let name: PlainName = "patch_embed\(stage + 1)"
        let patch = configuration.patch(ofStage: stage)
        let patches = try layers.convolution(
            x, name + "proj", to: configuration.widths[stage], kernel: patch, Conv2D(stride: Pair(patch)))
        let result = try layers.layerNorm(
            patches, name + "norm", epsilon: configuration.embeddingNormEpsilon, resultName: name.canonical)
        stages.append(result)
        return result
    }

    /// `x + depthwise(x)`: what stands for positions.
    private mutating func positions(_ x: ValueID, _ name: PlainName) throws(ModelError) -> ValueID {
        try layers.sum(x, depthwise(x, name + "pos_embed", kernel: 3))
    }

    private mutating func depthwise(_ x: ValueID, _ name: PlainName, kernel: Int) throws(ModelError) -> ValueID {
        let width = layers.graph.shape(x).last
        return try layers.convolution(
            x, name, to: width, kernel: kernel, Conv2D(padding: Padding(kernel / 2), groups: width))
    }

    /// Each pixel learns from its neighbours; no activation around the depthwise convolution.
    private mutating func localAggregation(
        _ input: ValueID, _ name: PlainName, _ stage: Int
    ) throws(ModelError) -> ValueID {
        let width = configuration.widths[stage]
        var x = try positions(input, name)
        var branch = try layers.batchNorm(x, name + "norm1", epsilon: configuration.batchNormEpsilon)
        branch = try layers.convolution(branch, name + "conv1", to: width, kernel: 1)
        branch = try depthwise(branch, name + "attn", kernel: 5)
        x = try layers.sum(x, layers.convolution(branch, name + "conv2", to: width, kernel: 1))

        branch = try layers.batchNorm(x, name + "norm2", epsilon: configuration.batchNormEpsilon)
        branch = try layers.convolution(
            branch, name + "mlp.fc1", to: configuration.hiddenWidth(ofStage: stage), kernel: 1)
        branch = try layers.add(.unary(Unary(.gelu)), [branch])
        branch = try layers.convolution(branch, name + "mlp.fc2", to: width, kernel: 1)
        x = try layers.sum(x, branch, name: name.canonical)
        stages.append(x)
        return x
    }

    private mutating func selfAttention(
        _ input: ValueID, _ name: PlainName, _ stage: Int
    ) throws(ModelError) -> ValueID {
        var x = try positions(input, name)
        x = try layers.sum(x, sparseAttention(x, name, stage))
        let normed = try layers.layerNorm(x, name + "norm2", epsilon: configuration.blockNormEpsilon)
        let branch = try layers.perceptron(
            normed, name + "mlp.fc1", name + "mlp.fc2", hidden: configuration.hiddenWidth(ofStage: stage), .gelu)
        x = try layers.sum(x, branch, name: name.canonical)
        stages.append(x)
        return x
    }

    /// Attention among every r-th token of every r-th row, whose results then spread over the cells that the tokens stand for.
    ///
    /// The original normalizes all tokens and then samples; a layer norm sees one token at a time, so sampling first gives the same numbers.
    private mutating func sparseAttention(
        _ x: ValueID, _ block: PlainName, _ stage: Int
    ) throws(ModelError) -> ValueID {
        let name = block + "attn"
        let (width, rate) = (configuration.widths[stage], configuration.rates[stage])
        let heads = configuration.heads(ofStage: stage)
        let headWidth = width / heads
        let sampled = try sample(x, rate)
        let grid = layers.graph.shape(sampled)
        let tokens = try layers.add(.reshape(Reshape([grid[0], grid[1] * grid[2], width])), [sampled])
        let normed = try layers.layerNorm(tokens, block + "norm1", epsilon: configuration.blockNormEpsilon)
        let packed = try layers.linear(normed, name + "qkv", to: 3 * width)
        let op = Attention(
            heads: heads, keyDim: headWidth, valueDim: headWidth, scale: Float(1 / Double(headWidth).squareRoot()),
            packing: .stacked)
        let mixed = try layers.add(.attention(op), [packed])
        var map = try layers.add(.reshape(Reshape(grid)), [mixed])
        if rate > 1 {
            map = try layers.depthwiseSpread(map, name + "LocalProp", rate: rate)
            map = try layers.layerNorm(map, name + "norm", epsilon: configuration.embeddingNormEpsilon)
        }
        return try layers.linear(map, name + "proj", to: width)
    }

    /// The top-left pixel of every cell of rate x rate pixels.
    private mutating func sample(_ x: ValueID, _ rate: Int) throws(ModelError) -> ValueID {
        guard rate > 1 else { return x }
        let shape = layers.graph.shape(x)
        let rows = try layers.add(.slice(Slice(axis: 1, begin: 0, end: shape[1], step: rate)), [x])
        return try layers.add(.slice(Slice(axis: 2, begin: 0, end: shape[2], step: rate)), [rows])
    }
}
