import AlulaGraph

// Comparisons, logic and choice.
extension Importer {
    static let comparisonOperators: [String] = []

    mutating func comparison(_ node: NodeContext) throws -> [ImportedValue] {
        throw LoweringProblem.unsupported(needed: "operator \(node.op) at run time")
    }
}
