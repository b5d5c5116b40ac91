import AlulaGraph

/// Builds the unfused float graph of an EfficientFormer (Li et al., arXiv 2206.01191), as its authors' code computes it.
struct EfficientFormerBuilder {
    private let configuration: EfficientFormerConfiguration
    private let head: EfficientFormerConfiguration.Head
    private let classes: Int
    private let layerNormEpsilon: Float
    private let options: EfficientFormerOptions
    private(set) var weights: WeightReader
    private(set) var graph = Graph()
    /// Values that `stageOutputs` makes outputs, in order of computation.
    private var stages: [ValueID] = []

    init(
        _ configuration: EfficientFormerConfiguration, head: EfficientFormerConfiguration.Head, classes: Int,
        layerNormEpsilon: Float, options: EfficientFormerOptions, weights: WeightReader
    ) {
        (self.configuration, self.head, self.classes) = (configuration, head, classes)
        (self.layerNormEpsilon, self.options, self.weights) = (layerNormEpsilon, options, weights)
    }

    mutating func build() throws(EfficientFormerError) {
        let side = configuration.inputSide
        let image = graph.addInput("image", TensorType(.f32, [1, side, side, configuration.channels]))
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

    private mutating func stem(_ image: ValueID) throws(EfficientFormerError) -> ValueID {
        let width = configuration.widths[0]
        let stride = Conv2D(stride: Pair(2), padding: Padding(1))
        var x = try convolution(image, .stemConvolution1, to: width / 2, kernel: 3, stride)
        x = try add(.unary(Unary(.relu)), [batchNorm(x, .stemNorm1)])
        x = try convolution(x, .stemConvolution2, to: width, kernel: 3, stride)
        x = try add(.unary(Unary(.relu)), [batchNorm(x, .stemNorm2)], name: "stem")
        stages.append(x)
        return x
    }

    private mutating func downsample(_ x: ValueID, after stage: Int) throws(EfficientFormerError) -> ValueID {
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
    ) throws(EfficientFormerError) -> ValueID {
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
    ) throws(EfficientFormerError) -> ValueID {
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
    private mutating func tokens(_ x: ValueID) throws(EfficientFormerError) -> ValueID {
        let shape = graph.shape(x)
        guard shape[1] == configuration.resolution, shape[2] == configuration.resolution else {
            throw .configuration(
                key: "resolution", value: "\(configuration.resolution)",
                problem: "the last grid is \(shape[1]) x \(shape[2])")
        }
        return try add(.reshape(Reshape([1, configuration.tokens, shape[3]])), [x], name: "tokens")
    }

    private mutating func attentionBlocks(_ tokens: ValueID) throws(EfficientFormerError) -> ValueID {
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
    ) throws(EfficientFormerError) -> ValueID {
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

    private mutating func outputs(_ x: ValueID) throws(EfficientFormerError) {
        let normed = try layerNorm(x, .layerNorm, resultName: "layernorm")
        let pooled = try add(.mean(Mean(axes: [1])), [normed], name: head == .none ? "features" : "pooled")
        var outputs: [ValueID] = []
        switch head {
        case .none: outputs = [pooled]
        case .classifier: outputs = [try linear(pooled, .classifier, to: classes, resultName: "logits")]
        case .classifierAndDistillation:
            let both = [
                try linear(pooled, .classifier, to: classes, resultName: "cls_logits"),
                try linear(pooled, .distillationClassifier, to: classes, resultName: "distillation_logits"),
            ]
            let half = graph.addConstant("logits.half", TensorType(.f32, [1]), TensorData(elements: [Float(0.5)]))
            let sum = try add(.binary(Binary(.add)), both)
            outputs = [try add(.binary(Binary(.mul)), [sum, half], name: "logits")]
            if options.headOutputs { outputs += both }
        }
        if options.stageOutputs { outputs += stages + [normed] + (head == .none ? [] : [pooled]) }
        graph.setOutputs(outputs)
    }

    // MARK: Layers

    private mutating func add(_ op: Operator, _ inputs: [ValueID], name: String = "") throws(EfficientFormerError)
        -> ValueID
    {
        do { return try graph.add(op, inputs, name: name) } catch { throw .graph(error) }
    }

    private mutating func vector(_ name: TensorName, _ kind: TensorSpecification.Kind, _ count: Int) -> ValueID {
        graph.addConstant(name.canonical, TensorType(.f32, [count]), weights.floats(name, kind, [count]))
    }

    private mutating func convolution(
        _ x: ValueID, _ name: TensorName, to width: Int, kernel: Int, _ op: Conv2D
    ) throws(EfficientFormerError) -> ValueID {
        let input = graph.shape(x).last
        let data = weights.floats(name + "weight", .convolutionWeight, [width, input, kernel, kernel])
        let weight = graph.addConstant(
            (name + "weight").canonical, TensorType(.f32, [width, kernel, kernel, input]),
            data.map { channelsLast($0, outputs: width, inputs: input, taps: kernel * kernel) })
        return try add(.conv2D(op), [x, weight, vector(name + "bias", .bias, width)])
    }

    private mutating func linear(
        _ x: ValueID, _ name: TensorName, to width: Int, resultName: String = ""
    ) throws(EfficientFormerError) -> ValueID {
        let shape = [width, graph.shape(x).last]
        let weight = graph.addConstant(
            (name + "weight").canonical, TensorType(.f32, Shape(shape)),
            weights.floats(name + "weight", .linearWeight, shape))
        return try add(.linear(Linear()), [x, weight, vector(name + "bias", .bias, width)], name: resultName)
    }

    private mutating func batchNorm(
        _ x: ValueID, _ name: TensorName, resultName: String = ""
    ) throws(EfficientFormerError) -> ValueID {
        let width = graph.shape(x).last
        weights.ignore(name + "num_batches_tracked", .batchCount, [], reason: "counts training steps only")
        let operands = [
            x, vector(name + "weight", .normGamma, width), vector(name + "bias", .normBeta, width),
            vector(name + "running_mean", .runningMean, width),
            vector(name + "running_var", .runningVariance, width),
        ]
        return try add(.batchNorm(BatchNorm(epsilon: configuration.batchNormEpsilon)), operands, name: resultName)
    }

    private mutating func layerNorm(
        _ x: ValueID, _ name: TensorName, resultName: String = ""
    ) throws(EfficientFormerError) -> ValueID {
        let width = graph.shape(x).last
        let operands = [x, vector(name + "weight", .normGamma, width), vector(name + "bias", .normBeta, width)]
        return try add(.layerNorm(LayerNorm(epsilon: layerNormEpsilon)), operands, name: resultName)
    }

    /// One factor per channel, where the model has layer scales.
    private mutating func scaled(_ x: ValueID, _ name: TensorName) throws(EfficientFormerError) -> ValueID {
        guard configuration.usesLayerScale else { return x }
        return try add(.binary(Binary(.mul)), [x, vector(name, .layerScale, graph.shape(x).last)])
    }

    /// `[heads, tokens, tokens]`, gathered from the checkpoint's table of one column per distance. Its first row of tokens is the table:
    /// token 0 lies in the corner, so its distance to token j has the number j.
    private mutating func attentionBias(_ block: TensorName) throws(EfficientFormerError) -> ValueID {
        let (heads, tokens, side) = (configuration.heads, configuration.tokens, configuration.resolution)
        let name = block + .attentionBiases
        let shape = Shape([heads, tokens, tokens])
        guard shape.isValid else {
            throw .configuration(key: "resolution", value: "\(side)", problem: "too large for \(heads) heads")
        }
        weights.checkAttentionBiasIndices(block + .attentionBiasIndices, side: side)
        let gathered = weights.floats(name, .attentionBiases, [heads, tokens]).map { table in
            let values = table.array(of: Float.self)
            var result: [Float] = []
            result.reserveCapacity(shape.elementCount)
            for head in 0..<heads {
                for pair in 0..<tokens * tokens {
                    let column = attentionBiasIndex(pair / tokens, pair % tokens, side: side)
                    result.append(values[head * tokens + column])
                }
            }
            return TensorData(elements: result)
        }
        return graph.addConstant(name.canonical, TensorType(.f32, shape), gathered)
    }

    /// From [outputs, inputs, taps], PyTorch's order, to [outputs, taps, inputs].
    private func channelsLast(_ data: TensorData, outputs: Int, inputs: Int, taps: Int) -> TensorData {
        if taps == 1 { return data }
        return data.withElements(of: Float.self) { source in
            TensorData(count: data.count) { bytes in
                let target = bytes.assumingMemoryBound(to: Float.self)
                for output in 0..<outputs {
                    for input in 0..<inputs {
                        for tap in 0..<taps {
                            target[(output * taps + tap) * inputs + input] =
                                source[(output * inputs + input) * taps + tap]
                        }
                    }
                }
            }
        }
    }
}
