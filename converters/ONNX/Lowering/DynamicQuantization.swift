import AlulaGraph

// Activations with a scale of each run, and sums of integers. Integers are written out as the real numbers that they are: `dequantize` gives
// u8 numbers as f32, minus the zero point, and a layer with integers for weights sums them. The compiler's `fuse-quantized` pass makes int8 layers
// of these, in which the sums are exact.
extension Importer {
    static let dynamicOperators = [
        "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "com.microsoft:DynamicQuantizeMatMul",
        "com.microsoft:MatMulIntegerToFloat",
    ]

    mutating func dynamicQuantization(_ node: NodeContext, _ operation: String) throws -> [ImportedValue] {
        switch operation {
        case "DynamicQuantizeLinear": return try dynamicallyQuantized(node.input(0))
        case "MatMulInteger":
            return [try sums(node, "MatMul", [levels(node, 0, zero: 2), levels(node, 1, zero: 3)])]
        case "ConvInteger":
            return [try sums(node, "Conv", [levels(node, 0, zero: 2), levels(node, 1, zero: 3)])]
        case "com.microsoft:DynamicQuantizeMatMul":
            let numbers = try dynamicallyQuantized(node.input(0))
            var weights = node
            weights.inputs = [numbers[0], node.optional(1), numbers[1], node.optional(2), numbers[2], node.optional(3)]
            if let bias = node.optional(4) { weights.inputs.append(bias) }
            return [try scaledSums(weights)]
        default: return [try scaledSums(node)]
        }
    }

    /// The numbers, their scale and their zero point.
    private mutating func dynamicallyQuantized(_ input: ImportedValue) throws -> [ImportedValue] {
        let x = try view(input)
        guard x.type == .f32 else { throw LoweringProblem.unsupported(needed: "f32 numbers, not \(x.type.name)") }
        let ids = try graph.addAll(.dynamicQuantize(DynamicQuantize()), [x.id])
        return [
            .view(View(ids[0], x.shape, order: x.order, type: .u8)), .view(View(ids[1], [])),
            .view(View(ids[2], [], type: .u8)),
        ]
    }

    /// com.microsoft:MatMulIntegerToFloat: `(a - a_zero)(b - b_zero) · (a_scale · b_scale) + bias`.
    private mutating func scaledSums(_ node: NodeContext) throws -> ImportedValue {
        let product = try floatResult(node, "MatMul", [levels(node, 0, zero: 4), levels(node, 1, zero: 5)])
        let scale = try binary(.mul, node.input(2), node.input(3))
        let result = try binary(.mul, product, scale)
        guard let bias = node.optional(6) else { return result }
        return try binary(.add, result, bias)
    }

    /// The result counts as i32: whatever would take its rounded numbers for real is refused.
    private mutating func sums(_ node: NodeContext, _ op: String, _ inputs: [ImportedValue]) throws -> ImportedValue {
        guard let name = node.node.outputs.first, !model.outputs.contains(where: { $0.name == name }) else {
            throw LoweringProblem.unsupported(needed: "integer sums as a result of the model")
        }
        var result = try view(floatResult(node, op, inputs))
        result.type = .i32
        return .view(result)
    }

    /// `q - zero`, integers as f32.
    private mutating func levels(_ node: NodeContext, _ index: Int, zero: Int) throws -> ImportedValue {
        switch try node.input(index) {
        case .host(let numbers):
            let zeros = try node.host(zero, "the zero point")
            let count = zeros?.count ?? 1
            // Zero points differ by output channel, if at all.
            let axis = node.op == "ConvInteger" ? 0 : numbers.shape.count - 1
            let ones = HostTensor(.f32, [count], reals: [Double](repeating: 1, count: count))
            return .host(try numbers.dequantized(ones, zeros, axis: axis))
        case .view(var numbers):
            if node.op == "ConvInteger" {
                // Bytes are moved rather than what is made of them.
                let order = channelsLast(numbers.rank)
                numbers = View(try stored(numbers, as: order), numbers.shape, order: order, type: numbers.type)
            }
            return .view(try difference(numbers, node, zero: zero))
        default: throw LoweringProblem.invalid("input \(index) is not known")
        }
    }

    /// `q - zero` of numbers that are quantized at run time.
    private mutating func difference(_ numbers: View, _ node: NodeContext, zero: Int) throws -> View {
        guard let own = graph.type(numbers.id).quantization else {
            throw LoweringProblem.unsupported(needed: "\(numbers.type.name) numbers that are computed at run time")
        }
        let raised = numbers.type == .s8 ? 128 : 0
        if case .view(let zero)? = node.optional(zero) {
            guard zero.shape.reduce(1, *) == 1, own == .identity, raised == 0 else {
                throw LoweringProblem.unsupported(needed: "the zero point that the value was quantized with")
            }
            let real = View(try emit(.dequantize(Dequantize()), [numbers.id]), numbers.shape, order: numbers.order)
            let scalar = try reshaped(zero, to: [])
            return View(
                try emit(.binary(Binary(.sub)), [real.id, scalar.id]), numbers.shape, order: numbers.order)
        }
        let zeros = try node.host(zero, "the zero point")
        guard zeros?.count ?? 1 == 1 else {
            throw LoweringProblem.unsupported(needed: "one zero point for the whole tensor")
        }
        let number = (zeros?.integers[0] ?? 0) + raised
        guard (0...255).contains(number) else { throw LoweringProblem.invalid("zero point \(number) is none of u8") }
        // The same bytes, of which each counts 1.
        let type = TensorType(
            .u8, graph.shape(numbers.id), Quantization(scale: 1, zeroPoint: Int32(number)))
        var id = numbers.id
        if type.quantization != own {
            let table = try addConstant(TensorData(elements: [UInt8](0...255)), .u8, [256])
            id = graph.addNode(.requantize(Requantize()), [id, table], types: [type])[0]
        }
        return View(try emit(.dequantize(Dequantize()), [id]), numbers.shape, order: numbers.order)
    }

    /// `(q - zero) · scale` with a scale, or a zero point, that is known at run time only.
    mutating func dynamicallyDequantized(_ node: NodeContext) throws -> ImportedValue {
        try binary(.mul, levels(node, 0, zero: 2), node.input(1))
    }
}
