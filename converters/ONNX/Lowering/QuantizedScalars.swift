import AlulaGraph

// ONNX Runtime's QLinearAdd and QLinearMul with one known number: a table. Quantizers give such operators scales of which halves of steps come out
// (1 + erf(x), where 1 is 255 steps of 1/255 and the result has steps of 2/255), so the place where ONNX Runtime rounds decides about every other
// number: once, with the zero point added before.
extension Importer {
    /// nil where no operand, or both, are known numbers.
    mutating func scalarTable(_ node: NodeContext, isProduct: Bool) throws -> ImportedValue? {
        let known = try (0..<2).map { index -> HostTensor? in
            if case .host(let tensor) = try node.input(3 * index), tensor.count == 1 { tensor } else { nil }
        }
        guard let place = known.firstIndex(where: { $0 != nil }), let scalar = known[place], known[1 - place] == nil,
            case .view(let x) = try node.input(3 - 3 * place), scalar.shape.count <= x.rank,
            let own = graph.type(x.id).quantization
        else { return nil }
        let (xMeaning, xType) = try quantization(node, scale: 4 - 3 * place, zero: 5 - 3 * place)
        let (scalarMeaning, scalarType) = try quantization(node, scale: 3 * place + 1, zero: 3 * place + 2)
        let (meaning, type) = try quantization(node, scale: 6, zero: 7)
        guard own == xMeaning else { return nil }
        // The file's own numbers: signed ones are raised by 128 in the graph.
        let raised = { (type: DataType) -> Float in type == .s8 ? 128 : 0 }
        let xZero = Float(xMeaning.zeroPoint) - raised(xType)
        let scalarZero = Float(scalarMeaning.zeroPoint) - raised(scalarType)
        let zero = Float(meaning.zeroPoint) - raised(type)
        let value = Float(scalar.integers[0])
        let ratio = xMeaning.scale / meaning.scale
        let scalarRatio = scalarMeaning.scale / meaning.scale
        let fixed = zero - (ratio * xZero + scalarRatio * scalarZero) + scalarRatio * value
        let productRatio = xMeaning.scale * scalarMeaning.scale / meaning.scale
        let table = (0..<256).map { byte -> UInt8 in
            let number = Float(byte) - raised(xType)
            let exact =
                isProduct ? (number - xZero) * (value - scalarZero) * productRatio + zero : number * ratio + fixed
            let level = exact.rounded(.toNearestOrEven) + raised(type)
            return UInt8(min(max(level, 0), 255))
        }
        let operand = try addConstant(TensorData(elements: table), .u8, [256], name: currentName + ".table")
        let result = TensorType(.u8, graph.shape(x.id), meaning)
        let id = graph.addNode(.requantize(Requantize()), [x.id, operand], types: [result])[0]
        return .view(View(id, x.shape, order: x.order, type: type))
    }
}
