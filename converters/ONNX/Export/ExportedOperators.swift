import AlulaGraph

// One node of a graph as nodes of ONNX. Operators compute real numbers; `define` rounds them where the result is u8.
extension GraphExporter {
    mutating func export(_ node: Node) throws {
        let result = node.outputs[0]
        switch node.op {
        case .conv2D(let conv): try convolution(node, conv)
        case .linear(let linear): try self.linear(node, linear)
        case .convTranspose2D(let conv): try transposedConvolution(node, conv)
        case .matmul(let product): matrixProduct(node, product)
        case .attention(let attention): self.attention(node, attention)
        case .binary(let binary): self.binary(node, binary)
        case .unary(let unary) where node.input(1).isNone:
            let asImage = prefersImages([node.inputs[0]])
            let x = float(node.inputs[0], image: asImage)
            define(result, apply(unary, x), image: asImage)
        case .unary, .requantize: table(node)
        case .batchNorm(let norm): batchNorm(node, norm)
        case .layerNorm(let norm): layerNorm(node, norm)
        case .softmax(let softmax):
            define(result, emit("Softmax", [float(node.inputs[0])], ["axis": .int(softmax.axis)]))
        case .pool(let pool): try self.pool(node, pool)
        case .poolMixer(let mixer): poolMixer(node, mixer)
        case .reduce(let reduce): self.reduce(node, reduce)
        case .select: select(node)
        case .topK(let topK): self.topK(node, topK)
        case .resample(let resample): self.resample(node, resample)
        case .quantize:
            define(result, float(node.inputs[0], image: isImage(node.inputs[0])), image: isImage(node.inputs[0]))
        case .dequantize:
            let asImage = isImage(node.inputs[0])
            defineRaw(result, float(node.inputs[0], image: asImage), image: asImage)
        case .dynamicQuantize: dynamicQuantize(node)
        case .reshape, .transpose, .slice, .concat, .split, .gather, .roll, .pad, .expand: try move(node)
        case .conv2DWeightGradient, .unaryGradient, .channelSum, .batchStatistics, .batchNormGradient,
            .layerNormGradient, .poolGradient, .attentionGradient:
            throw ONNXError.malformed(problem: "\(node.op.name) belongs to training graphs, which have no ONNX form")
        }
    }

    // MARK: Elementwise

    /// `activation(x)`, or x.
    mutating func activated(_ x: String, _ activation: Activation) -> String {
        activation.map { apply(Unary($0), x) } ?? x
    }

    private mutating func binary(_ node: Node, _ binary: Binary) {
        let asImage = prefersImages(node.inputs) && graph.shape(node.outputs[0]).rank == 4
        let operands = node.inputs.map { float($0, image: asImage) }
        let value = activated(combine(binary.kind, operands), binary.activation)
        define(node.outputs[0], value, image: asImage)
    }

    private mutating func combine(_ kind: Binary.Kind, _ operands: [String]) -> String {
        switch kind {
        case .add: emit("Add", operands)
        case .sub: emit("Sub", operands)
        case .mul: emit("Mul", operands)
        case .div: emit("Div", operands)
        case .max: emit("Max", operands)
        case .min: emit("Min", operands)
        case .pow: emit("Pow", operands)
        case .equal: numbers(emit("Equal", operands))
        case .less: numbers(emit("Less", operands))
        case .lessEqual: numbers(emit("LessOrEqual", operands))
        case .fmod: emit("Mod", operands, ["fmod": .int(1)])
        case .mod:
            emit("Sub", [operands[0], emit("Mul", [operands[1], emit("Floor", [emit("Div", operands)])])])
        case .prelu: emit("PRelu", operands)
        }
    }

    /// 1 and 0 from truth values.
    private mutating func numbers(_ x: String) -> String { emit("Cast", [x], ["to": .int(1)]) }

    private mutating func select(_ node: Node) {
        let condition = emit("Not", [emit("Equal", [float(node.inputs[0]), number(0)])])
        define(node.outputs[0], emit("Where", [condition, float(node.inputs[1]), float(node.inputs[2])]))
    }

    // MARK: Products

    private mutating func matrixProduct(_ node: Node, _ product: MatMul) {
        let a = float(node.inputs[0])
        var b = float(node.inputs[1])
        if product.transposeB { b = swapped(b, rank: graph.shape(node.inputs[1]).rank) }
        define(node.outputs[0], scaled(emit("MatMul", [a, b]), product.scale))
    }

    /// With its last two axes exchanged.
    private mutating func swapped(_ x: String, rank: Int) -> String {
        emit("Transpose", [x], ["perm": .ints(Array(0..<rank - 2) + [rank - 1, rank - 2])])
    }

    private mutating func scaled(_ x: String, _ scale: Float) -> String {
        scale == 1 ? x : emit("Mul", [x, number(scale)])
    }

    mutating func reshape(_ x: String, _ shape: [Int]) -> String { emit("Reshape", [x, integers(shape)]) }

    private mutating func attention(_ node: Node, _ attention: Attention) {
        let shape = graph.shape(node.inputs[0])
        let (heads, keyDim, valueDim) = (attention.heads, attention.keyDim, attention.valueDim)
        let batch = shape.count(0..<shape.rank - 2)
        let tokens = shape[shape.rank - 2]
        let sizes = [keyDim, keyDim, valueDim]
        let split = { (exporter: inout GraphExporter, x: String, tokens: Int, dim: Int) in
            exporter.emit(
                "Transpose", [exporter.reshape(x, [batch, tokens, heads, dim])], ["perm": .ints([0, 2, 1, 3])])
        }
        var parts: [String] = []
        var keyTokens = tokens
        if attention.packing == .separate {
            keyTokens = graph.shape(node.inputs[1])[shape.rank - 2]
            for (place, dim) in sizes.enumerated() {
                let x = float(node.inputs[place])
                parts.append(split(&self, x, place == 0 ? tokens : keyTokens, dim))
            }
        } else {
            var x = float(node.inputs[0])
            let isPerHead = attention.packing == .perHead
            if isPerHead { x = reshape(x, [batch, tokens, heads, 2 * keyDim + valueDim]) }
            let names = (0..<3).map { _ in unique("Split") }
            let counts = integers(isPerHead ? sizes : sizes.map { $0 * heads })
            model.nodes.append(
                ONNXNode(
                    name: names[0], op: "Split", inputs: [x, counts], outputs: names, attributes: ["axis": .int(-1)]))
            for (name, dim) in zip(names, sizes) { parts.append(split(&self, name, tokens, dim)) }
        }
        var attended = scaled(emit("MatMul", [parts[0], swapped(parts[1], rank: 4)]), attention.scale)
        let biasID = node.input(Attention.bias)
        if !biasID.isNone {
            let windows = graph.shape(biasID).rank == 4 ? graph.shape(biasID)[0] : 1
            let scores = [batch, heads, tokens, keyTokens]
            if windows > 1 { attended = reshape(attended, [batch / windows, windows] + scores.dropFirst()) }
            attended = emit("Add", [attended, float(biasID)])
            if windows > 1 { attended = reshape(attended, scores) }
        }
        let mixed = emit("MatMul", [emit("Softmax", [attended], ["axis": .int(-1)]), parts[2]])
        let merged = emit("Transpose", [mixed], ["perm": .ints([0, 2, 1, 3])])
        define(node.outputs[0], reshape(merged, graph.shape(node.outputs[0]).dimensions))
    }

    // MARK: Normalization

    private mutating func batchNorm(_ node: Node, _ norm: BatchNorm) {
        let shape = graph.shape(node.inputs[0])
        let asImage = shape.rank == 4
        // ONNX's channels are the second axis.
        var x = asImage ? float(node.inputs[0], image: true) : float(node.inputs[0])
        let isMatrix = shape.rank == 2
        if !asImage && !isMatrix { x = reshape(x, [shape.elementCount / shape.last, shape.last]) }
        var result = emit(
            "BatchNormalization", [x] + node.inputs.dropFirst().map { plain($0) }, ["epsilon": .float(norm.epsilon)])
        if !asImage && !isMatrix { result = reshape(result, shape.dimensions) }
        define(node.outputs[0], activated(result, norm.activation), image: asImage)
    }

    private mutating func layerNorm(_ node: Node, _ norm: LayerNorm) {
        let parameters = node.inputs.dropFirst().map { id in
            guard let output = graph.type(node.outputs[0]).quantization else { return plain(id) }
            // Of int8 graphs they are in steps of the result.
            let values = plainData(id).array(of: Float.self).map { $0 * output.scale }
            return floats(values, [values.count], graph[id].name)
        }
        let attributes: [String: ONNXAttribute] = ["axis": .int(-1), "epsilon": .float(norm.epsilon)]
        define(node.outputs[0], emit("LayerNormalization", [float(node.inputs[0])] + parameters, attributes))
    }

    // MARK: Averages

    private mutating func pool(_ node: Node, _ pool: Pool) throws {
        let x = node.inputs[0]
        var attributes: [String: ONNXAttribute] = [
            "kernel_shape": .ints([pool.kernel.height, pool.kernel.width]),
            "strides": .ints([pool.stride.height, pool.stride.width]), "pads": pads(pool.padding),
            "ceil_mode": .int(pool.roundsUp ? 1 : 0),
        ]
        if pool.kind == .maximum {
            attributes["dilations"] = .ints([pool.dilation.height, pool.dilation.width])
            defineRaw(node.outputs[0], emit("MaxPool", [image(x)], attributes), image: true)
        } else {
            guard pool.dilation == Pair(1) else {
                throw ONNXError.malformed(problem: "averages with dilation need a later operator set than 17")
            }
            attributes["count_include_pad"] = .int(pool.countsPadding ? 1 : 0)
            define(node.outputs[0], emit("AveragePool", [float(x, image: true)], attributes), image: true)
        }
    }

    func pads(_ padding: Padding) -> ONNXAttribute {
        .ints([padding.top, padding.left, padding.bottom, padding.right])
    }

    /// `x + scale · (average - x)`.
    private mutating func poolMixer(_ node: Node, _ mixer: PoolMixer) {
        let id = node.inputs[0]
        let x = float(id, image: true)
        let average = emit(
            "AveragePool", [x],
            [
                "kernel_shape": .ints([mixer.size, mixer.size]), "strides": .ints([1, 1]),
                "pads": pads(Padding(mixer.size / 2)), "count_include_pad": .int(0),
            ])
        let scaleID = node.input(PoolMixer.scale)
        let factor: String
        if scaleID.isNone {
            // An int8 mixer has the weights of both in steps of the result.
            let ratio = graph.type(node.outputs[0]).quantization!.scale / graph.type(id).quantization!.scale
            let values = plainData(node.inputs[PoolMixer.average]).array(of: Float.self).map { $0 * ratio }
            factor = floats(values, [1, values.count, 1, 1], graph[node.inputs[PoolMixer.average]].name)
        } else {
            factor = float(scaleID, image: true)
        }
        let difference = emit("Mul", [emit("Sub", [average, x]), factor])
        define(node.outputs[0], emit("Add", [x, difference]), image: true)
    }

    private mutating func reduce(_ node: Node, _ reduce: Reduce) {
        let id = node.inputs[0]
        let asImage = isImage(id) && (reduce.keepsAxes || reduce.axes == [1, 2])
        let axes = asImage ? reduce.axes.map { channelsFirst.firstIndex(of: $0)! }.sorted() : reduce.axes
        let keeps = ONNXAttribute.int(reduce.keepsAxes ? 1 : 0)
        let x = float(id, image: asImage)
        let result: String
        // Sums take their axes as an input since operator set 13, the others since 18.
        switch reduce.kind {
        case .mean: result = emit("ReduceMean", [x], ["axes": .ints(axes), "keepdims": keeps])
        case .sum: result = emit("ReduceSum", [x, integers(axes)], ["keepdims": keeps])
        case .product: result = emit("ReduceProd", [x], ["axes": .ints(axes), "keepdims": keeps])
        case .maximum: result = emit("ReduceMax", [x], ["axes": .ints(axes), "keepdims": keeps])
        case .minimum: result = emit("ReduceMin", [x], ["axes": .ints(axes), "keepdims": keeps])
        }
        define(node.outputs[0], result, image: asImage && reduce.keepsAxes)
    }

    /// As the product with a matrix: the axis is brought to the end and back.
    private mutating func resample(_ node: Node, _ resample: Resample) {
        let shape = graph.shape(node.inputs[0])
        let indices = plainData(node.inputs[1]).array(of: Int32.self)
        let weights = plainData(node.inputs[2]).array(of: Float.self)
        let size = graph.shape(node.inputs[1])[0]
        let taps = indices.count / size
        var matrix = [Float](repeating: 0, count: shape[resample.axis] * size)
        for (place, index) in indices.enumerated() { matrix[Int(index) * size + place / taps] += weights[place] }
        var order = Array(shape.dimensions.indices)
        order.swapAt(resample.axis, shape.rank - 1)
        let last = emit("Transpose", [float(node.inputs[0])], ["perm": .ints(order)])
        let product = emit("MatMul", [last, floats(matrix, [shape[resample.axis], size], graph[node.inputs[2]].name)])
        define(node.outputs[0], emit("Transpose", [product], ["perm": .ints(order)]))
    }

    /// A function of one byte: by its operator where that is known, otherwise the table itself.
    private mutating func table(_ node: Node) {
        let (x, result) = (node.inputs[0], node.outputs[0])
        let asImage = isImage(x)
        if case .unary(let unary) = node.op {
            return define(result, apply(unary, float(x, image: asImage)), image: asImage)
        }
        let bytes = plainData(node.inputs[1])
        let (own, output) = (graph.type(x).quantization!, graph.type(result).quantization!)
        let isRounding = (0..<256).allSatisfy { level in
            let value = Float(own.scale) * Float(level - Int(own.zeroPoint)) / output.scale
            let rounded = value.rounded(.toNearestOrEven) + Float(output.zeroPoint)
            return UInt8(min(max(rounded, 0), 255)) == bytes.load(level, as: UInt8.self)
        }
        if isRounding { return define(result, float(x, image: asImage), image: asImage) }
        let values = constant(graph[node.inputs[1]].name, .u8, [256], bytes)
        let index = emit("Cast", [asImage ? image(x) : plain(x)], ["to": .int(6)])
        defineRaw(result, emit("Gather", [values, index], ["axis": .int(0)]), image: asImage)
    }
}
