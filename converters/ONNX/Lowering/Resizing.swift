import AlulaGraph

extension Importer {
    mutating func resizing(_ node: NodeContext) throws -> [ImportedValue] {
        throw LoweringProblem.unsupported(needed: "resizing")
    }
}
