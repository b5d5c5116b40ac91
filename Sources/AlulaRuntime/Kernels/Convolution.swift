import AlulaGraph
import AlulaKernels

/// What a convolution and a linear layer have in common: a linear layer is a 1x1 convolution over one long row of
/// pixels.
struct WeightedLayer {
    var window: alula_window
    var geometry: WeightGeometry
    var activation: Activation
    var preActivation: Quantization?
    var paddingValues: [Float] = []

    init(_ op: Conv2D, _ x: Shape, _ weight: Shape, _ result: Shape) {
        window = alula_window(
            batch: size(x[0]), in_h: size(x[1]), in_w: size(x[2]), out_h: size(result[1]), out_w: size(result[2]),
            in_c: size(x[3]), out_c: size(result[3]), groups: size(op.groups), kernel_h: size(weight[1]),
            kernel_w: size(weight[2]), stride_h: size(op.stride.height), stride_w: size(op.stride.width),
            pad_top: size(op.padding.top), pad_left: size(op.padding.left), dilation_h: size(op.dilation.height),
            dilation_w: size(op.dilation.width))
        geometry = WeightGeometry(weight, groups: op.groups)
        (activation, preActivation) = (op.activation, op.preActivation)
        paddingValues = op.paddingValues
    }

    init(_ op: ConvTranspose2D, _ x: Shape, _ weight: Shape, _ result: Shape) {
        var conv = Conv2D(
            stride: op.stride, padding: op.padding, dilation: op.dilation, groups: op.groups, activation: op.activation)
        conv.preActivation = nil
        self.init(conv, x, weight, result)
    }

    init(_ op: Linear, _ x: Shape, _ weight: Shape) {
        let rows = size(x.elementCount / x.last)
        window = alula_window(
            batch: 1, in_h: 1, in_w: rows, out_h: 1, out_w: rows, in_c: size(weight[1]), out_c: size(weight[0]),
            groups: 1,
            kernel_h: 1, kernel_w: 1, stride_h: 1, stride_w: 1, pad_top: 0, pad_left: 0, dilation_h: 1, dilation_w: 1)
        geometry = WeightGeometry(weight)
        (activation, preActivation) = (op.activation, op.preActivation)
    }

    /// Items of the general and of the depthwise kernels: output pixels, output rows.
    func items(depthwise: Bool) -> Int {
        Int(window.batch) * Int(window.out_h) * (depthwise ? 1 : Int(window.out_w))
    }
}

/// A size as kernels take it. Shapes are bounded by `Shape.maximumElements`.
func size(_ value: Int) -> Int32 { Int32(clamping: value) }

/// Rows of the int8 and f32 kernels' tiles divide 12, so threads get whole tiles.
let tileGrain = 12

extension StepBuilder {
    mutating func bind(_ op: Conv2D, _ node: Node) throws(RuntimeError) {
        let x = try operand(node, WeightedOperand.x)
        let result = try result(node)
        let layer = WeightedLayer(op, x.shape, graph.shape(node.inputs[WeightedOperand.weight]), result.shape)
        try bind(layer, node, x, result)
    }

    mutating func bind(_ op: Linear, _ node: Node) throws(RuntimeError) {
        let x = try operand(node, WeightedOperand.x)
        let layer = WeightedLayer(op, x.shape, graph.shape(node.inputs[WeightedOperand.weight]))
        try bind(layer, node, x, try result(node))
    }

    private mutating func bind(_ layer: WeightedLayer, _ node: Node, _ x: BoundValue, _ result: BoundValue)
        throws(RuntimeError)
    {
        switch (x.type.dataType, result.type.dataType) {
        case (.f32, .f32): try bindFloat(layer, node, x, result)
        case (.u8, .u8), (.u8, .f32): try bindInt8(layer, node, x, result)
        default: throw unsupportedTypes(x, result)
        }
    }

    // MARK: f32

    private mutating func bindFloat(_ layer: WeightedLayer, _ node: Node, _ x: BoundValue, _ result: BoundValue)
        throws(RuntimeError)
    {
        var (arguments, layout) = try floatArguments(layer, node, x, result)
        if layout == .taps {
            try append(.depthwiseF32, arguments, items: layer.items(depthwise: true))
        } else {
            try append(
                .convF32, arguments, items: layer.items(depthwise: false), grain: tileGrain,
                scratch: alula_conv_f32_scratch(&arguments))
        }
    }

    /// An f32 layer's arguments, and the layout of its weights.
    mutating func floatArguments(
        _ layer: WeightedLayer, _ node: Node, _ x: BoundValue, _ result: BoundValue
    ) throws(RuntimeError) -> (alula_conv_f32_args, Layout) {
        guard node.input(WeightedOperand.multiplier).isNone, node.input(WeightedOperand.table).isNone else {
            throw unsupported("multiplier and table belong to int8 weights")
        }
        let (weight, layout) = try weights(node, layer.geometry, .f32)
        let bias = try channelVector(node, WeightedOperand.bias, .f32, layer.geometry, layout)
        let residual = try optionalOperand(node, WeightedOperand.residual)
        if let residual, residual.type.dataType != .f32 { throw unsupportedTypes(x, residual) }
        var arguments = alula_conv_f32_args()
        arguments.window = layer.window
        arguments.input = UnsafePointer(x.pointer())
        arguments.weight = UnsafePointer(weight.assumingMemoryBound(to: Float.self))
        arguments.bias = bias.map { UnsafePointer($0.assumingMemoryBound(to: Float.self)) }
        arguments.residual = residual.map { UnsafePointer($0.pointer()) }
        try checkPadding(layer, layout)
        arguments.pad_row = try paddingRowF32(layer.paddingValues)
        arguments.output = result.pointer()
        arguments.activation = try layerFunction(layer.activation)
        return (arguments, layout)
    }

    mutating func bind(_ op: ConvTranspose2D, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        if all(.u8, x, result) { return try bindSpread(op, node, x, result) }
        let weight = try operand(node, WeightedOperand.weight)
        guard all(.f32, x, weight, result) else { throw unsupportedTypes(x, weight, result) }
        // The kernel for spreading is scalar, which matters in training only.
        guard op.spreads(weight: weight.shape), graph[weight.id].constant != nil else {
            return try bindPhases(op, node, x, result)
        }
        let geometry = WeightGeometry(groups: op.groups, outputs: weight.shape[3], taps: 1, inputs: 1)
        let bias = try channelVector(node, WeightedOperand.bias, .f32, geometry, .plain)
        var arguments = alula_conv_f32_args()
        arguments.window = WeightedLayer(op, x.shape, weight.shape, result.shape).window
        arguments.input = UnsafePointer(x.pointer())
        arguments.weight = UnsafePointer(weight.pointer())
        arguments.bias = bias.map { UnsafePointer($0.assumingMemoryBound(to: Float.self)) }
        arguments.pad_row = try paddingRowF32()
        arguments.output = result.pointer()
        arguments.activation = try layerFunction(op.activation)
        try append(.convTransposeF32, arguments, items: result.shape.count(0..<3))
    }

    private mutating func bindSpread(_ op: ConvTranspose2D, _ node: Node, _ x: BoundValue, _ result: BoundValue)
        throws(RuntimeError)
    {
        let weight = graph.shape(node.inputs[WeightedOperand.weight])
        guard op.spreads(weight: weight) else {
            throw unsupported("int8 is for depthwise transposed convolutions with the kernel as stride")
        }
        let layer = WeightedLayer(op, x.shape, weight, result.shape)
        let (arguments, layout) = try int8Arguments(layer, node, x, result)
        guard layout == .taps else { throw unsupported("weights of one channel have no kernel") }
        try append(.convTransposeU8S8, arguments, items: layer.items(depthwise: true))
    }

    // MARK: int8

    private mutating func bindInt8(_ layer: WeightedLayer, _ node: Node, _ x: BoundValue, _ result: BoundValue)
        throws(RuntimeError)
    {
        let isDynamic = !node.input(WeightedOperand.inputZero).isNone
        var (arguments, layout) =
            isDynamic ? try dynamicArguments(layer, node, x, result) : try int8Arguments(layer, node, x, result)
        if layout == .taps {
            try append(
                .depthwiseU8S8, arguments, items: layer.items(depthwise: true),
                scratch: alula_depthwise_u8s8_scratch(&arguments))
        } else {
            try append(
                .convU8S8, arguments, items: layer.items(depthwise: false), grain: tileGrain,
                scratch: alula_conv_u8s8_scratch(&arguments))
        }
    }

    /// An int8 layer's arguments, and the layout of its weights.
    mutating func int8Arguments(
        _ layer: WeightedLayer, _ node: Node, _ x: BoundValue, _ result: BoundValue
    ) throws(RuntimeError) -> (alula_conv_u8s8_args, Layout) {
        guard layer.geometry.taps * layer.geometry.inputs <= Int8Limits.depth else {
            throw unsupported("sums more than \(Int8Limits.depth) products, which i32 may not hold")
        }
        let (weight, layout) = try weights(node, layer.geometry, .s8)
        guard let bias = try channelVector(node, WeightedOperand.bias, .i32, layer.geometry, layout),
            let multiplier = try channelVector(node, WeightedOperand.multiplier, .f32, layer.geometry, layout)
        else { throw unsupported("int8 weights need bias and multiplier") }
        try checkInt8Vectors(node, layer.geometry)
        try checkPadding(layer, layout)
        var arguments = alula_conv_u8s8_args()
        arguments.window = layer.window
        arguments.input = UnsafePointer(x.pointer())
        arguments.weight = UnsafePointer(weight.assumingMemoryBound(to: Int8.self))
        arguments.bias = UnsafePointer(bias.assumingMemoryBound(to: Int32.self))
        arguments.multiplier = UnsafePointer(multiplier.assumingMemoryBound(to: Float.self))
        arguments.pad_row = try paddingRow(layer.paddingValues, try quantization(x))
        arguments.bounded = try hasSmallMultipliers(node) ? 1 : 0
        try setResult(&arguments, layer, node, result)
        return (arguments, layout)
    }

    /// Depthwise kernels know zeros only.
    private func checkPadding(_ layer: WeightedLayer, _ layout: Layout) throws(RuntimeError) {
        guard layer.paddingValues.isEmpty || layout != .taps else { throw unsupported("pad_values with one channel") }
    }

    /// Table, residual, clamps and output of an int8 layer.
    private mutating func setResult(
        _ arguments: inout alula_conv_u8s8_args, _ layer: WeightedLayer, _ node: Node, _ result: BoundValue
    ) throws(RuntimeError) {
        let table = try optionalOperand(node, WeightedOperand.table)
        let residual = try optionalOperand(node, WeightedOperand.residual)
        guard table == nil || residual == nil else { throw unsupported("a table and a residual exclude each other") }
        guard layer.activation == nil || residual == nil else {
            throw unsupported("int8 layers take an activation or a residual, not both")
        }
        var unit: Float = 1  // what one unit of the requantized sum stands for
        if result.type.dataType == .f32 {
            guard table == nil, layer.activation == nil else {
                throw unsupported("an f32 result takes neither table nor activation")
            }
            arguments.output_f32 = result.pointer()
        } else {
            let own = try quantization(result)
            unit = own.scale
            arguments.output = result.pointer()
            (arguments.zero, arguments.low, arguments.high) = (own.zeroPoint, 0, 255)
            if let table {
                guard let before = layer.preActivation, before.isValid else {
                    throw unsupported("a table needs pre_scale and pre_zero")
                }
                arguments.table = try tablePointer(table)
                arguments.zero = before.zeroPoint
            } else {
                guard let clamps = layer.activation.clamps(own) else {
                    throw unsupported("int8 \(layer.activation?.rawValue ?? "") needs a table")
                }
                (arguments.low, arguments.high) = clamps
            }
        }
        if let residual {
            guard residual.type.dataType == .u8 else { throw unsupportedTypes(residual, result) }
            let other = try quantization(residual)
            arguments.residual = UnsafePointer(residual.pointer())
            arguments.residual_zero = other.zeroPoint
            arguments.residual_multiplier = other.scale / unit
            try check(multiplier: arguments.residual_multiplier)
        }
    }

    /// Limits of the numbers that keep the arithmetic exact and defined.
    func checkInt8Vectors(_ node: Node, _ geometry: WeightGeometry) throws(RuntimeError) {
        try checkBias(node, geometry)
        try checkMultiplier(node)
    }

    private func checkBias(_ node: Node, _ geometry: WeightGeometry) throws(RuntimeError) {
        let largestBias = Int8Limits.bias(depth: geometry.taps * geometry.inputs)
        let biasID = node.input(WeightedOperand.bias)
        let count = graph.type(biasID).shape.elementCount
        let biases = try constantData(biasID, layout: .plain, byteCount: count * MemoryLayout<Int32>.size)
        let wrongBias = biases.firstElement(of: Int32.self, in: count) { Int($0.magnitude) > largestBias }
        if let wrongBias {
            throw .invalidConstant(
                name: label(biasID, in: graph), problem: "element \(wrongBias) is larger than \(largestBias)")
        }
    }

    func checkMultiplier(_ node: Node) throws(RuntimeError) {
        guard let wrong = try firstMultiplier(node, where: { !Int8Limits.allows(multiplier: $0) }) else { return }
        throw .invalidConstant(
            name: label(node.input(WeightedOperand.multiplier), in: graph),
            problem: "element \(wrong) is not below 65536")
    }

    /// Whether sums in i32 times these multipliers, with any residual added, stay below 2^31.
    private func hasSmallMultipliers(_ node: Node) throws(RuntimeError) -> Bool {
        try firstMultiplier(node) { $0.magnitude > 0.5 } == nil
    }

    private func firstMultiplier(_ node: Node, where predicate: (Float) -> Bool) throws(RuntimeError) -> Int? {
        let id = node.input(WeightedOperand.multiplier)
        let count = graph.type(id).shape.elementCount
        let multipliers = try constantData(id, layout: .plain, byteCount: count * MemoryLayout<Float>.size)
        return multipliers.firstElement(of: Float.self, in: count, where: predicate)
    }

    func check(multiplier: Float) throws(RuntimeError) {
        guard Int8Limits.allows(multiplier: multiplier) else { throw unsupported("scales differ by more than 65536") }
    }

    /// A table of 256 entries.
    func tablePointer(_ table: BoundValue) throws(RuntimeError) -> UnsafePointer<UInt8> {
        guard table.type.dataType == .u8, table.shape.elementCount == 256 else {
            throw unsupported("a table holds 256 u8 numbers")
        }
        return UnsafePointer(table.pointer())
    }

    // MARK: Weights

    /// A layer's weights in the order that kernels read: in place if they are stored so, else repacked.
    mutating func weights(
        _ node: Node, _ geometry: WeightGeometry, _ type: DataType
    ) throws(RuntimeError) -> (UnsafeMutableRawPointer, Layout) {
        let id = node.inputs[WeightedOperand.weight]
        let name = label(id, in: graph)
        guard let constant = graph[id].constant else { return try packInRun(node, geometry, type) }
        guard graph.type(id).dataType == type else {
            throw .invalidConstant(
                name: name, problem: "is \(graph.type(id).dataType.name) where \(type.name) is needed")
        }
        guard let byteCount = geometry.byteCount(constant.layout, type) else {
            throw .invalidConstant(name: name, problem: "layout \(constant.layout.name) does not fit the layer")
        }
        if constant.layout != .plain {
            return (try bindConstant(id, layout: constant.layout, byteCount: byteCount).address, constant.layout)
        }
        let data = try constantData(id, layout: .plain, byteCount: byteCount).aligned(to: type.size)
        let layout = geometry.packedLayout(type)
        let target = try allocate(geometry.byteCount(layout, type)!)
        data.withUnsafeBytes { source in
            if type == .f32 {
                geometry.pack(
                    source.bindMemory(to: Float.self).baseAddress!, as: layout,
                    into: target.assumingMemoryBound(to: Float.self))
            } else {
                geometry.pack(
                    source.bindMemory(to: Int8.self).baseAddress!, as: layout,
                    into: target.assumingMemoryBound(to: Int8.self))
            }
        }
        return (target, layout)
    }

    /// A vector over output channels. Kernels read a multiple of 16 entries for each group. What follows the last entry
    /// in a file is padding whose value does not matter, since the results of those channels are never stored; between
    /// groups it must be inserted.
    mutating func channelVector(
        _ node: Node, _ index: Int, _ type: DataType, _ geometry: WeightGeometry, _ layout: Layout
    ) throws(RuntimeError) -> UnsafeMutableRawPointer? {
        let id = node.input(index)
        guard !id.isNone else { return nil }
        guard graph.type(id).dataType == type else {
            throw .invalidConstant(
                name: label(id, in: graph), problem: "is \(graph.type(id).dataType.name) where \(type.name) is needed")
        }
        let byteCount = geometry.groups * geometry.outputs * type.size
        let isDense = layout == .taps || geometry.groups == 1 || geometry.outputs % 16 == 0
        if graph[id].constant == nil { return try channelVectorInRun(id, geometry, isDense: isDense) }
        if isDense {
            return try bindConstant(id, layout: .plain, byteCount: byteCount).address
        }
        let data = try constantData(id, layout: .plain, byteCount: byteCount)
        let (own, padded) = (geometry.outputs * type.size, roundUp(geometry.outputs, 16) * type.size)
        let target = try allocate(geometry.groups * padded)
        for group in 0..<geometry.groups {
            (target + group * padded).copyMemory(from: data.baseAddress + group * own, byteCount: own)
        }
        return target
    }
}

extension TensorData {
    /// The index of the first of `count` elements that satisfies `predicate`. The data need not be aligned.
    fileprivate func firstElement<T: BitwiseCopyable>(of type: T.Type, in count: Int, where predicate: (T) -> Bool)
        -> Int?
    {
        withUnsafeBytes { bytes in
            (0..<count).first {
                predicate(bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.stride, as: T.self))
            }
        }
    }
}

/// Bounds that keep int8 sums within i32 and requantization within f32.
enum Int8Limits {
    /// The most products in a sum: half of the range of i32 is left for the bias.
    static let depth = 32768
    /// What remains of the range of i32 beside `depth` products of at most 255 · 128.
    static func bias(depth: Int) -> Int { Int(Int32.max) - 255 * 128 * depth }

    static func allows(multiplier: Float) -> Bool { multiplier.isFinite && multiplier.magnitude < 65536 }
}
