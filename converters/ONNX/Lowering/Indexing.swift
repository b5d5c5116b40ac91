import AlulaGraph

extension Importer {
    mutating func indexing(_ node: NodeContext) throws -> [ImportedValue] { [.view(try gather(node))] }

    private mutating func gather(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        guard let indices = try node.host(1, "its indices") else {
            throw LoweringProblem.invalid("indices are missing")
        }
        let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
        let size = x.shape[axis]
        let places = try indices.integers.map { index in
            let place = index < 0 ? index + size : index
            guard place >= 0, place < size else {
                throw LoweringProblem.invalid(
                    "index \(index) is outside of axis \(axis) of \(Shape(x.shape).description)")
            }
            return place
        }
        guard !places.isEmpty else { throw LoweringProblem.unsupported(needed: "tensors without elements") }
        let picked = try gathered(x, axis: axis, places)
        // The indices' axes take the place of the one they index.
        return try reshaped(picked, to: Array(x.shape[..<axis]) + indices.shape + Array(x.shape[(axis + 1)...]))
    }
}
