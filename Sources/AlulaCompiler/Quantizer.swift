import AlulaGraph
import AlulaRuntime

/// Quantizes a float graph: u8 activations with one scale and zero point a tensor, s8 weights with one scale an output channel, i32 biases.
/// The arithmetic is in `docs/format.md`. Operators without an int8 form run in f32 between a dequantize and a quantize.
public struct Quantizer {
    public struct Options: Sendable {
        /// Names of results whose operators stay f32.
        public var keepFloat: Set<String> = []
        /// Whether biases make up for what rounding the weights adds to the mean of each output. Training with the rounding does so itself.
        public var correctsBiases = true
        /// Whether inputs are bytes of pictures, that stand for themselves (`Graph.takingPixels`).
        public var takesPixels = false
        public init() {}
    }

    private let source: Graph
    private let calibration: Calibration
    private let options: Options
    private var result = Graph()
    /// The quantized and the f32 form of each source value, as far as they exist.
    private var quantized: [ValueID?]
    private var floats: [ValueID?]
    private let users: [[Int]]
    private let producers: [Int]

    private init(_ source: Graph, _ calibration: Calibration, _ options: Options) {
        self.source = source
        self.calibration = calibration
        self.options = options
        quantized = Array(repeating: nil, count: source.values.count)
        floats = Array(repeating: nil, count: source.values.count)
        users = source.users()
        producers = source.producers()
    }

    /// - Parameters:
    ///   - graph: a float graph after `Pass.folding`.
    ///   - calibration: observations of the same graph.
    /// - Returns: the int8 graph with plain weight layout (`Pass.run([Pass.pack])` packs it) and the same inputs and outputs; inputs become u8.
    public static func quantize(_ graph: Graph, _ calibration: Calibration, options: Options = Options())
        throws(CompilerError) -> Graph
    {
        guard calibration.samples > 0 else { throw .noSamples }
        var quantizer = Quantizer(graph, calibration, options)
        return try quantizer.run()
    }

    private mutating func run() throws(CompilerError) -> Graph {
        for id in source.inputs {
            let value = source[id]
            guard value.type.dataType == .f32 else {
                floats[Int(id.index)] = result.addInput(value.name, value.type)
                continue
            }
            let own = options.takesPixels ? Quantization.identity : try quantization(id)
            quantized[Int(id.index)] = result.addInput(value.name, TensorType(.u8, value.type.shape, own))
        }
        for index in source.nodes.indices { try convert(index) }
        var outputs: [ValueID] = []
        for id in source.outputs { outputs.append(try float(id)) }
        result.setOutputs(outputs)
        // The outputs keep their names, whichever conversion ended up last.
        for (old, new) in zip(source.outputs, outputs) where result[new].constant == nil && !result.inputs.contains(new)
        {
            for index in result.values.indices
            where result.values[index].constant == nil && result.values[index].name == source[old].name {
                result.values[index].name = ""
            }
            result[new].name = source[old].name
        }
        let finished = result.pruned().withUniqueConstantNames()
        do throws(GraphError) { try finished.verify() } catch { throw .graph(error) }
        return finished
    }

    // MARK: Values

    private func quantization(_ id: ValueID) throws(CompilerError) -> Quantization {
        guard let range = calibration.range(id) else { throw .notCalibrated(value: source.displayName(id)) }
        return Calibration.quantization(low: range.low, high: range.high)
    }

    /// The u8 form of a source value; a quantize operator is added where only the f32 form exists. Constants are quantized over their range.
    private mutating func u8(_ id: ValueID) throws(CompilerError) -> ValueID {
        if let known = quantized[Int(id.index)] { return known }
        if let values = source.floats(id) {
            let own = Calibration.quantization(low: values.min() ?? 0, high: values.max() ?? 0)
            let numbers = values.map { value in
                UInt8(min(255, max(0, (value / own.scale).rounded(.toNearestOrEven) + Float(own.zeroPoint))))
            }
            let type = TensorType(.u8, source.shape(id), own)
            let new = result.addConstant(source[id].name, type, TensorData(elements: numbers))
            quantized[Int(id.index)] = new
            return new
        }
        let x = try float(id)
        let type = TensorType(.u8, source.shape(id), try quantization(id))
        let new = result.addNode(.quantize(Quantize()), [x], types: [type])[0]
        quantized[Int(id.index)] = new
        return new
    }

    /// The f32 form of a source value; constants are copied, u8 values dequantized.
    private mutating func float(_ id: ValueID) throws(CompilerError) -> ValueID {
        if id.isNone { return .none }
        if let known = floats[Int(id.index)] { return known }
        let value = source[id]
        let new: ValueID
        if let constant = value.constant {
            new = result.addConstant(value.name, value.type, layout: constant.layout, constant.data)
        } else if let u8 = quantized[Int(id.index)] {
            new = result.addNode(.dequantize(Dequantize()), [u8], types: [TensorType(.f32, value.type.shape)])[0]
        } else {
            throw .graph(.undefined(name: source.displayName(id), line: 0))
        }
        floats[Int(id.index)] = new
        return new
    }

    private mutating func define(_ id: ValueID, u8 new: ValueID) { quantized[Int(id.index)] = new }

    /// Adds a node whose u8 result stands for source value `id`.
    private mutating func add(_ op: Operator, _ inputs: [ValueID], for id: ValueID, _ quantization: Quantization) {
        let type = TensorType(.u8, source.shape(id), quantization)
        define(id, u8: result.addNode(op, inputs, types: [type], names: [source[id].name])[0])
    }

    // MARK: Operators

    private mutating func convert(_ index: Int) throws(CompilerError) {
        let node = source.nodes[index]
        let id = node.outputs[0]
        if keepsFloat(node) { return try addFloat(node) }
        switch node.op {
        case .conv2D, .linear:
            // An activation that alone reads the result swallows this operator, with its own range.
            if activationUser(of: id) == nil { try addWeighted(node, id) }
        case .unary(let unary):
            if let producer = weightedProducer(of: node.inputs[0]), activationUser(of: node.inputs[0]) == index {
                try addWeighted(source.nodes[producer], id, activation: unary)
            } else {
                let x = try u8(node.inputs[0])
                let quantization = try quantization(id)
                let table = activationTable(unary, from: result.type(x).quantization!, to: quantization)
                add(node.op, [x, addTable(table, id)], for: id, quantization)
            }
        case .attention(let attention): try addAttention(node, attention)
        case .layerNorm: try addLayerNorm(node)
        case .poolMixer: try addPoolMixer(node)
        case .pool(let pool) where pool.kind == .average:
            add(node.op, [try u8(node.inputs[0])], for: id, try quantization(id))
        case .reduce(let reduce) where reduce.isSummation && reduce.hasNeighbouringAxes:
            add(node.op, [try u8(node.inputs[0])], for: id, try quantization(id))
        case .binary(let binary) where staysInt8(binary, node):
            add(node.op, [try u8(node.inputs[0]), try u8(node.inputs[1])], for: id, try quantization(id))
        case .convTranspose2D(let op) where op.spreads(weight: source.shape(node.inputs[WeightedOperand.weight])):
            try addSpread(op, node, id)
        case .concat: try addConcat(node)
        case .reshape, .transpose, .slice, .split, .gather, .roll, .pad, .expand, .pool: try addMovement(node)
        case .resample: try addResample(node)
        case .binary, .select, .matmul, .softmax, .batchNorm, .convTranspose2D, .reduce, .topK, .quantize, .dequantize,
            .requantize, .dynamicQuantize, .conv2DWeightGradient, .unaryGradient, .channelSum, .batchStatistics,
            .batchNormGradient, .layerNormGradient, .poolGradient, .attentionGradient:
            try addFloat(node)
        }
    }

    private func keepsFloat(_ node: Node) -> Bool {
        guard source.type(node.inputs[0]).dataType == .f32,
            !options.keepFloat.contains(source.displayName(node.outputs[0]))
        else { return true }
        if case .binary = node.op { return false }
        return source[node.inputs[0]].constant != nil
    }

    private mutating func addFloat(_ node: Node) throws(CompilerError) {
        var inputs: [ValueID] = []
        for id in node.inputs { inputs.append(try float(id)) }
        let types = node.outputs.map { source.type($0) }
        let ids = result.addNode(node.op, inputs, types: types, names: node.outputs.map { source[$0].name })
        for (old, new) in zip(node.outputs, ids) { floats[Int(old.index)] = new }
    }

    /// Sums, differences and products; but squares are wanted for variances and lengths, which 8 bits are too few for.
    private func staysInt8(_ binary: Binary, _ node: Node) -> Bool {
        let isClamped = binary.activation == nil || binary.activation == .relu || binary.activation == .relu6
        return binary.hasInt8Form && isClamped && node.inputs[0] != node.inputs[1]
            && node.inputs.allSatisfy { source[$0].constant == nil || source.floats($0) != nil }
    }

    /// The result keeps the operand's scale: nothing is rounded.
    private mutating func addMovement(_ node: Node) throws(CompilerError) {
        var inputs = [try u8(node.inputs[0])]
        for id in node.inputs.dropFirst() { inputs.append(try float(id)) }
        let quantization = result.type(inputs[0]).quantization
        let types = node.outputs.map { TensorType(.u8, source.shape($0), quantization) }
        let ids = result.addNode(node.op, inputs, types: types, names: node.outputs.map { source[$0].name })
        for (old, new) in zip(node.outputs, ids) { define(old, u8: new) }
    }

    private mutating func addResample(_ node: Node) throws(CompilerError) {
        let inputs = [try u8(node.inputs[0]), try float(node.inputs[1]), try float(node.inputs[2])]
        add(node.op, inputs, for: node.outputs[0], try quantization(node.outputs[0]))
    }

    /// The parts are brought to the whole's scale by tables where theirs differs.
    private mutating func addConcat(_ node: Node) throws(CompilerError) {
        let quantization = try quantization(node.outputs[0])
        var parts: [ValueID] = []
        for id in node.inputs {
            let part = try u8(id)
            guard let own = result.type(part).quantization, own != quantization else {
                parts.append(part)
                continue
            }
            let table = addTable(activationTable(nil, from: own, to: quantization), id)
            parts.append(
                result.addNode(
                    .requantize(Requantize()), [part, table], types: [TensorType(.u8, source.shape(id), quantization)])[
                        0])
        }
        add(node.op, parts, for: node.outputs[0], quantization)
    }

    private mutating func addAttention(_ node: Node, _ attention: Attention) throws(CompilerError) {
        var inputs: [ValueID] = []
        for (place, id) in node.inputs.enumerated() {
            if id.isNone {
                inputs.append(.none)
            } else {
                inputs.append(place == Attention.bias ? try float(id) : try u8(id))
            }
        }
        add(.attention(attention), inputs, for: node.outputs[0], try quantization(node.outputs[0]))
    }

    private mutating func addLayerNorm(_ node: Node) throws(CompilerError) {
        guard let gamma = source.floats(node.inputs[1]), let beta = source.floats(node.inputs[2]), gamma.count <= 32768
        else {
            return try addFloat(node)
        }
        let quantization = try quantization(node.outputs[0])
        let inOutputUnits = { (value: Float) in Float(Double(value) / Double(quantization.scale)) }
        let inputs = [
            try u8(node.inputs[0]),
            result.addFloats(source[node.inputs[1]].name, [gamma.count], gamma.map(inOutputUnits)),
            result.addFloats(source[node.inputs[2]].name, [beta.count], beta.map(inOutputUnits)),
        ]
        add(node.op, inputs, for: node.outputs[0], quantization)
    }

    private mutating func addPoolMixer(_ node: Node) throws(CompilerError) {
        guard let scale = source.floats(node.input(PoolMixer.scale)) else { return try addFloat(node) }
        let x = try u8(node.inputs[0])
        let quantization = try quantization(node.outputs[0])
        let ratio = Double(result.type(x).quantization!.scale) / Double(quantization.scale)
        let name = source[node.inputs[PoolMixer.scale]].name
        let center = result.addFloats(name + ".center", [scale.count], scale.map { Float((1 - Double($0)) * ratio) })
        let average = result.addFloats(name + ".average", [scale.count], scale.map { Float(Double($0) * ratio) })
        add(node.op, [x, .none, center, average], for: node.outputs[0], quantization)
    }

    // MARK: Weighted operators

    /// The convolution or linear layer that computes `id` and could take an activation.
    private func weightedProducer(of id: ValueID) -> Int? {
        let producer = id.isNone ? -1 : producers[Int(id.index)]
        guard producer >= 0 else { return nil }
        let node = source.nodes[producer]
        guard node.op.isWeighted, node.op.weightedActivation == nil, node.input(WeightedOperand.residual).isNone,
            source.floats(node.inputs[WeightedOperand.weight]) != nil, !keepsFloat(node)
        else { return nil }
        return producer
    }

    /// The unary node that alone reads weighted result `id` and is fused into its producer.
    private func activationUser(of id: ValueID) -> Int? {
        guard weightedProducer(of: id) != nil, users[Int(id.index)].count == 1, !source.outputs.contains(id) else {
            return nil
        }
        let user = users[Int(id.index)][0]
        guard case .unary(let unary) = source.nodes[user].op, unary.function.isActivation,
            !keepsFloat(source.nodes[user])
        else { return nil }
        return user
    }

    /// A convolution or linear layer giving source value `id`, which is its own result or that of the activation behind it.
    private mutating func addWeighted(_ node: Node, _ id: ValueID, activation: Unary? = nil) throws(CompilerError) {
        guard let weights = source.floats(node.inputs[WeightedOperand.weight]) else { return try addFloat(node) }
        let function = activation ?? node.op.weightedActivation.map { Unary($0) }
        let x = try u8(node.inputs[0])
        let input = result.type(x).quantization!
        // Logits and other f32 outputs come straight from the accumulator.
        let isFinal = users[Int(id.index)].isEmpty && source.outputs.contains(id) && function == nil
        let output = isFinal ? Quantization(scale: 1, zeroPoint: 0) : try quantization(id)

        var target = output
        var table: ValueID = .none
        var preActivation: Quantization? = nil
        if let function, function != Unary(.relu), function != Unary(.relu6) {
            target = try preActivationQuantization(node.outputs[0], function)
            preActivation = target
            table = addTable(activationTable(function, from: target, to: output), id)
        }
        let shape = source.shape(node.inputs[WeightedOperand.weight])
        let quantizedWeights = QuantizedWeights(
            WeightRows(values: weights, rows: shape[0]), bias: source.floats(node.input(WeightedOperand.bias)),
            means: options.correctsBiases ? calibration.channelMeans(node.inputs[0]) : nil,
            groups: node.op.weightGroups ?? 1, input: input,
            outputScale: target.scale)
        var inputs = [x] + addConstants(quantizedWeights, node, shape) + [table]
        let residual = node.input(WeightedOperand.residual)
        if !residual.isNone { inputs.append(try u8(residual)) }
        let op = node.op.withActivation(function?.function, preActivation: preActivation)
        if isFinal {
            floats[Int(id.index)] = result.addNode(op, inputs, types: [source.type(id)], names: [source[id].name])[0]
        } else {
            add(op, inputs, for: id, output)
        }
    }

    /// A transposed convolution whose results are one product each: no sum, into which the zero point's part could go beforehand.
    private mutating func addSpread(_ op: ConvTranspose2D, _ node: Node, _ id: ValueID) throws(CompilerError) {
        guard let weights = source.floats(node.inputs[WeightedOperand.weight]), op.activation == nil else {
            return try addFloat(node)
        }
        let x = try u8(node.inputs[0])
        let output = try quantization(id)
        let shape = source.shape(node.inputs[WeightedOperand.weight])
        let input = Quantization(scale: result.type(x).quantization!.scale, zeroPoint: 0)
        let quantizedWeights = QuantizedWeights(
            WeightRows(values: weights, rows: shape[0]), bias: source.floats(node.input(WeightedOperand.bias)),
            means: nil, groups: op.groups, input: input, outputScale: output.scale)
        add(.convTranspose2D(op), [x] + addConstants(quantizedWeights, node, shape), for: id, output)
    }

    /// Weight, bias and multiplier, named after the source's weight.
    private mutating func addConstants(_ weights: QuantizedWeights, _ node: Node, _ shape: Shape) -> [ValueID] {
        let name = source[node.inputs[WeightedOperand.weight]].name
        let base = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
        return [
            result.addConstant(name, TensorType(.s8, shape), TensorData(elements: weights.values)),
            result.addConstant(base + ".bias", TensorType(.i32, [shape[0]]), TensorData(elements: weights.bias)),
            result.addFloats(base + ".multiplier", [shape[0]], weights.multiplier),
        ]
    }

    private mutating func addTable(_ table: [UInt8], _ id: ValueID) -> ValueID {
        result.addConstant(source.displayName(id) + ".table", TensorType(.u8, [256]), TensorData(elements: table))
    }

    /// The range before an activation: where the function is flat it is cut, so that the 256 steps lie where they matter.
    private func preActivationQuantization(_ id: ValueID, _ function: Unary) throws(CompilerError)
        -> Quantization
    {
        guard let range = calibration.range(id, before: function.value) else {
            throw .notCalibrated(value: source.displayName(id))
        }
        return Calibration.quantization(low: range.low, high: range.high)
    }
}
