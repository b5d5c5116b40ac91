import AlulaGraph

extension Importer {
    mutating func matrix(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "MatMul": return [try product(node.input(0), node.input(1))]
        case "Gemm": return [try gemm(node)]
        case "Einsum": return [.view(try einsum(node))]
        default:
            // com.microsoft:FusedMatMul
            guard try !node.flag("transBatchA"), try !node.flag("transBatchB") else {
                throw LoweringProblem.unsupported(needed: "transposed batches")
            }
            var (a, b) = (try view(node.input(0)), try view(node.input(1)))
            if try node.flag("transA") { a = swapped(a) }
            if try node.flag("transB") { b = swapped(b) }
            let alpha = try node.float("alpha", default: 1)
            let result = try product(.view(a), .view(b))
            return [alpha == 1 ? result : try binary(.mul, result, number(Double(alpha)))]
        }
    }

    /// With its last two axes exchanged.
    func swapped(_ view: View) -> View {
        guard view.rank >= 2 else { return view }
        var permutation = Array(0..<view.rank)
        permutation.swapAt(view.rank - 2, view.rank - 1)
        return view.transposed(permutation)
    }

    /// NumPy's matmul: vectors count as matrices of one row or column.
    mutating func product(_ left: ImportedValue, _ right: ImportedValue) throws -> ImportedValue {
        var (a, b) = (try view(left), try view(right))
        let (aIsVector, bIsVector) = (a.rank == 1, b.rank == 1)
        guard a.rank >= 1, b.rank >= 1 else { throw LoweringProblem.invalid("a scalar operand") }
        if aIsVector { a = try reshaped(a, to: [1, a.shape[0]]) }
        if bIsVector { b = try reshaped(b, to: [b.shape[0], 1]) }
        guard a.shape.last == b.shape[b.rank - 2] else {
            throw LoweringProblem.invalid(
                "inner sizes differ: \(Shape(a.shape).description) and \(Shape(b.shape).description)")
        }
        var result = isConstant(b) && b.rank == 2 ? try linear(a, b, bias: .none) : try matrixProduct(a, b)
        if aIsVector || bIsVector {
            var shape = result.shape
            if bIsVector { shape.removeLast() }
            if aIsVector { shape.remove(at: shape.count - (bIsVector ? 1 : 2)) }
            result = try reshaped(result, to: shape)
        }
        return .view(result)
    }

    private mutating func matrixProduct(_ a: View, _ b: View) throws -> View {
        let rows = b.rank - 2
        // A right operand whose columns lie together is taken as it lies.
        let transposes = b.storedAxis(rows) > b.storedAxis(rows + 1)
        var order = Array(0..<b.rank)
        if transposes { order.swapAt(rows, rows + 1) }
        let operands = [try stored(a, as: Array(0..<a.rank)), try stored(b, as: order)]
        let id = try emit(.matmul(MatMul(transposeB: transposes)), operands)
        return View(id, graph.shape(id).dimensions, type: a.type)
    }

    /// `x · weight + bias` with a constant weight [K,N]; the axes of x before the last may lie in any order.
    mutating func linear(_ x: View, _ weight: View, bias: ValueID) throws -> View {
        let order = x.order.last == x.rank - 1 ? x.order : Array(0..<x.rank)
        let id = try emit(.linear(Linear()), [stored(x, as: order), stored(weight, as: [1, 0]), bias])
        return View(id, Array(x.shape.dropLast()) + [weight.shape[1]], order: order, type: x.type)
    }

    /// `alpha · A' · B' + beta · C`.
    private mutating func gemm(_ node: NodeContext) throws -> ImportedValue {
        var (a, b) = (try view(node.input(0)), try view(node.input(1)))
        guard a.rank == 2, b.rank == 2 else { throw LoweringProblem.invalid("its operands are not matrices") }
        if try node.flag("transA") { a = swapped(a) }
        if try node.flag("transB") { b = swapped(b) }
        guard a.shape[1] == b.shape[0] else { throw LoweringProblem.invalid("inner sizes differ") }
        let (alpha, beta) = (try node.float("alpha", default: 1), try node.float("beta", default: 1))
        if alpha == 1, beta == 1, isConstant(b), let c = node.optional(2), let shape = c.shape,
            shape.last == b.shape[1], shape.reduce(1, *) == b.shape[1]
        {
            let bias = try view(c)
            if isConstant(bias) { return .view(try linear(a, b, bias: reshape(bias.id, [b.shape[1]]))) }
        }
        var result = try product(.view(a), .view(b))
        if alpha != 1 { result = try binary(.mul, result, number(Double(alpha))) }
        guard let c = node.optional(2), beta != 0 else { return result }
        return try binary(.add, result, beta == 1 ? c : binary(.mul, c, number(Double(beta))))
    }
}
