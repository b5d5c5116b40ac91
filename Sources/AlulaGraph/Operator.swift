/// The closed set of operators. To add one: its attribute struct and shape rule in Operators/, a case here, then follow the compiler to
/// the exhaustive switches in the runtime, the quantizer and the gradients.
public enum Operator: Sendable, Equatable {
    case conv2D(Conv2D)
    case convTranspose2D(ConvTranspose2D)
    case linear(Linear)
    case matmul(MatMul)
    case attention(Attention)
    case binary(Binary)
    case unary(Unary)
    case select(Select)
    case batchNorm(BatchNorm)
    case layerNorm(LayerNorm)
    case softmax(Softmax)
    case pool(Pool)
    case poolMixer(PoolMixer)
    case reduce(Reduce)
    case topK(TopK)
    case reshape(Reshape)
    case transpose(Transpose)
    case slice(Slice)
    case concat(Concat)
    case split(Split)
    case gather(Gather)
    case roll(Roll)
    case pad(Pad)
    case expand(Expand)
    case resample(Resample)
    case quantize(Quantize)
    case dequantize(Dequantize)
    case requantize(Requantize)
    case conv2DWeightGradient(Conv2DWeightGradient)
    case unaryGradient(UnaryGradient)
    case channelSum(ChannelSum)
    case batchStatistics(BatchStatistics)
    case batchNormGradient(BatchNormGradient)
    case layerNormGradient(LayerNormGradient)
    case poolGradient(PoolGradient)
    case attentionGradient(AttentionGradient)
    case dynamicQuantize(DynamicQuantize)

    /// The one place that opens the enum; everything that is uniform over operators goes through it.
    private func rule<V: RuleVisitor>(_ visitor: V) throws(V.Failure) -> V.Result {
        switch self {
        case .conv2D(let op): try visitor.visit(op)
        case .convTranspose2D(let op): try visitor.visit(op)
        case .linear(let op): try visitor.visit(op)
        case .matmul(let op): try visitor.visit(op)
        case .attention(let op): try visitor.visit(op)
        case .binary(let op): try visitor.visit(op)
        case .unary(let op): try visitor.visit(op)
        case .select(let op): try visitor.visit(op)
        case .batchNorm(let op): try visitor.visit(op)
        case .layerNorm(let op): try visitor.visit(op)
        case .softmax(let op): try visitor.visit(op)
        case .pool(let op): try visitor.visit(op)
        case .poolMixer(let op): try visitor.visit(op)
        case .reduce(let op): try visitor.visit(op)
        case .topK(let op): try visitor.visit(op)
        case .reshape(let op): try visitor.visit(op)
        case .transpose(let op): try visitor.visit(op)
        case .slice(let op): try visitor.visit(op)
        case .concat(let op): try visitor.visit(op)
        case .split(let op): try visitor.visit(op)
        case .gather(let op): try visitor.visit(op)
        case .roll(let op): try visitor.visit(op)
        case .pad(let op): try visitor.visit(op)
        case .expand(let op): try visitor.visit(op)
        case .resample(let op): try visitor.visit(op)
        case .quantize(let op): try visitor.visit(op)
        case .dequantize(let op): try visitor.visit(op)
        case .requantize(let op): try visitor.visit(op)
        case .conv2DWeightGradient(let op): try visitor.visit(op)
        case .unaryGradient(let op): try visitor.visit(op)
        case .channelSum(let op): try visitor.visit(op)
        case .batchStatistics(let op): try visitor.visit(op)
        case .batchNormGradient(let op): try visitor.visit(op)
        case .layerNormGradient(let op): try visitor.visit(op)
        case .poolGradient(let op): try visitor.visit(op)
        case .attentionGradient(let op): try visitor.visit(op)
        case .dynamicQuantize(let op): try visitor.visit(op)
        }
    }

    /// The name in graph text.
    public var name: String { rule(NameVisitor()) }
    package var operands: [Operand] { rule(OperandsVisitor()) }
    package var isVariadic: Bool { rule(VariadicVisitor()) }
    package var numericRule: NumericRule { rule(NumericRuleVisitor()) }
    package var attributeText: String { rule(AttributeVisitor()) }

    /// Shapes of the results for these operands.
    package func resultShapes(_ operands: [TensorType?]) throws(GraphError) -> [Shape] {
        let specification = self.operands
        guard isVariadic ? !operands.isEmpty : operands.count <= specification.count else {
            throw .invalidNode(
                operator: name, value: "",
                problem: "takes at most \(specification.count) operands, not \(operands.count)")
        }
        var padded = operands
        for index in specification.indices {
            if index >= padded.count { padded.append(nil) }
            guard padded[index] != nil || specification[index].isOptional else {
                throw .invalidNode(
                    operator: name, value: "", problem: "operand \(specification[index].name) is missing")
            }
        }
        do throws(ShapeProblem) {
            let shapes = try rule(ShapesVisitor(operands: padded))
            guard shapes.allSatisfy({ $0.isValid }) else {
                throw ShapeProblem("a result is empty or larger than \(Shape.maximumElements) elements")
            }
            return shapes
        } catch {
            throw .invalidNode(operator: name, value: "", problem: error.text)
        }
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        rule(MacsVisitor(operands: operands, result: result))
    }

    /// The operator that graph text names, with its attributes.
    package init?(name: String, attributes: inout AttributeReader) throws(ShapeProblem) {
        if let kind = Binary.Kind(rawValue: name) {
            self = .binary(try Binary(kind, &attributes))
            return
        }
        if let function = UnaryFunction(rawValue: name) {
            self = .unary(try Unary(function, &attributes))
            return
        }
        if let kind = Reduce.Kind(rawValue: name) {
            self = .reduce(try Reduce(kind, &attributes))
            return
        }
        switch name {
        case "conv2d": self = .conv2D(try Conv2D(&attributes))
        case "conv_transpose2d": self = .convTranspose2D(try ConvTranspose2D(&attributes))
        case "linear": self = .linear(try Linear(&attributes))
        case "matmul": self = .matmul(try MatMul(&attributes))
        case "attention": self = .attention(try Attention(&attributes))
        case "batch_norm": self = .batchNorm(try BatchNorm(&attributes))
        case "layer_norm": self = .layerNorm(try LayerNorm(&attributes))
        case "softmax": self = .softmax(try Softmax(&attributes))
        case "avg_pool": self = .pool(try Pool(.average, &attributes))
        case "max_pool": self = .pool(try Pool(.maximum, &attributes))
        case "pool_mixer": self = .poolMixer(try PoolMixer(&attributes))
        case "select": self = .select(Select())
        case "top_k": self = .topK(try TopK(&attributes))
        case "reshape": self = .reshape(try Reshape(&attributes))
        case "transpose": self = .transpose(try Transpose(&attributes))
        case "slice": self = .slice(try Slice(&attributes))
        case "concat": self = .concat(try Concat(&attributes))
        case "split": self = .split(try Split(&attributes))
        case "gather": self = .gather(try Gather(&attributes))
        case "roll": self = .roll(try Roll(&attributes))
        case "pad": self = .pad(try Pad(&attributes))
        case "expand": self = .expand(try Expand(&attributes))
        case "resample": self = .resample(try Resample(&attributes))
        case "quantize": self = .quantize(Quantize())
        case "dequantize": self = .dequantize(Dequantize())
        case "requantize": self = .requantize(Requantize())
        case "conv2d_weight_gradient": self = .conv2DWeightGradient(try Conv2DWeightGradient(&attributes))
        case "unary_gradient": self = .unaryGradient(try UnaryGradient(&attributes))
        case "channel_sum": self = .channelSum(ChannelSum())
        case "batch_statistics": self = .batchStatistics(BatchStatistics())
        case "batch_norm_gradient": self = .batchNormGradient(try BatchNormGradient(&attributes))
        case "layer_norm_gradient": self = .layerNormGradient(try LayerNormGradient(&attributes))
        case "avg_pool_gradient": self = .poolGradient(try PoolGradient(.average, &attributes))
        case "max_pool_gradient": self = .poolGradient(try PoolGradient(.maximum, &attributes))
        case "attention_gradient": self = .attentionGradient(try AttentionGradient(&attributes))
        case "dynamic_quantize": self = .dynamicQuantize(DynamicQuantize())
        default: return nil
        }
    }
}

/// A question that every attribute struct answers: the core has no `any`, and a closure cannot be generic.
private protocol RuleVisitor {
    associatedtype Result
    associatedtype Failure: Error
    func visit<O: OperatorRule>(_ op: O) throws(Failure) -> Result
}

private struct NameVisitor: RuleVisitor {
    func visit<O: OperatorRule>(_ op: O) -> String { op.name }
}

private struct OperandsVisitor: RuleVisitor {
    func visit<O: OperatorRule>(_ op: O) -> [Operand] { op.operands }
}

private struct VariadicVisitor: RuleVisitor {
    func visit<O: OperatorRule>(_ op: O) -> Bool { op.isVariadic }
}

private struct NumericRuleVisitor: RuleVisitor {
    func visit<O: OperatorRule>(_ op: O) -> NumericRule { op.numericRule }
}

private struct AttributeVisitor: RuleVisitor {
    func visit<O: OperatorRule>(_ op: O) -> String {
        var writer = AttributeWriter()
        op.write(&writer)
        return writer.text
    }
}

private struct ShapesVisitor: RuleVisitor {
    var operands: [TensorType?]
    func visit<O: OperatorRule>(_ op: O) throws(ShapeProblem) -> [Shape] { try op.resultShapes(operands) }
}

private struct MacsVisitor: RuleVisitor {
    var operands: [TensorType?]
    var result: TensorType
    func visit<O: OperatorRule>(_ op: O) -> Int { op.macs(operands, result) }
}
