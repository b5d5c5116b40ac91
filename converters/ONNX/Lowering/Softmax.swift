import AlulaGraph

extension Importer {
    mutating func softmax(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        let axis = try node.axis(node.int("axis", default: node.opset < 13 ? 1 : -1), rank: max(x.rank, 1))
        guard x.rank > 0 else { throw LoweringProblem.invalid("a scalar") }
        let result: View
        if node.opset < 13, axis != x.rank - 1 {
            // Before opset 13, over all axes from this one on.
            let rows = x.shape[..<axis].reduce(1, *)
            let matrix = try softmax(reshaped(x, to: [rows, x.shape[axis...].reduce(1, *)]), axis: 1)
            result = try reshaped(matrix, to: x.shape)
        } else {
            result = try softmax(x, axis: axis)
        }
        return [.view(node.op == "LogSoftmax" ? try unary(.log, result) : result)]
    }

    mutating func softmax(_ x: View, axis: Int) throws -> View {
        View(try emit(.softmax(Softmax(axis: x.storedAxis(axis))), [x.id]), x.shape, order: x.order, type: x.type)
    }
}
