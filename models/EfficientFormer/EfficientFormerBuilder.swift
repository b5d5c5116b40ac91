import AlulaGraph
import ModelBuilding

/// Builds the unfused float graph of an EfficientFormer (Li et al., arXiv 2206.01191), as its authors' code computes it.
struct EfficientFormerBuilder {
    private let configuration: EfficientFormerConfiguration
    private let head: EfficientFormerConfiguration.Head
    private let classes: Int
    private let layerNormEpsilon: Float
    private let options: EfficientFormerOptions
    private(set) var layers: LayerBuilder<TensorName>
    /// Values that `stageOutputs` makes outputs, in order of computation.
    private var stages: [ValueID] = []

    init(
        _ configuration: EfficientFormerConfiguration, head: EfficientFormerConfiguration.Head, classes: Int,
        layerNormEpsilon: Float, options: EfficientFormerOptions, weights: WeightReader<TensorName>
    ) {
        (self.configuration, self.head, self.classes) = (configuration, head, classes)
        (self.layerNormEpsilon, self.options) = (layerNormEpsilon, options)
        layers = LayerBuilder(weights)
    }

    mutating func build() throws(ModelError) {
        let side = configuration.inputSide
        let image = layers.graph.addInput("image", TensorType(.f32, [1, side, side, configuration.channels]))
        var x = try stem(image)
        for stage in 0..<configuration.stageCount {
            let isLast = stage == configuration.stageCount - 1
            x = try poolingBlocks(x, stage: stage, isLast: isLast)
            if configuration.downsamplesAfter(stage) { x = try downsample(x, after: stage) }
        }
        x = try attentionBlocks(tokens(x))
        try outputs(x)
    }

    // MARK: Stages

    private mutating func stem(_ image: ValueID) throws(ModelError) -> ValueID {
        let width = configuration.widths[0]
        let stride = Conv2D(stride: Pair(2), padding: Padding(1))
        var x = try convolution(image, .stemConvolution1, to: width / 2, kernel: 3, stride)
        x = try add(.unary(Unary(.relu)), [batchNorm(x, .stemNorm1)])
        x = try convolution(x, .stemConvolution2, to: width, kernel: 3, stride)
        x = try add(.unary(Unary(.relu)), [batchNorm(x, .stemNorm2)], name: "stem")
        stages.append(x)
        return x
    }

    private mutating func downsample(_ x: ValueID, after stage: Int) throws(ModelError) -> ValueID {
        let name = TensorName.downsample(after: stage, entry: configuration.entry(ofStage: stage) + 1)
        let op = Conv2D(
            stride: Pair(configuration.downsampleStride), padding: Padding(configuration.downsamplePadding))
        let y = try convolution(
            x, name + .downsampleConvolution, to: configuration.widths[stage + 1],
            kernel: configuration.downsampleKernel, op)
        let result = try batchNorm(y, name + .downsampleNorm, resultName: "downsamples.\(stage)")
        stages.append(result)
        return result
    }

    private mutating func poolingBlocks(
        _ input: ValueID, stage: Int, isLast: Bool
    ) throws(ModelError) -> ValueID {
        let entry = configuration.entry(ofStage: stage)
        let count = isLast ? configuration.lastPoolingBlocks : configuration.depths[stage]
        var x = input
        for block in 0..<count {
            let name =
                isLast
                ? TensorName.lastStageBlock(stage: stage, entry: entry, block: block)
                : TensorName.block(stage: stage, entry: entry, block: block)
            // With attention blocks to come, the last stage ends later.
            let isEnd = block == count - 1 && (!isLast || configuration.attentionBlocks == 0)
            x = try poolingBlock(x, name, resultName: isEnd ? "stages.\(stage)" : "")
        }
        if !isLast || configuration.attentionBlocks == 0 { stages.append(x) }
        return x
    }

    /// `y = x + s1 · (average(x) - x)`, then `y + s2 · norm(conv(act(norm(conv(y)))))`; nothing is normalized in front.
    private mutating func poolingBlock(
        _ x: ValueID, _ name: TensorName, resultName: String
    ) throws(ModelError) -> ValueID {
        let width = graph.shape(x).last
        let size = configuration.poolSize
        let pool = Pool(
            .average, kernel: Pair(size), stride: Pair(1), padding: Padding(size / 2), countsPadding: false)
        let mixed = try add(.binary(Binary(.sub)), [add(.pool(pool), [x]), x])
        let y = try add(.binary(Binary(.add)), [x, scaled(mixed, name + .layerScale1)])

        var hidden = try convolution(
            y, name + .convolution1, to: configuration.hiddenWidth(width), kernel: 1, Conv2D())
        hidden = try add(.unary(Unary(configuration.activation)), [batchNorm(hidden, name + .mlpNorm1)])
        let out = try batchNorm(
            convolution(hidden, name + .convolution2, to: width, kernel: 1, Conv2D()), name + .mlpNorm2)
        return try add(.binary(Binary(.add)), [y, scaled(out, name + .layerScale2)], name: resultName)
    }

    /// The last image's pixels in rows from the top.
    private mutating func tokens(_ x: ValueID) throws(ModelError) -> ValueID {
        let shape = graph.shape(x)
        guard shape[1] == configuration.resolution, shape[2] == configuration.resolution else {
            throw .configuration(
                key: "resolution", value: "\(configuration.resolution)",
                problem: "the last grid is \(shape[1]) x \(shape[2])")
        }
        return try add(.reshape(Reshape([1, configuration.tokens, shape[3]])), [x], name: "tokens")
    }

    private mutating func attentionBlocks(_ tokens: ValueID) throws(ModelError) -> ValueID {
        let last = configuration.stageCount - 1
        let entry = configuration.entry(ofStage: last)
        var x = tokens
        for block in 0..<configuration.attentionBlocks {
            let name = TensorName.attentionBlock(
                stage: last, entry: entry, poolingBlocks: configuration.lastPoolingBlocks, block: block)
            x = try attentionBlock(
                x, name, resultName: block == configuration.attentionBlocks - 1 ? "stages.\(last)" : "")
        }
        if configuration.attentionBlocks > 0 { stages.append(x) }
        return x
    }

    private mutating func attentionBlock(
        _ x: ValueID, _ name: TensorName, resultName: String
    ) throws(ModelError) -> ValueID {
        let width = graph.shape(x).last
        let (heads, keyDim, valueDim) = (configuration.heads, configuration.keyDim, configuration.valueDim)
        let op = Attention(
            heads: heads, keyDim: keyDim, valueDim: valueDim, scale: Float(1 / Double(keyDim).squareRoot()),
            packing: .perHead)
        let packed = try linear(
            layerNorm(x, name + .layerNorm1), name + .queryKeyValue, to: heads * (2 * keyDim + valueDim))
        let mixed = try add(.attention(op), [packed, .none, .none, attentionBias(name)])
        let projected = try linear(mixed, name + .projection, to: width)
        let y = try add(.binary(Binary(.add)), [x, scaled(projected, name + .layerScale1)])

        var hidden = try linear(
            layerNorm(y, name + .layerNorm2), name + .linearIn, to: configuration.hiddenWidth(width))
        hidden = try add(.unary(Unary(configuration.activation)), [hidden])
        let out = try linear(hidden, name + .linearOut, to: width)
        return try add(.binary(Binary(.add)), [y, scaled(out, name + .layerScale2)], name: resultName)
    }

    // MARK: Heads

    private mutating func outputs(_ x: ValueID) throws(ModelError) {
        let normed = try layerNorm(x, .layerNorm, resultName: "layernorm")
        let pooled = try add(.reduce(Reduce(.mean, axes: [1])), [normed], name: head == .none ? "features" : "pooled")
        var outputs: [ValueID] = []
        switch head {
        case .none: outputs = [pooled]
        case .classifier: outputs = [try linear(pooled, .classifier, to: classes, resultName: "logits")]
        case .classifierAndDistillation:
            let both = [
                try linear(pooled, .classifier, to: classes, resultName: "cls_logits"),
                try linear(pooled, .distillationClassifier, to: classes, resultName: "distillation_logits"),
            ]
            let half = layers.graph.addConstant(
                "logits.half", TensorType(.f32, [1]), TensorData(elements: [Float(0.5)]))
            let sum = try add(.binary(Binary(.add)), both)
            outputs = [try add(.binary(Binary(.mul)), [sum, half], name: "logits")]
            if options.headOutputs { outputs += both }
        }
        if options.stageOutputs { outputs += stages + [normed] + (head == .none ? [] : [pooled]) }
        layers.graph.setOutputs(outputs)
    }

    // MARK: Layers

    private var graph: Graph { layers.graph }

    private mutating func add(
        _ op: Operator, _ inputs: [ValueID], name: String = ""
    ) throws(ModelError) -> ValueID {
        try layers.add(op, inputs, name: name)
    }

    private mutating func convolution(
        _ x: ValueID, _ name: TensorName, to width: Int, kernel: Int, _ op: Conv2D
    ) throws(ModelError) -> ValueID {
        try layers.convolution(x, name, to: width, kernel: kernel, op)
    }

    private mutating func linear(
        _ x: ValueID, _ name: TensorName, to width: Int, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        try layers.linear(x, name, to: width, resultName: resultName)
    }

    private mutating func batchNorm(
        _ x: ValueID, _ name: TensorName, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        try layers.batchNorm(x, name, epsilon: configuration.batchNormEpsilon, resultName: resultName)
    }

    private mutating func layerNorm(
        _ x: ValueID, _ name: TensorName, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        try layers.layerNorm(x, name, epsilon: layerNormEpsilon, resultName: resultName)
    }

    /// One factor per channel, where the model has layer scales.
    private mutating func scaled(_ x: ValueID, _ name: TensorName) throws(ModelError) -> ValueID {
        guard configuration.usesLayerScale else { return x }
        return try add(.binary(Binary(.mul)), [x, layers.vector(name, .layerScale, graph.shape(x).last)])
    }

    /// `[heads, tokens, tokens]`, gathered from the checkpoint's table of one column per distance: training changes the table. Its first row of
    /// tokens is the table: token 0 lies in the corner, so its distance to token j has the number j.
    private mutating func attentionBias(_ block: TensorName) throws(ModelError) -> ValueID {
        let (heads, tokens, side) = (configuration.heads, configuration.tokens, configuration.resolution)
        let shape = Shape([heads, tokens, tokens])
        guard shape.isValid else {
            throw .configuration(key: "resolution", value: "\(side)", problem: "too large for \(heads) heads")
        }
        layers.weights.check(
            block + .attentionBiasIndices, .attentionBiasIndices, [tokens, tokens], rule: "|dy| * \(side) + |dx|",
            reason: "follows from the resolution; its values were checked"
        ) { attentionBiasIndex($0 / tokens, $0 % tokens, side: side) }
        let table = layers.constant(block + .attentionBiases, .attentionBiases, [heads, tokens])
        let columns = layers.indices(
            "attention.distances",
            (0..<tokens * tokens).map { attentionBiasIndex($0 / tokens, $0 % tokens, side: side) })
        let biases = try add(.gather(Gather(axis: 1)), [table, columns])
        return try add(.reshape(Reshape(shape)), [biases])
    }
}

/// The column of an attention bias table for two tokens of a side x side grid: |dy| * side + |dx|.
func attentionBiasIndex(_ first: Int, _ second: Int, side: Int) -> Int {
    abs(first / side - second / side) * side + abs(first % side - second % side)
}
