// Convolutions and linear layers: one output is a sum of products over input channels and taps, plus bias, then activation, then residual.

/// A function that is applied to each element of an operator's result before the residual is added.
public typealias Activation = UnaryFunction?

/// 2-D convolution over NHWC images `x[N,H,W,C]` with `weight[O,kh,kw,C/groups]`, cross-correlation as in every framework. A 1-D convolution
/// has H = kh = 1.
///
/// int8 of numbers from `DynamicQuantize`: `x_zero` is taken from them, and the f32 result is multiplied by `x_scale` as well; no bias.
/// int8: weight is s8, bias i32 (holding `-zero * sum of weights`), multiplier f32[O], and the activation a table from the
/// pre-activation quantization to the result's.
public struct Conv2D: Sendable, Equatable {
    public var stride = Pair(1)
    public var padding = Padding(0)
    /// What the padding holds, a real number for each channel of x, in a convolution of one group; empty for zeros. Pictures whose normalization
    /// is part of the weights have their mean around them.
    public var paddingValues: [Float] = []
    public var dilation = Pair(1)
    public var groups = 1
    public var activation: Activation = nil
    /// What the u8 number before the activation table means; set with `table` only.
    public var preActivation: Quantization? = nil

    public init(
        stride: Pair = Pair(1), padding: Padding = Padding(0), dilation: Pair = Pair(1), groups: Int = 1,
        activation: Activation = nil
    ) {
        (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, groups)
        self.activation = activation
    }
}

/// Operand positions of `Conv2D`, `ConvTranspose2D` and `Linear`.
package enum WeightedOperand {
    package static let x = 0, weight = 1, bias = 2, multiplier = 3, table = 4, residual = 5
    /// What u8 numbers with a scale of each run count in.
    package static let inputScale = 6, inputZero = 7
    static let list: [Operand] = [
        .required("x"), .required("weight"), .optional("bias"), .optional("multiplier"), .optional("table"),
        .optional("residual"), .optional("x_scale"), .optional("x_zero"),
    ]
}

extension Conv2D: OperatorRule {
    package var name: String { "conv2d" }
    package var operands: [Operand] { WeightedOperand.list }
    package var numericRule: NumericRule { .arithmetic(f32Result: true) }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("stride", stride, default: 1)
        padding.write(&attributes)
        attributes.add("pad_values", paddingValues)
        attributes.add("dilation", dilation, default: 1)
        attributes.add("groups", groups, default: 1)
        writeActivation(activation, preActivation, &attributes)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        stride = try attributes.pair("stride", default: 1)
        padding = try Padding(&attributes)
        paddingValues = try attributes.floats("pad_values")
        dilation = try attributes.pair("dilation", default: 1)
        groups = try attributes.integer("groups", default: 1)
        (activation, preActivation) = try readActivation(&attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[WeightedOperand.x]!.shape
        let weight = operands[WeightedOperand.weight]!.shape
        guard x.rank == 4, weight.rank == 4 else {
            throw ShapeProblem(
                "takes x[N,H,W,C] and weight[O,kh,kw,C/groups], not \(x.description) and \(weight.description)")
        }
        guard groups >= 1, x[3] % groups == 0, weight[0] % groups == 0, weight[3] == x[3] / groups else {
            throw ShapeProblem("weight\(weight.description) does not fit \(x[3]) channels in \(groups) groups")
        }
        if !paddingValues.isEmpty {
            guard groups == 1, paddingValues.count == x[3], paddingValues.allSatisfy({ $0.isFinite }) else {
                throw ShapeProblem("pad_values are \(x[3]) numbers, one a channel, and for one group only")
            }
            guard operands[WeightedOperand.inputZero] == nil else { throw ShapeProblem("x_zero excludes pad_values") }
        }
        let height = try outputSize(x[1], weight[1], stride.height, dilation.height, padding.top, padding.bottom)
        let width = try outputSize(x[2], weight[2], stride.width, dilation.width, padding.left, padding.right)
        let result = Shape([x[0], height, width, weight[0]])
        try checkChannelOperands(operands, channels: weight[0], result: result)
        return [result]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        result.shape.elementCount * operands[WeightedOperand.weight]!.shape.count(1..<4)
    }

    /// Every group has one input and one output channel.
    package func isDepthwise(_ x: Shape, _ weight: Shape) -> Bool {
        groups == x[3] && weight[0] == groups && weight[3] == 1
    }
}

/// 2-D transposed convolution, `x[N,H,W,C]` with `weight[C,kh,kw,O/groups]`: the gradient of `Conv2D` with respect to its input.
///
/// int8 only where `spreads` holds: weight s8, bias i32, multiplier f32 by channel.
public struct ConvTranspose2D: Sendable, Equatable {
    public var stride = Pair(1)
    public var padding = Padding(0)
    public var outputPadding = Pair(0)
    public var dilation = Pair(1)
    public var groups = 1
    public var activation: Activation = nil

    public init(
        stride: Pair = Pair(1), padding: Padding = Padding(0), outputPadding: Pair = Pair(0), dilation: Pair = Pair(1),
        groups: Int = 1
    ) {
        (self.stride, self.padding, self.outputPadding, self.dilation) = (stride, padding, outputPadding, dilation)
        self.groups = groups
    }
}

extension ConvTranspose2D: OperatorRule {
    package var name: String { "conv_transpose2d" }
    package var operands: [Operand] { Array(WeightedOperand.list[...WeightedOperand.multiplier]) }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("stride", stride, default: 1)
        padding.write(&attributes)
        attributes.add("output_pad", outputPadding, default: 0)
        attributes.add("dilation", dilation, default: 1)
        attributes.add("groups", groups, default: 1)
        writeActivation(activation, nil, &attributes)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        stride = try attributes.pair("stride", default: 1)
        padding = try Padding(&attributes)
        outputPadding = try attributes.pair("output_pad", default: 0)
        dilation = try attributes.pair("dilation", default: 1)
        groups = try attributes.integer("groups", default: 1)
        (activation, _) = try readActivation(&attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        let weight = operands[1]!.shape
        guard x.rank == 4, weight.rank == 4 else { throw ShapeProblem("takes x[N,H,W,C] and weight[C,kh,kw,O/groups]") }
        guard groups >= 1, weight[0] == x[3], x[3] % groups == 0 else {
            throw ShapeProblem("weight\(weight.description) does not fit \(x[3]) channels in \(groups) groups")
        }
        guard stride.height >= 1, stride.width >= 1, dilation.height >= 1, dilation.width >= 1 else {
            throw ShapeProblem("stride and dilation are at least 1")
        }
        let size = { (input: Int, kernel: Int, stride: Int, dilation: Int, padding: Int, extra: Int) in
            (input - 1) * stride + dilation * (kernel - 1) + 1 - padding + extra
        }
        let height = size(
            x[1], weight[1], stride.height, dilation.height, padding.top + padding.bottom, outputPadding.height)
        let width = size(
            x[2], weight[2], stride.width, dilation.width, padding.left + padding.right, outputPadding.width)
        let result = Shape([x[0], height, width, weight[3] * groups])
        try checkVector(operands[WeightedOperand.bias], count: result[3], name: "bias")
        try checkVector(operands[WeightedOperand.multiplier], count: result[3], name: "multiplier")
        return [result]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        operands[0]!.shape.elementCount * operands[1]!.shape.count(1..<4)
    }

    /// Whether each result is one input times one weight: depthwise, with the kernel as stride and no padding.
    package func spreads(weight: Shape) -> Bool {
        groups == weight[0] && weight[3] == 1 && stride == Pair(weight[1], weight[2]) && dilation == Pair(1)
            && padding.isZero && outputPadding == Pair(0)
    }
}

/// `x[…,K] · weight[N,K]ᵀ + bias[N]`, then activation, then residual.
public struct Linear: Sendable, Equatable {
    public var activation: Activation = nil
    public var preActivation: Quantization? = nil

    public init(activation: Activation = nil) { self.activation = activation }
}

extension Linear: OperatorRule {
    package var name: String { "linear" }
    package var operands: [Operand] { WeightedOperand.list }
    package var numericRule: NumericRule { .arithmetic(f32Result: true) }

    package func write(_ attributes: inout AttributeWriter) { writeActivation(activation, preActivation, &attributes) }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        (activation, preActivation) = try readActivation(&attributes)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[WeightedOperand.x]!.shape
        let weight = operands[WeightedOperand.weight]!.shape
        guard x.rank >= 1, weight.rank == 2, x.last == weight[1] else {
            throw ShapeProblem("weight\(weight.description) does not fit x\(x.description)")
        }
        var result = x
        result[x.rank - 1] = weight[0]
        try checkChannelOperands(operands, channels: weight[0], result: result)
        return [result]
    }

    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int {
        result.shape.elementCount * operands[WeightedOperand.weight]!.shape[1]
    }
}

// MARK: Shared rules

/// Size of a convolution's or pool's output along one axis. The limits keep every product far from overflow.
func outputSize(_ input: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ before: Int, _ after: Int)
    throws(ShapeProblem) -> Int
{
    let limit = 1 << 20
    guard (1...limit).contains(stride), (1...limit).contains(dilation), (1...limit).contains(kernel),
        (0...limit).contains(before), (0...limit).contains(after)
    else { throw ShapeProblem("stride, dilation, kernel or padding out of range") }
    let span = dilation * (kernel - 1) + 1
    guard input + before + after >= span else {
        throw ShapeProblem("kernel of \(span) is larger than the padded input of \(input + before + after)")
    }
    return (input + before + after - span) / stride + 1
}

func checkVector(_ operand: TensorType?, count: Int, name: String) throws(ShapeProblem) {
    guard let operand else { return }
    guard operand.shape == Shape([count]) else {
        throw ShapeProblem("\(name)\(operand.shape.description) should have \(count) elements")
    }
}

private func checkChannelOperands(_ operands: [TensorType?], channels: Int, result: Shape) throws(ShapeProblem) {
    try checkVector(operands[WeightedOperand.bias], count: channels, name: "bias")
    try checkVector(operands[WeightedOperand.multiplier], count: channels, name: "multiplier")
    try checkVector(operands[WeightedOperand.table], count: 256, name: "table")
    if let residual = operands[WeightedOperand.residual], residual.shape != result {
        throw ShapeProblem("residual\(residual.shape.description) differs from the result\(result.description)")
    }
    if operands[WeightedOperand.table] != nil, operands[WeightedOperand.residual] != nil {
        throw ShapeProblem("a table and a residual exclude each other")
    }
    let (scale, zero) = (operands[WeightedOperand.inputScale], operands[WeightedOperand.inputZero])
    guard scale != nil || zero != nil else { return }
    guard zero?.shape.elementCount == 1, scale.map({ $0.shape.elementCount == 1 }) ?? true else {
        throw ShapeProblem("x_zero, and x_scale if given, are one number each")
    }
    for place in [WeightedOperand.bias, WeightedOperand.table, WeightedOperand.residual] where operands[place] != nil {
        throw ShapeProblem("x_zero excludes bias, table and residual")
    }
}

func writeActivation(_ activation: Activation, _ preActivation: Quantization?, _ attributes: inout AttributeWriter) {
    if let activation { attributes.add("act", word: activation.rawValue, default: "") }
    if let preActivation {
        attributes.add("pre_scale", preActivation.scale)
        attributes.add("pre_zero", Int(preActivation.zeroPoint))
    }
}

func readActivation(_ attributes: inout AttributeReader) throws(ShapeProblem) -> (Activation, Quantization?) {
    var activation: Activation = nil
    if let word = attributes.word("act") {
        guard let function = UnaryFunction(rawValue: word) else {
            throw ShapeProblem("act=\(word) is not an activation")
        }
        activation = function
    }
    let scale = try attributes.float("pre_scale", default: 0)
    let zero = try attributes.integer("pre_zero", default: 0)
    guard scale != 0 else { return (activation, nil) }
    let quantization = Quantization(scale: scale, zeroPoint: Int32(clamping: zero))
    guard quantization.isValid else { throw ShapeProblem("pre_scale or pre_zero out of range") }
    return (activation, quantization)
}
