import AlulaGraph
import AlulaRuntime

// Convolutions and linear layers: of f32 graphs plainly, of int8 graphs with s8 weights behind a DequantizeLinear.
extension GraphExporter {
    /// Weight and bias as real numbers, the weight in ONNX's order of axes.
    private struct LayerNames {
        var weight: String
        var bias: String?
    }

    mutating func convolution(_ node: Node, _ conv: Conv2D) throws {
        if !node.input(WeightedOperand.inputZero).isNone { return dynamicConvolution(node, conv) }
        guard conv.paddingValues.isEmpty else {
            throw ONNXError.malformed(
                problem: "padding of another number a channel (quantize --pixels) has no ONNX form")
        }
        let x = float(node.inputs[0], image: true)
        let shape = graph.shape(node.inputs[WeightedOperand.weight])
        let layer = layer(node, groups: conv.groups, order: [0, 3, 1, 2], shape)
        let attributes: [String: ONNXAttribute] = [
            "kernel_shape": .ints([shape[1], shape[2]]), "strides": .ints([conv.stride.height, conv.stride.width]),
            "pads": pads(conv.padding), "dilations": .ints([conv.dilation.height, conv.dilation.width]),
            "group": .int(conv.groups),
        ]
        let result = emit("Conv", [x, layer.weight] + (layer.bias.map { [$0] } ?? []), attributes)
        finish(node, result, conv.activation, conv.preActivation, image: true)
    }

    mutating func linear(_ node: Node, _ linear: Linear) throws {
        if !node.input(WeightedOperand.inputZero).isNone { return dynamicLinear(node) }
        let x = float(node.inputs[0])
        let shape = graph.shape(node.inputs[WeightedOperand.weight])
        let layer = layer(node, groups: 1, order: [1, 0], shape)
        var result: String
        if graph.shape(node.inputs[0]).rank == 2 {
            result = emit("Gemm", [x, layer.weight] + (layer.bias.map { [$0] } ?? []))
        } else {
            result = emit("MatMul", [x, layer.weight])
            if let bias = layer.bias { result = emit("Add", [result, bias]) }
        }
        finish(node, result, linear.activation, linear.preActivation, image: false)
    }

    mutating func transposedConvolution(_ node: Node, _ conv: ConvTranspose2D) throws {
        let x = float(node.inputs[0], image: true)
        let shape = graph.shape(node.inputs[1])
        let order = [0, 3, 1, 2]
        let data = permute(plainData(node.inputs[1]), shape.dimensions, order, elementBytes: 4)
        let weight = constant(graph[node.inputs[1]].name, .f32, order.map { shape[$0] }, data)
        let attributes: [String: ONNXAttribute] = [
            "kernel_shape": .ints([shape[1], shape[2]]), "strides": .ints([conv.stride.height, conv.stride.width]),
            "pads": pads(conv.padding), "dilations": .ints([conv.dilation.height, conv.dilation.width]),
            "output_padding": .ints([conv.outputPadding.height, conv.outputPadding.width]), "group": .int(conv.groups),
        ]
        let bias = node.input(2).isNone ? [] : [plain(node.inputs[2])]
        let result = emit("ConvTranspose", [x, weight] + bias, attributes)
        define(node.outputs[0], activated(result, conv.activation), image: true)
    }

    /// Activation and residual, with the rounding in front of an int8 layer's table.
    private mutating func finish(
        _ node: Node, _ value: String, _ activation: Activation, _ preActivation: Quantization?, image asImage: Bool
    ) {
        var result = value
        let id = node.outputs[0]
        let tableID = node.input(WeightedOperand.table)
        if !tableID.isNone, let preActivation {
            let bytes = quantize(result, preActivation)
            guard let activation else {
                let table = constant(graph[tableID].name, .u8, [256], plainData(tableID))
                let index = emit("Cast", [bytes], ["to": .int(6)])
                return defineRaw(id, emit("Gather", [table, index], ["axis": .int(0)]), image: asImage)
            }
            result = apply(Unary(activation), emit("DequantizeLinear", [bytes] + parameters(preActivation)))
        } else {
            result = activated(result, activation)
        }
        let residual = node.input(WeightedOperand.residual)
        if !residual.isNone { result = emit("Add", [result, float(residual, image: asImage)]) }
        define(id, result, image: asImage)
    }

    // MARK: Weights

    private mutating func layer(_ node: Node, groups: Int, order: [Int], _ shape: Shape) -> LayerNames {
        let weightID = node.inputs[WeightedOperand.weight]
        let type = graph.type(weightID).dataType
        let data = unpacked(weightID, shape, groups: groups)
        let permuted = permute(data, shape.dimensions, order, elementBytes: type.size)
        let weight = constant(graph[weightID].name, type, order.map { shape[$0] }, permuted)
        let biasID = node.input(WeightedOperand.bias)
        guard type == .s8 else { return LayerNames(weight: weight, bias: biasID.isNone ? nil : plain(biasID)) }

        let input = graph.type(node.inputs[0]).quantization!
        let target = node.op.preActivationQuantization ?? graph.type(node.outputs[0]).quantization
        let multipliers = plainData(node.inputs[WeightedOperand.multiplier]).array(of: Float.self)
        let scales = multipliers.map { Float(Double($0) * Double(target?.scale ?? 1) / Double(input.scale)) }
        let scale = floats(scales, [scales.count], graph[weightID].name + ".scale")
        let zeros = constant(
            graph[weightID].name + ".zero", .s8, [scales.count], TensorData(elements: scales.map { _ in Int8(0) }))
        let axis = order.firstIndex(of: 0)!
        let real = emit("DequantizeLinear", [weight, scale, zeros], ["axis": .int(axis)])
        // ONNX's sums are of q - zero, ours of q: their bias holds the difference.
        let levels = data.array(of: Int8.self)
        let length = levels.count / shape[0]
        let biases = plainData(biasID).array(of: Int32.self).enumerated().map { row, bias in
            bias + input.zeroPoint * levels[row * length..<(row + 1) * length].reduce(0) { $0 + Int32($1) }
        }
        let bias = constant(graph[biasID].name, .i32, [biases.count], TensorData(elements: biases))
        let biasScale = floats(scales.map { $0 * input.scale }, [scales.count], graph[biasID].name + ".scale")
        return LayerNames(weight: real, bias: emit("DequantizeLinear", [bias, biasScale], ["axis": .int(0)]))
    }

    /// Weights in row-major order.
    func unpacked(_ id: ValueID, _ shape: Shape, groups: Int) -> TensorData {
        guard let constant = graph[id].constant, let data = constant.data, constant.layout != .plain else {
            return plainData(id)
        }
        let geometry = WeightGeometry(shape, groups: groups)
        let type = graph.type(id).dataType
        return TensorData(count: shape.elementCount * type.size) { target in
            data.withUnsafeBytes { source in
                if type == .f32 {
                    geometry.unpack(
                        source.baseAddress!.assumingMemoryBound(to: Float.self), from: constant.layout,
                        into: target.baseAddress!.assumingMemoryBound(to: Float.self))
                } else {
                    geometry.unpack(
                        source.baseAddress!.assumingMemoryBound(to: Int8.self), from: constant.layout,
                        into: target.baseAddress!.assumingMemoryBound(to: Int8.self))
                }
            }
        }
    }
}

extension Operator {
    /// What the sums of an int8 layer are rounded to in front of its table.
    fileprivate var preActivationQuantization: Quantization? {
        switch self {
        case .conv2D(let conv): conv.preActivation
        case .linear(let linear): linear.preActivation
        default: nil
        }
    }
}
