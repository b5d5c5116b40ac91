import AlulaGraph

/// The operators that can be lowered, by family; each family has its file. docs/onnx.md lists them.
enum LoweringFamily: String, Sendable, CaseIterable {
    case elementwise, comparison, convolution, pooling, matrix, normalization, softmax, reduction, shape, movement,
        indexing
    case padding, resizing, attention, quantization
    /// On numbers that are known while importing only.
    case constant = "constants only"

    /// ONNX's own operators; those of other domains carry it in front.
    var operators: [String] {
        switch self {
        case .elementwise: Importer.elementwiseOperators
        case .comparison: Importer.comparisonOperators
        case .convolution: ["Conv", "ConvTranspose", "Col2Im", "com.microsoft:FusedConv"]
        case .pooling: ["AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"]
        case .matrix: ["MatMul", "Gemm", "Einsum", "com.microsoft:FusedMatMul"]
        case .normalization: Importer.normalizationOperators
        case .softmax: ["Softmax", "LogSoftmax"]
        case .reduction: Importer.reductionOperators
        case .shape: ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Shape", "Size"]
        case .movement: ["Concat", "Split", "Slice", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"]
        case .indexing: Importer.indexingOperators
        case .padding: ["Pad", "CenterCropPad"]
        case .resizing: ["Resize", "Upsample"]
        case .attention: Importer.attentionOperators
        case .quantization: Importer.quantizationOperators
        case .constant: Evaluator.constantOperators
        }
    }

    static let byOperator: [String: LoweringFamily] = {
        var result: [String: LoweringFamily] = [:]
        for family in allCases { for name in family.operators where result[name] == nil { result[name] = family } }
        return result
    }()
}

extension Importer {
    static func supports(_ node: ONNXNode) -> Bool { LoweringFamily.byOperator[node.qualifiedOp] != nil }

    /// Moves and compares elements, so that integers up to 2^24 keep their values in f32.
    private static let exactOperators: Set<String> = [
        "Pad", "TopK", "ArgMax", "ArgMin", "MaxPool", "GatherElements", "GatherND", "Scatter", "ScatterElements",
        "ScatterND",
        "ReduceMax", "ReduceMin", "Compress", "Tile", "DepthToSpace", "SpaceToDepth",
    ]

    /// The operators that take integers which are computed at run time: the graph carries them as f32.
    private static let integerOperators: Set<String> = [
        "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Slice", "Split",
        "Expand",
        "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Where", "Shape", "Size", "Gather",
    ]

    /// The operators that move bytes with one meaning, whatever it is.
    private static let quantizedMoves: Set<String> = [
        "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Expand", "MaxPool",
    ]

    /// Whether the inputs are quantized numbers of one scale and zero point, so that they can stand side by side.
    private func haveOneMeaning(_ inputs: [ImportedValue?]) -> Bool {
        let meanings = inputs.map { value -> Quantization? in
            if case .view(let view)? = value { graph.type(view.id).quantization } else { nil }
        }
        return meanings.allSatisfy { $0 != nil && $0 == meanings[0] }
    }

    /// The results of one supported node, at least one of whose inputs is computed at run time or too large to evaluate.
    mutating func lower(_ node: NodeContext) throws -> [ImportedValue] {
        if case .quantization = LoweringFamily.byOperator[node.node.qualifiedOp] { return try quantization(node) }
        for case .view(let view)? in node.inputs
        where graph.type(view.id).dataType == .u8 && !Importer.quantizedMoves.contains(node.op)
            && !(node.op == "Concat" && haveOneMeaning(node.inputs))
        {
            throw LoweringProblem.unsupported(needed: "this operator on quantized numbers")
        }
        for case .view(let view)? in node.inputs
        where view.type.isInteger && !isConstant(view) && graph.type(view.id).dataType != .u8
            && !Importer.integerOperators.contains(node.op)
        {
            throw LoweringProblem.unsupported(needed: "\(view.type.name) numbers that are computed at run time")
        }
        // The graph would compute in f32 what ONNX computes in integers.
        let data =
            Importer.elementwiseOperators.contains(node.op) && node.op != "Pow"
            ? node.inputs[...] : node.inputs.prefix(1)
        for case .host(let tensor)? in data where tensor.type.isInteger && !Importer.integerOperators.contains(node.op)
        {
            if Importer.exactOperators.contains(node.op), tensor.isExactFloat { continue }
            if node.op == "Pow" { throw LoweringProblem.wantsConstant(input: 1, what: "the exponent of an integer") }
            throw LoweringProblem.unsupported(needed: "this operator on \(tensor.type.name) constants")
        }
        switch LoweringFamily.byOperator[node.node.qualifiedOp] {
        case .elementwise: return try elementwise(node)
        case .comparison: return try comparison(node)
        case .convolution: return try convolution(node)
        case .pooling: return try pooling(node)
        case .matrix: return try matrix(node)
        case .normalization: return try normalization(node)
        case .softmax: return try softmax(node)
        case .reduction: return try reduction(node)
        case .shape: return try shape(node)
        case .movement: return try movement(node)
        case .indexing: return try indexing(node)
        case .padding: return try padding(node)
        case .resizing: return try resizing(node)
        case .attention: return try attention(node)
        case .quantization: return try quantization(node)
        case .constant, nil: throw LoweringProblem.wantsConstant(input: 0, what: "its input")
        }
    }
}
