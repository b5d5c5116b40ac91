import AlulaGraph

// Moves: of f32 numbers and of bytes alike, since neither changes.
extension GraphExporter {
    mutating func move(_ node: Node) throws {
        let (x, result) = (node.inputs[0], node.outputs[0])
        switch node.op {
        case .reshape(let reshape): defineRaw(result, self.reshape(plain(x), reshape.shape.dimensions))
        case .transpose(let transpose): move(node, "Transpose", [plain(x)], ["perm": .ints(transpose.permutation)])
        case .slice(let slice): defineRaw(result, sliced(plain(x), slice))
        case .concat(let concat):
            let asImage = prefersImages(node.inputs)
            let parts = node.inputs.map { asImage ? image($0) : plain($0) }
            let axis = asImage ? channelsFirst.firstIndex(of: concat.axis)! : concat.axis
            defineRaw(result, emit("Concat", parts, ["axis": .int(axis)]), image: asImage)
        case .split(let split):
            let names = node.outputs.map { _ in unique("Split") }
            model.nodes.append(
                ONNXNode(
                    name: names[0], op: "Split", inputs: [plain(x), integers(split.sizes)], outputs: names,
                    attributes: ["axis": .int(split.axis)]))
            for (id, name) in zip(node.outputs, names) { defineRaw(id, name) }
        case .gather(let gather): move(node, "Gather", [plain(x), plain(node.inputs[1])], ["axis": .int(gather.axis)])
        case .roll(let roll):
            let size = graph.shape(x)[roll.axis]
            let shift = (roll.shift % size + size) % size
            guard shift != 0 else { return defineRaw(result, plain(x)) }
            let end = sliced(plain(x), Slice(axis: roll.axis, begin: size - shift, end: size))
            let begin = sliced(plain(x), Slice(axis: roll.axis, begin: 0, end: size - shift))
            move(node, "Concat", [end, begin], ["axis": .int(roll.axis)])
        case .pad(let pad):
            let counts = integers(pad.before + pad.after)
            define(result, emit("Pad", [float(x), counts, number(pad.value)]))
        case .expand(let expand): move(node, "Expand", [plain(x), integers(expand.shape.dimensions)], [:])
        default: preconditionFailure("\(node.op.name) does not move")
        }
    }

    private mutating func move(_ node: Node, _ op: String, _ inputs: [String], _ attributes: [String: ONNXAttribute]) {
        defineRaw(node.outputs[0], emit(op, inputs, attributes))
    }

    private mutating func sliced(_ x: String, _ slice: Slice) -> String {
        emit(
            "Slice",
            [x, integers([slice.begin]), integers([slice.end]), integers([slice.axis]), integers([slice.step])])
    }

    /// The best numbers and where they were; indices become what graphs hold.
    mutating func topK(_ node: Node, _ topK: TopK) {
        let names = [unique("TopK"), unique("TopK")]
        model.nodes.append(
            ONNXNode(
                name: names[0], op: "TopK", inputs: [float(node.inputs[0]), integers([topK.count])], outputs: names,
                attributes: ["axis": .int(topK.axis), "largest": .int(topK.isLargest ? 1 : 0)]))
        defineRaw(node.outputs[0], names[0])
        if node.outputs.count > 1 { defineRaw(node.outputs[1], emit("Cast", [names[1]], ["to": .int(6)])) }
    }
}
