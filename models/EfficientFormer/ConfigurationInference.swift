import AlulaGraph
import ModelBuilding

extension EfficientFormerConfiguration {
    /// Reads a configuration off a checkpoint's names and shapes. What they do not show gets the published value and a note.
    public init(inferringFrom checkpoint: Checkpoint) throws(ModelError) {
        let survey = CheckpointSurvey(checkpoint, try CheckpointNames(detecting: checkpoint))
        depths = []
        downsamples = []
        widths = [try survey.shape(.stemConvolution2 + "weight", rank: 4)[0]]
        channels = try survey.shape(.stemConvolution1 + "weight", rank: 4)[1]
        try readStages(survey)
        usesLayerScale = survey.has { $0.hasSuffix("layer_scale_1") || $0.hasSuffix("ls1.gamma") }
        try readMLPRatio(survey)
        if attentionBlocks > 0 { try readAttention(survey) }
        var assumed = [
            "\(activation.rawValue)", "pooling over \(poolSize) x \(poolSize)",
            "layer norm epsilon of \(survey.names.scheme.rawValue)",
        ]
        if attentionBlocks == 0 { assumed.append("resolution \(resolution)") }
        notes.append(
            "no configuration: read off the tensors as \(architecture); assumed " + assumed.joined(separator: ", "))
        try validate()
    }

    /// Depths, widths and down-samplings, from the first stage on.
    private mutating func readStages(_ survey: CheckpointSurvey) throws(ModelError) {
        var entry = 0
        while depths.count < 16 {
            let stage = depths.count
            let blocks = survey.blocks(ofStage: stage, entry: entry)
            let isLast = survey.isLastStage(stage, entry: entry)
            if isLast {
                (depths, attentionBlocks) = (depths + [blocks.pooling + blocks.attention], blocks.attention)
                return
            }
            guard blocks.pooling > 0 else {
                throw .tensors(
                    missing: [survey.names(.block(stage: stage, entry: entry, block: 0) + .convolution1 + "weight")],
                    misshapen: [])
            }
            depths.append(blocks.pooling)
            let downsample = TensorName.downsample(after: stage, entry: entry + 1)
            let follows = survey.has { $0.hasPrefix(survey.names(downsample + .downsampleConvolution) + ".") }
            downsamples.append(follows)
            if follows {
                let shape = try survey.shape(downsample + .downsampleConvolution + "weight", rank: 4)
                widths.append(shape[0])
                downsampleKernel = shape[2]
                downsamplePadding = shape[2] / 2
            } else {
                widths.append(widths[stage])
            }
            entry += follows ? 2 : 1
        }
        throw .configuration(key: "depths", value: "\(depths)", problem: "1 to 16 stages are supported")
    }

    private mutating func readMLPRatio(_ survey: CheckpointSurvey) throws(ModelError) {
        let isOnlyAttention = stageCount == 1 && lastPoolingBlocks == 0
        let hidden: Int
        if isOnlyAttention {
            let block = TensorName.attentionBlock(stage: 0, entry: 0, poolingBlocks: 0, block: 0)
            hidden = try survey.shape(block + .linearIn + "weight", rank: 2)[0]
        } else {
            let block =
                stageCount == 1
                ? TensorName.lastStageBlock(stage: 0, entry: 0, block: 0)
                : TensorName.block(stage: 0, entry: 0, block: 0)
            hidden = try survey.shape(block + .convolution1 + "weight", rank: 4)[0]
        }
        mlpRatio = Double(hidden) / Double(max(1, widths[0]))
        // The quotient may be rounded to just below what gives the hidden width back.
        if hiddenWidth(widths[0]) < hidden { mlpRatio = mlpRatio.nextUp }
    }

    private mutating func readAttention(_ survey: CheckpointSurvey) throws(ModelError) {
        let last = stageCount - 1
        let block = TensorName.attentionBlock(
            stage: last, entry: entry(ofStage: last), poolingBlocks: lastPoolingBlocks, block: 0)
        let biases = block + .attentionBiases
        let table = try survey.shape(biases, rank: 2)
        heads = table[0]
        resolution = (1...64).first { $0 * $0 >= table[1] } ?? 65
        guard resolution * resolution == table[1], heads > 0 else {
            throw .invalidTensor(
                name: survey.names(biases), problem: "of shape \(Shape(table).description) is no table of heads x side²"
            )
        }
        let projection = try survey.shape(block + .projection + "weight", rank: 2)
        let packed = try survey.shape(block + .queryKeyValue + "weight", rank: 2)
        valueDim = projection[1] / heads
        keyDim = (packed[0] / heads - valueDim) / 2
        guard valueDim > 0, keyDim > 0, valueDim * heads == projection[1], (2 * keyDim + valueDim) * heads == packed[0]
        else {
            throw .invalidTensor(
                name: survey.names(block + .queryKeyValue + "weight"),
                problem:
                    "of shape \(Shape(packed).description) does not fit \(heads) heads and a projection from \(projection[1])"
            )
        }
    }
}

/// What a checkpoint's names and shapes say about its structure.
private struct CheckpointSurvey {
    let checkpoint: Checkpoint
    let names: CheckpointNames
    private let allNames: [String]

    init(_ checkpoint: Checkpoint, _ names: CheckpointNames) {
        (self.checkpoint, self.names) = (checkpoint, names)
        allNames = checkpoint.tensors.map(\.name)
    }

    func has(_ condition: (String) -> Bool) -> Bool { allNames.contains(where: condition) }

    func shape(_ name: TensorName, rank: Int) throws(ModelError) -> [Int] {
        guard let tensor = checkpoint[names(name)] else { throw .tensors(missing: [names(name)], misshapen: []) }
        guard tensor.shape.count == rank, tensor.shape.allSatisfy({ (1...(1 << 24)).contains($0) }) else {
            throw .invalidTensor(
                name: names(name),
                problem: "has the shape \(Shape(tensor.shape).description), not \(rank) axes in 1 to \(1 << 24)")
        }
        return tensor.shape
    }

    /// In Hugging Face's names the last stage stands apart; in the others no further stage or down-sampling follows it.
    func isLastStage(_ stage: Int, entry: Int) -> Bool {
        switch names.scheme {
        case .huggingFace, .huggingFaceBackbone:
            let prefix = parent(.block(stage: stage, entry: entry, block: 0), levels: 3)
            return !has { $0.hasPrefix(prefix) }
        case .timm, .original:
            let next = parent(
                .block(stage: stage + 1, entry: entry + 1, block: 0), levels: names.scheme == .timm ? 2 : 1)
            return !has { $0.hasPrefix(next) }
        }
    }

    /// The name without its last components, and with a final dot.
    private func parent(_ name: TensorName, levels: Int) -> String {
        names(name).split(separator: ".").dropLast(levels).joined(separator: ".") + "."
    }

    /// Counts blocks by their highest number, so that a gap shows up as missing tensors and not as a smaller model.
    func blocks(ofStage stage: Int, entry: Int) -> (pooling: Int, attention: Int) {
        switch names.scheme {
        case .huggingFace, .huggingFaceBackbone:
            if !isLastStage(stage, entry: entry) {
                return (count(parent(.block(stage: stage, entry: entry, block: 0), levels: 1)), 0)
            }
            let pooling = parent(.lastStageBlock(stage: stage, entry: entry, block: 0), levels: 1)
            let attention = parent(
                .attentionBlock(stage: stage, entry: entry, poolingBlocks: 0, block: 0), levels: 1)
            return (count(pooling), count(attention))
        case .timm, .original:
            let prefix = parent(.block(stage: stage, entry: entry, block: 0), levels: 1)
            let all = count(prefix)
            let mixers = allNames.filter { $0.hasPrefix(prefix) && $0.contains(".token_mixer.") }
            guard let first = mixers.compactMap({ number($0, after: prefix) }).min() else { return (all, 0) }
            // The step that flattens takes the number before the first attention block.
            return (max(0, first - 1), all - first)
        }
    }

    private func count(_ prefix: String) -> Int {
        allNames.filter { $0.hasPrefix(prefix) }.compactMap { number($0, after: prefix) }.max().map { $0 + 1 } ?? 0
    }

    /// The number that follows the prefix, within what `validate` accepts.
    private func number(_ name: String, after prefix: String) -> Int? {
        Int(name.dropFirst(prefix.count).prefix { $0 != "." }).flatMap { (0...1001).contains($0) ? $0 : nil }
    }
}
