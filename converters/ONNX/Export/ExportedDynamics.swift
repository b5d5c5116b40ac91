import AlulaGraph

// Layers of numbers that are quantized with a scale of each run: ONNX has sums of integers, and products with the scales behind them.
extension GraphExporter {
    mutating func dynamicQuantize(_ node: Node) {
        let x = node.inputs[0]
        let asImage = isImage(x)
        let names = ["numbers", "scale", "zero"].map { unique($0) }
        model.nodes.append(
            ONNXNode(
                name: names[0], op: "DynamicQuantizeLinear", inputs: [float(x, image: asImage)], outputs: names,
                attributes: [:]))
        defineRaw(node.outputs[0], names[0], image: asImage)
        defineRaw(node.outputs[1], names[1])
        defineRaw(node.outputs[2], emit("Cast", [names[2]], ["to": .int(1)]))
    }

    mutating func dynamicLinear(_ node: Node) {
        let weightID = node.inputs[WeightedOperand.weight]
        let shape = graph.shape(weightID)
        let data = permute(unpacked(weightID, shape, groups: 1), shape.dimensions, [1, 0], elementBytes: 1)
        let weight = constant(graph[weightID].name, .s8, [shape[1], shape[0]], data)
        let sums = emit("MatMulInteger", [plain(node.inputs[0]), weight, zero(node)])
        defineRaw(node.outputs[0], scaled(sums, node, [shape[0]]))
    }

    mutating func dynamicConvolution(_ node: Node, _ conv: Conv2D) {
        let weightID = node.inputs[WeightedOperand.weight]
        let shape = graph.shape(weightID)
        let data = permute(
            unpacked(weightID, shape, groups: conv.groups), shape.dimensions, [0, 3, 1, 2], elementBytes: 1)
        let weight = constant(graph[weightID].name, .s8, [0, 3, 1, 2].map { shape[$0] }, data)
        let attributes: [String: ONNXAttribute] = [
            "kernel_shape": .ints([shape[1], shape[2]]), "strides": .ints([conv.stride.height, conv.stride.width]),
            "pads": pads(conv.padding), "dilations": .ints([conv.dilation.height, conv.dilation.width]),
            "group": .int(conv.groups),
        ]
        let sums = emit("ConvInteger", [image(node.inputs[0]), weight, zero(node)], attributes)
        defineRaw(node.outputs[0], scaled(sums, node, [shape[0], 1, 1]), image: true)
    }

    private mutating func zero(_ node: Node) -> String {
        emit("Cast", [plain(node.inputs[WeightedOperand.inputZero])], ["to": .int(2)])
    }

    /// `sums · (scale · multiplier)`, rounded in this order.
    private mutating func scaled(_ sums: String, _ node: Node, _ shape: [Int]) -> String {
        let multiplierID = node.inputs[WeightedOperand.multiplier]
        let values = plainData(multiplierID).array(of: Float.self)
        var factor = floats(values, shape, graph[multiplierID].name)
        let scale = node.input(WeightedOperand.inputScale)
        if !scale.isNone { factor = emit("Mul", [plain(scale), factor]) }
        return emit("Mul", [emit("Cast", [sums], ["to": .int(1)]), factor])
    }
}
