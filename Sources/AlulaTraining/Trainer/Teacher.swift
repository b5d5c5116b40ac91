import AlulaCompiler
import AlulaGraph
import AlulaRuntime

/// A finished model whose answers another one learns.
package final class Teacher {
    private let session: Session

    /// - Parameter graph: float as its author built it, or quantized; for one example.
    package init(_ graph: Graph, threads: Int) throws {
        let isReady = graph.isQuantized || graph.isPacked
        let runnable = isReady ? graph : try Pass.run(Pass.folding + Pass.floatOnly, on: graph)
        session = try Session(runnable, options: SessionOptions(threads: threads))
    }

    package var inputShape: [Int] { Array(session.inputType(0).shape.dimensions.dropFirst()) }
    package var classCount: Int { session.outputType(0).shape.elementCount }

    /// Rows of logits, one an input.
    package func logits(_ inputs: [[Float]]) throws -> [Float] {
        var result: [Float] = []
        for input in inputs {
            try session.setInput(0, floats: input)
            session.run()
            result += try session.outputFloats(0)
        }
        return result
    }
}
