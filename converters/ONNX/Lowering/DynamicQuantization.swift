import AlulaGraph

// Scales that a run would find for each of its inputs. Nothing here is quantized at run time without being calibrated: the numbers stay as
// they are, with scale 1 and zero point 0, and products with the levels of s8 weights give what the model's authors approximated. What
// follows (conversions, products with both scales) is unchanged, and ends as scaled weights.
extension Importer {
    static let dynamicOperators = [
        "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "com.microsoft:DynamicQuantizeMatMul",
        "com.microsoft:MatMulIntegerToFloat",
    ]

    private static let note =
        "activations that are quantized with a new scale in each run stay f32, which is closer to the unquantized model"

    mutating func dynamicQuantization(_ node: NodeContext, _ operation: String) throws -> [ImportedValue] {
        if !notes.contains(Importer.note) { notes.append(Importer.note) }
        switch operation {
        case "DynamicQuantizeLinear":
            var x = try view(node.input(0))
            guard x.type == .f32 else { throw LoweringProblem.unsupported(needed: "f32 numbers, not \(x.type.name)") }
            for name in node.node.outputs where model.outputs.contains(where: { $0.name == name }) {
                throw LoweringProblem.unsupported(needed: "results that the model itself does not give")
            }
            x.type = .u8
            return [.view(x), number(1), .host(HostTensor(.u8, [], integers: [0]))]
        case "MatMulInteger":
            return [try sums(node, "MatMul", [unrounded(node, 0, zero: 2), levels(node, 1, zero: 3)])]
        case "ConvInteger":
            return [try sums(node, "Conv", [unrounded(node, 0, zero: 2), levels(node, 1, zero: 3)])]
        case "com.microsoft:DynamicQuantizeMatMul":
            let axis = try node.shape(1).count - 1
            let weight = try dequantizedConstant(node, 1, scale: 2, zero: 3, axis: axis)
            return [try biased(floatResult(node, "MatMul", [node.input(0), weight]), node, 4)]
        default:
            let axis = try node.shape(1).count - 1
            let weight = try dequantizedConstant(node, 1, scale: 3, zero: 5, axis: axis)
            let product = try floatResult(node, "MatMul", [unrounded(node, 0, zero: 4), weight])
            return [try biased(binary(.mul, product, node.input(2)), node, 6)]
        }
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

    /// What DynamicQuantizeLinear gave.
    private func unrounded(_ node: NodeContext, _ index: Int, zero: Int) throws -> ImportedValue {
        guard case .view(var x) = try node.input(index), graph.type(x.id).dataType == .f32, x.type == .u8,
            try node.host(zero, "the zero point")?.integers.allSatisfy({ $0 == 0 }) ?? false
        else { throw LoweringProblem.unsupported(needed: "the result of DynamicQuantizeLinear") }
        x.type = .f32
        return .view(x)
    }

    /// `q - zero` of a weight.
    private func levels(_ node: NodeContext, _ index: Int, zero: Int) throws -> ImportedValue {
        guard let weight = try node.host(index, "the weight") else {
            throw LoweringProblem.invalid("the weight is missing")
        }
        let rank = weight.shape.count
        let axis = node.op == "ConvInteger" ? 0 : rank - 1
        let zeros = try node.host(zero, "the zero point")
        let ones = HostTensor(.f32, [zeros?.count ?? 1], reals: [Double](repeating: 1, count: zeros?.count ?? 1))
        return .host(try weight.dequantized(ones, zeros, axis: axis))
    }

    private mutating func biased(_ value: ImportedValue, _ node: NodeContext, _ index: Int) throws -> ImportedValue {
        guard let bias = node.optional(index) else { return value }
        return try binary(.add, value, bias)
    }
}
