import AlulaCompiler
import AlulaGraph
import AlulaRuntime

/// Where numbers first stopped being finite.
enum Divergence {
    /// The first value of the graph that is infinite or not a number for one of the inputs; nil where all are finite.
    static func firstValue(in graph: Graph, inputs: [[Float]]) -> String? {
        let options = SessionOptions(keepsAllValues: true)
        guard let session = try? Session(graph.withNamedResults(), options: options) else { return nil }
        for input in inputs {
            guard (try? session.setInput(0, floats: input)) != nil else { return nil }
            session.run()
            for node in session.graph.nodes {
                for id in node.outputs {
                    guard let values = try? session.valueFloats(id), !values.allSatisfy({ $0.isFinite }) else {
                        continue
                    }
                    return "\(session.graph[id].name) (\(node.op.name))"
                }
            }
        }
        return nil
    }

    /// The first parameter whose numbers, or whose gradient, are not all finite.
    static func firstParameter(_ parameters: [ParameterBuffer]) -> String? {
        if let parameter = parameters.first(where: { !$0.values.allSatisfy(\.isFinite) }) { return parameter.name }
        return parameters.first { !$0.gradient.allSatisfy(\.isFinite) }.map { "the gradient of \($0.name)" }
    }
}
