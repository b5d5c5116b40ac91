import AlulaGraph

// Quantized models. Values that are quantized at run time are u8 in the graph, with the file's own scales and zero points; signed bytes are
// raised by 128, which changes no real number. What the QLinear operators compute is written out: dequantize, the operator in f32, quantize.
// The compiler's `fuse-quantized` pass makes int8 operators of these.
extension Importer {
    static let quantizationOperators =
        ["QuantizeLinear", "DequantizeLinear"] + quantizedConvolutions + Array(quantizedOperators.keys)
        + dynamicOperators

    private static let quantizedConvolutions = ["QLinearConv", "QLinearMatMul", "com.microsoft:QGemm"]

    /// The float counterpart of each, and how many of its inputs come as (value, scale, zero point).
    private static let quantizedOperators: [String: (op: String, operands: Int)] = [
        "com.microsoft:QLinearAdd": ("Add", 2), "com.microsoft:QLinearMul": ("Mul", 2),
        "com.microsoft:QLinearSigmoid": ("Sigmoid", 1), "com.microsoft:QLinearLeakyRelu": ("LeakyRelu", 1),
        "com.microsoft:QLinearAveragePool": ("AveragePool", 1),
        "com.microsoft:QLinearGlobalAveragePool": ("GlobalAveragePool", 1),
        "com.microsoft:QLinearSoftmax": ("Softmax", 1), "com.microsoft:QLinearReduceMean": ("ReduceMean", 1),
        "com.microsoft:QLinearConcat": ("Concat", 0),
    ]

    mutating func quantization(_ node: NodeContext) throws -> [ImportedValue] {
        let operation = node.node.qualifiedOp
        switch operation {
        case "QuantizeLinear":
            try checkAxis(node)
            return [try quantized(node.input(0), node, scale: 1, zero: 2)]
        case "DequantizeLinear":
            try checkAxis(node)
            if case (.view?, .view?) = (node.optional(0), node.optional(1)) {
                return [try dynamicallyDequantized(node)]
            }
            return [try dequantized(node, 0, scale: 1, zero: 2)]
        case "QLinearConv":
            let weight = try dequantizedConstant(node, 3, scale: 4, zero: 5, axis: 0)
            var inputs: [ImportedValue?] = [try dequantized(node, 0, scale: 1, zero: 2), weight]
            if node.optional(8) != nil { inputs.append(try accumulatorBias(node, 8, input: 1, weight: 4)) }
            return [try quantized(floatResult(node, "Conv", inputs), node, scale: 6, zero: 7)]
        case "QLinearMatMul":
            let rank = try node.shape(3).count
            let b =
                try node.optional(3)?.isHost == true
                ? dequantizedConstant(node, 3, scale: 4, zero: 5, axis: rank - 1)
                : dequantized(node, 3, scale: 4, zero: 5)
            let inputs = [try dequantized(node, 0, scale: 1, zero: 2), b]
            return [try quantized(floatResult(node, "MatMul", inputs), node, scale: 6, zero: 7)]
        case "com.microsoft:QGemm":
            let axis = try node.flag("transB") ? 0 : 1
            let weight = try dequantizedConstant(node, 3, scale: 4, zero: 5, axis: axis)
            var inputs: [ImportedValue?] = [try dequantized(node, 0, scale: 1, zero: 2), weight]
            // The bias is added to the integer sums, before alpha.
            if node.optional(6) != nil {
                guard try node.float("alpha", default: 1) == 1 else {
                    throw LoweringProblem.unsupported(needed: "a bias with an alpha other than 1")
                }
                inputs.append(try accumulatorBias(node, 6, input: 1, weight: 4))
            }
            let result = try floatResult(node, "Gemm", inputs)
            return [node.optional(7) == nil ? result : try quantized(result, node, scale: 7, zero: 8)]
        default:
            return Importer.dynamicOperators.contains(operation)
                ? try dynamicQuantization(node, operation) : [try quantizedOperator(node, operation)]
        }
    }

    private mutating func quantizedOperator(_ node: NodeContext, _ operation: String) throws -> ImportedValue {
        guard let (op, count) = Importer.quantizedOperators[operation] else {
            throw LoweringProblem.unsupported(needed: "operator \(operation)")
        }
        if operation == "com.microsoft:QLinearConcat" {
            var parts: [ImportedValue?] = []
            for index in stride(from: 2, to: node.inputs.count - 2, by: 3) {
                parts.append(try dequantized(node, index, scale: index + 1, zero: index + 2))
            }
            return try quantized(floatResult(node, op, parts), node, scale: 0, zero: 1)
        }
        if try node.flag("channels_last") {
            throw LoweringProblem.unsupported(needed: "channels in the last axis")
        }
        if count == 2, let table = try scalarTable(node, isProduct: op == "Mul") { return table }
        var inputs: [ImportedValue?] = []
        for index in 0..<count {
            inputs.append(try dequantized(node, 3 * index, scale: 3 * index + 1, zero: 3 * index + 2))
        }
        return try quantized(floatResult(node, op, inputs), node, scale: 3 * count, zero: 3 * count + 1)
    }

    /// What the operator of ONNX's own domain gives for these inputs.
    mutating func floatResult(_ node: NodeContext, _ op: String, _ inputs: [ImportedValue?]) throws
        -> ImportedValue
    {
        var float = node
        float.node.op = op
        float.node.domain = ""
        float.opset = model.opsets[""] ?? 13
        float.inputs = inputs
        return try lower(float)[0]
    }

    // MARK: Values

    /// Rounds and saturates: `saturate(round(x / scale) + zero)`, ties to even.
    private mutating func quantized(_ value: ImportedValue, _ node: NodeContext, scale: Int, zero: Int) throws
        -> ImportedValue
    {
        let (quantization, type) = try quantization(node, scale: scale, zero: zero)
        let x = try view(value)
        guard graph.type(x.id).dataType == .f32 else {
            throw LoweringProblem.unsupported(needed: "quantization of \(x.type.name) numbers")
        }
        let result = TensorType(.u8, graph.shape(x.id), quantization)
        let id = graph.addNode(.quantize(Quantize()), [x.id], types: [result])[0]
        return .view(View(id, x.shape, order: x.order, type: type))
    }

    /// The real numbers of a value that is quantized at run time, or whose numbers are known.
    mutating func dequantized(_ node: NodeContext, _ index: Int, scale: Int, zero: Int) throws -> ImportedValue {
        let input = try node.input(index)
        guard case .view(let x) = input else {
            return try dequantizedConstant(node, index, scale: scale, zero: zero, axis: nil)
        }
        let (quantization, _) = try quantization(node, scale: scale, zero: zero)
        guard let own = graph.type(x.id).quantization else {
            throw LoweringProblem.unsupported(needed: "\(x.type.name) numbers that are computed at run time")
        }
        guard own == quantization else {
            throw LoweringProblem.unsupported(
                needed: "the scale and zero point that the value was quantized with")
        }
        return .view(View(try emit(.dequantize(Dequantize()), [x.id]), x.shape, order: x.order))
    }

    /// One scale and zero point for the whole tensor, known while importing.
    func quantization(_ node: NodeContext, scale: Int, zero: Int) throws -> (Quantization, DataType) {
        guard let scales = try node.host(scale, "the scale") else {
            throw LoweringProblem.invalid("the scale is missing")
        }
        let zeros = try node.host(zero, "the zero point")
        guard scales.count == 1, (zeros?.count ?? 1) == 1 else {
            throw LoweringProblem.unsupported(
                needed: "one scale for the whole tensor: activations are not quantized by axis")
        }
        let type = zeros?.type ?? .u8
        guard type == .u8 || type == .s8 else {
            throw LoweringProblem.unsupported(needed: "activations of u8 or s8, not \(type.name)")
        }
        let number = zeros?.integers[0] ?? 0
        let result = Quantization(
            scale: Float(scales.reals[0]), zeroPoint: Int32(clamping: number + (type == .s8 ? 128 : 0)))
        guard result.isValid else { throw LoweringProblem.invalid("its scale is not a positive number") }
        return (result, type)
    }

    /// `scale · (q - zero)` of known numbers, with one scale or one for each place of an axis.
    func dequantizedConstant(_ node: NodeContext, _ index: Int, scale: Int, zero: Int, axis: Int?) throws
        -> ImportedValue
    {
        guard let x = try node.host(index, "input \(index)"), let scales = try node.host(scale, "the scale") else {
            throw LoweringProblem.invalid("an input is missing")
        }
        return .host(try x.dequantized(scales, try node.host(zero, "the zero point"), axis: axis))
    }

    /// i32 biases count in steps of the input's scale times the weight's.
    private func accumulatorBias(_ node: NodeContext, _ index: Int, input: Int, weight: Int) throws -> ImportedValue {
        guard let bias = try node.host(index, "the bias"), let inputScale = try node.host(input, "the scale"),
            let scales = try node.host(weight, "the scale"), scales.count == 1 || scales.count == bias.count
        else { throw LoweringProblem.invalid("its bias and scales do not fit") }
        let step = inputScale.reals[0]
        let numbers = bias.integers.enumerated().map { place, number in
            Double(number) * step * scales.reals[scales.count == 1 ? 0 : place]
        }
        var result = HostTensor(.f32, bias.shape, reals: numbers)
        result.name = bias.name
        return .host(result)
    }

    private func checkAxis(_ node: NodeContext) throws {
        guard try node.int("block_size", default: 0) == 0 else {
            throw LoweringProblem.unsupported(needed: "scales for the whole tensor or one axis, not for blocks")
        }
    }
}

extension ImportedValue {
    fileprivate var isHost: Bool { if case .host = self { true } else { false } }
}

extension HostTensor {
    /// `scale · (q - zero)`; `axis` is the one along which scales differ.
    func dequantized(_ scales: HostTensor, _ zeros: HostTensor?, axis: Int?) throws -> HostTensor {
        let (factors, offsets) = (scales.reals, zeros?.integers ?? [0])
        guard factors.count == 1 || (axis.map { shape.indices.contains($0) && shape[$0] == factors.count } ?? false),
            offsets.count == 1 || offsets.count == factors.count
        else { throw LoweringProblem.invalid("its scales do not fit \(Shape(shape).description)") }
        let inner = axis.map { shape[($0 + 1)...].reduce(1, *) } ?? count
        let numbers = integers.enumerated().map { place, number in
            let channel = factors.count == 1 ? 0 : place / inner % factors.count
            // f32 arithmetic, as the specification's reference does it.
            return Double(Float(factors[channel]) * Float(number - offsets[offsets.count == 1 ? 0 : channel]))
        }
        var result = HostTensor(scales.type, shape, reals: numbers)
        result.name = name
        return result
    }

    /// `saturate(round(x / scale) + zero)`, ties to even.
    func quantized(_ scales: HostTensor, _ zeros: HostTensor?, axis: Int?) throws -> HostTensor {
        let (factors, offsets, type) = (scales.reals, zeros?.integers ?? [0], zeros?.type ?? .u8)
        guard factors.count == 1 || (axis.map { shape.indices.contains($0) && shape[$0] == factors.count } ?? false),
            offsets.count == 1 || offsets.count == factors.count, let range = type.quantizedRange
        else { throw LoweringProblem.invalid("its scales do not fit \(Shape(shape).description)") }
        let inner = axis.map { shape[($0 + 1)...].reduce(1, *) } ?? count
        let numbers = reals.enumerated().map { place, number in
            let channel = factors.count == 1 ? 0 : place / inner % factors.count
            let level = (Float(number) / Float(factors[channel])).rounded(.toNearestOrEven)
            let shifted = Double(level) + Double(offsets[offsets.count == 1 ? 0 : channel])
            return Int(min(max(shifted, Double(range.lowerBound)), Double(range.upperBound)))
        }
        return HostTensor(type, shape, integers: numbers)
    }
}

extension DataType {
    fileprivate var quantizedRange: ClosedRange<Int>? {
        switch self {
        case .u8: 0...255
        case .s8: -128...127
        case .u16: 0...65535
        case .i16: -32768...32767
        default: nil
        }
    }
}
