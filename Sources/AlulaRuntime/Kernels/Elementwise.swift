import AlulaGraph
import AlulaKernels

/// The kernels' number for an activation.
func kernelFunction(_ function: Activation) -> Int32 {
    guard let function else { return Int32(bitPattern: ALULA_NONE.rawValue) }
    let kernel =
        switch function {
        case .relu: ALULA_RELU
        case .relu6: ALULA_RELU6
        case .sigmoid: ALULA_SIGMOID
        case .tanh: ALULA_TANH
        case .exp: ALULA_EXP
        case .log: ALULA_LOG
        case .sqrt: ALULA_SQRT
        case .rsqrt: ALULA_RSQRT
        case .reciprocal: ALULA_RECIPROCAL
        case .negate: ALULA_NEGATE
        case .abs: ALULA_ABS
        case .erf: ALULA_ERF
        case .sin: ALULA_SIN
        case .cos: ALULA_COS
        case .tan: ALULA_TAN
        case .asin: ALULA_ASIN
        case .acos: ALULA_ACOS
        case .atan: ALULA_ATAN
        case .sinh: ALULA_SINH
        case .cosh: ALULA_COSH
        case .asinh: ALULA_ASINH
        case .acosh: ALULA_ACOSH
        case .atanh: ALULA_ATANH
        case .floor: ALULA_FLOOR
        case .ceil: ALULA_CEIL
        case .sign: ALULA_SIGN
        case .round: ALULA_ROUND
        case .gelu: ALULA_GELU
        case .geluTanh: ALULA_GELU_TANH
        case .silu: ALULA_SILU
        case .hardSwish: ALULA_HARD_SWISH
        case .hardSigmoid: ALULA_HARD_SIGMOID
        case .softplus: ALULA_SOFTPLUS
        case .softsign: ALULA_SOFTSIGN
        case .mish: ALULA_MISH
        case .swish: ALULA_SWISH
        case .leakyRelu: ALULA_LEAKY_RELU
        case .elu: ALULA_ELU
        case .thresholdedRelu: ALULA_THRESHOLDED_RELU
        case .shrink: ALULA_SHRINK
        case .clip: ALULA_CLIP
        }
    return Int32(bitPattern: kernel.rawValue)
}

private func kernelFunction(_ kind: Binary.Kind) -> Int32 {
    let kernel =
        switch kind {
        case .add: ALULA_ADD
        case .sub: ALULA_SUB
        case .mul: ALULA_MUL
        case .div: ALULA_DIV
        case .max: ALULA_MAX
        case .min: ALULA_MIN
        case .pow: ALULA_POW
        case .equal: ALULA_EQUAL
        case .less: ALULA_LESS
        case .lessEqual: ALULA_LESS_EQUAL
        case .mod: ALULA_MOD
        case .fmod: ALULA_FMOD
        case .prelu: ALULA_PRELU
        }
    return Int32(bitPattern: kernel.rawValue)
}

/// Elements of an elementwise step that are too few to divide: about a microsecond's work.
let elementGrain = 1024

extension StepBuilder {
    mutating func bind(_ op: Unary, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        if all(.u8, x, result) {
            guard let table = try optionalOperand(node, 1) else { throw unsupported("int8 needs a table") }
            try appendTable(x, table, result)
        } else {
            guard all(.f32, x, result) else { throw unsupportedTypes(x, result) }
            try appendUnary(op, x, result)
        }
    }

    mutating func bind(_ op: Requantize, _ node: Node) throws(RuntimeError) {
        let (x, table, result) = (try operand(node, 0), try operand(node, 1), try result(node))
        guard all(.u8, x, result) else { throw unsupportedTypes(x, result) }
        try appendTable(x, table, result)
    }

    private mutating func appendTable(_ x: BoundValue, _ table: BoundValue, _ result: BoundValue) throws(RuntimeError) {
        let arguments = alula_table_u8_args(
            input: UnsafePointer(x.pointer()), table: try tablePointer(table), output: result.pointer())
        try append(.tableU8, arguments, items: x.shape.elementCount, grain: elementGrain)
    }

    mutating func appendUnary(_ op: Unary, _ x: BoundValue, _ result: BoundValue) throws(RuntimeError) {
        let value = { (index: Int) in index < op.parameters.count ? op.parameters[index] : 0 }
        let arguments = alula_unary_f32_args(
            input: UnsafePointer(x.pointer()), output: result.pointer(), function: kernelFunction(op.function),
            parameters: (value(0), value(1), value(2), value(3)))
        try append(.unaryF32, arguments, items: x.shape.elementCount, grain: elementGrain)
    }

    /// The kernels' number for the activation of an f32 layer, which has no room for parameters.
    func layerFunction(_ function: Activation) throws(RuntimeError) -> Int32 {
        if let function, !function.parameters.isEmpty {
            throw unsupported("f32 layers take activations without parameters, not \(function.rawValue)")
        }
        return kernelFunction(function)
    }

    // MARK: Binary

    mutating func bind(_ op: Binary, _ node: Node) throws(RuntimeError) {
        let (a, b, result) = (try operand(node, 0), try operand(node, 1), try result(node))
        if all(.u8, a, b, result) {
            try appendInt8(op, a, b, result)
        } else {
            guard all(.f32, a, b, result) else { throw unsupportedTypes(a, b, result) }
            try appendBinary(op, a, b, result)
            if let activation = op.activation { try appendUnary(Unary(activation), result, result) }
        }
    }

    private mutating func appendBinary(_ op: Binary, _ a: BoundValue, _ b: BoundValue, _ result: BoundValue)
        throws(RuntimeError)
    {
        let axes = elementAxes(of: [a, b], result)
        let arguments = alula_binary_f32_args(
            a: UnsafePointer(a.pointer()), b: UnsafePointer(b.pointer()), output: result.pointer(),
            function: kernelFunction(op.kind),
            rank: size(axes.rank), shape: axes.kernelShape, a_strides: axes.kernelStrides(0),
            b_strides: axes.kernelStrides(1))
        try append(.binaryF32, arguments, items: axes.rows)
    }

    mutating func bind(_ op: Select, _ node: Node) throws(RuntimeError) {
        let (condition, a, b) = (try operand(node, 0), try operand(node, 1), try operand(node, 2))
        let result = try result(node)
        guard all(.f32, condition, a, b, result) else { throw unsupportedTypes(condition, a, b, result) }
        let axes = elementAxes(of: [condition, a, b], result)
        let arguments = alula_select_f32_args(
            condition: UnsafePointer(condition.pointer()), a: UnsafePointer(a.pointer()),
            b: UnsafePointer(b.pointer()), output: result.pointer(), rank: size(axes.rank), shape: axes.kernelShape,
            condition_strides: axes.kernelStrides(0), a_strides: axes.kernelStrides(1),
            b_strides: axes.kernelStrides(2))
        try append(.selectF32, arguments, items: axes.rows)
    }

    /// The axes of an elementwise loop over operands that broadcast, its rows long but enough of them to divide.
    private func elementAxes(of operands: [BoundValue], _ result: BoundValue) -> StridedAxes {
        var axes = StridedAxes(
            result.shape.dimensions, operands.map { broadcastStrides($0.shape, to: result.shape) })
        axes.merge(innerLimit: elementGrain)
        axes.split(innerLimit: elementGrain)
        return axes
    }

    private mutating func appendInt8(_ op: Binary, _ a: BoundValue, _ b: BoundValue, _ result: BoundValue)
        throws(RuntimeError)
    {
        let (qa, qb, own) = (try quantization(a), try quantization(b), try quantization(result))
        guard let clamps = op.activation.clamps(own) else {
            throw unsupported("int8 takes relu or relu6, not \(op.activation?.rawValue ?? "")")
        }
        let axes = elementAxes(of: [a, b], result)
        var arguments = alula_binary_u8_args()
        (arguments.a_zero, arguments.b_zero, arguments.zero) = (qa.zeroPoint, qb.zeroPoint, own.zeroPoint)
        (arguments.low, arguments.high) = clamps
        switch op.kind {
        case .add, .sub:
            arguments.a_multiplier = qa.scale / own.scale
            arguments.b_multiplier = (op.kind == .sub ? -qb.scale : qb.scale) / own.scale
        case .mul:
            arguments.a_multiplier = Float(Double(qa.scale) * Double(qb.scale) / Double(own.scale))
            arguments.is_product = 1
        default: throw unsupported("int8 knows add, sub and mul")
        }
        try check(multiplier: arguments.a_multiplier)
        try check(multiplier: arguments.b_multiplier)
        (arguments.a, arguments.b) = (UnsafePointer(a.pointer()), UnsafePointer(b.pointer()))
        arguments.output = result.pointer()
        (arguments.rank, arguments.shape) = (size(axes.rank), axes.kernelShape)
        (arguments.a_strides, arguments.b_strides) = (axes.kernelStrides(0), axes.kernelStrides(1))
        try append(.binaryU8, arguments, items: axes.rows)
    }
}
