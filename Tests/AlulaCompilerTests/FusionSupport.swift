import AlulaCompiler
import AlulaGraph
import Testing

/// A graph for fusion tests: constants called `is:0.5` hold that number, all others small seeded ones. Constants need not be declared: their
/// names may be followed by their shape, as `@w[4,3]`.
func fusionGraph(_ body: String) throws -> Graph {
    var declarations: [String] = []
    var text = ""
    var rest = body[...]
    while let at = rest.firstIndex(of: "@") {
        text += rest[..<at]
        let end = rest[at...].firstIndex { ",) \n".contains($0) } ?? rest.endIndex
        var name = String(rest[at..<end])
        rest = rest[end...]
        var shape = name.hasPrefix("@is:") ? "[1]" : nil
        if let bracket = name.firstIndex(of: "[") {
            // The shape's own commas ended the name too early.
            let close = rest.firstIndex(of: "]").map { rest.index(after: $0) }
            if !name.hasSuffix("]"), let close {
                name += rest[..<close]
                rest = rest[close...]
            }
            shape = String(name[bracket...])
            name = String(name[..<bracket])
        }
        text += name
        let declaration = "const \(name) : f32\(shape ?? "")"
        if let shape, !declarations.contains(declaration), !shape.isEmpty { declarations.append(declaration) }
    }
    text += rest
    var result = try graph("alula 1\n" + declarations.joined(separator: "\n") + "\n" + text + "\n")
    for id in result.constants where result[id].name.hasPrefix("is:") {
        let value = try #require(Float(result[id].name.dropFirst(3)))
        let count = result.shape(id).elementCount
        result[id].constant?.data = TensorData(elements: [Float](repeating: value, count: count))
    }
    return result
}

/// Checks which operators are left after the folding passes, and that they compute the same numbers.
func expectFolding(
    _ body: String, leaves expected: [String], tolerance: Float = 2e-5,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let folded = try folded(body, tolerance: tolerance)
    #expect(folded.nodes.map { $0.op.name } == expected, "\(folded.text)", sourceLocation: sourceLocation)
}

/// The operators that are left after the folding passes, once the numbers are checked to be the same.
func operators(afterFolding body: String, tolerance: Float = 2e-5) throws -> [String] {
    try folded(body, tolerance: tolerance).nodes.map { $0.op.name }
}

private func folded(_ body: String, tolerance: Float) throws -> Graph {
    let original = try fusionGraph(body)
    let folded = try Pass.run(Pass.folding, on: original)
    let input = ramp(original.shape(original.inputs[0]).elementCount).map { $0 * 3 }
    let (before, after) = (try run(original, input), try run(folded, input))
    #expect(before.count == after.count && before.contains { abs($0) > 1e-3 })
    for (a, b) in zip(before, after) where abs(a - b) > tolerance * max(1, abs(a)) {
        Issue.record("\(a) became \(b) in\n\(folded.text)")
        break
    }
    return folded
}
