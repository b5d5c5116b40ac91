extension Graph {
    /// The graph as text: what `alula inspect` prints and the model file stores. `Graph(text:)` reads it back. `docs/format.md` has the grammar.
    public var text: String {
        var names = [String](repeating: "", count: values.count)
        var count = 0
        for id in inputs + nodes.flatMap({ $0.outputs }) where self[id].constant == nil {
            let name = self[id].name
            if name.isEmpty {
                names[Int(id.index)] = "%" + String(count)
                count += 1
            } else {
                names[Int(id.index)] = "%" + quotedIfNeeded(name)
            }
        }
        var result = "alula 1\n"
        for id in constants {
            let value = self[id]
            names[Int(id.index)] = "@" + quotedIfNeeded(value.name)
            result += "const " + names[Int(id.index)] + " : " + value.type.text
            if let layout = value.constant?.layout, layout != .plain { result += " layout=" + layout.name }
            result += "\n"
        }
        for id in inputs { result += "input " + names[Int(id.index)] + " : " + type(id).text + "\n" }
        for node in nodes {
            result += node.outputs.map { names[Int($0.index)] }.joined(separator: ", ")
            result += " = " + node.op.name + "(" + operandText(node, names) + ")" + node.op.attributeText
            result += " : " + node.outputs.map { type($0).text }.joined(separator: ", ") + "\n"
        }
        for id in outputs { result += "output " + names[Int(id.index)] + " : " + type(id).text + "\n" }
        return result
    }

    /// Required operands by position, optional ones by name.
    private func operandText(_ node: Node, _ names: [String]) -> String {
        let operands = node.op.operands
        var parts: [String] = []
        for (index, id) in node.inputs.enumerated() where !id.isNone {
            let name = names[Int(id.index)]
            parts.append(
                index < operands.count && operands[index].isOptional ? operands[index].name + "=" + name : name)
        }
        return parts.joined(separator: ", ")
    }
}

extension TensorType {
    /// As in graph text: `u8[1,112,112,24] scale=0.0117 zero=9`.
    public var text: String {
        var result = dataType.name + shape.description
        if let quantization {
            result += " scale=" + decimal(quantization.scale) + " zero=" + String(quantization.zeroPoint)
        }
        return result
    }
}

/// Bytes that a name may hold without quotes.
func isPlainNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
    case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: ":"): true
    default: false
    }
}

/// Names made of digits only are quoted too, since the printer numbers nameless values.
private func quotedIfNeeded(_ name: String) -> String {
    let bytes = name.utf8
    let isNumber = bytes.allSatisfy { (0x30...0x39).contains($0) }
    if !isNumber && bytes.allSatisfy(isPlainNameByte) { return name }
    var result = "\""
    for scalar in name.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
