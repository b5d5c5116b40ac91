import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import ArgumentParser

/// How a model is run; the same on every verb that runs one.
struct ExecutionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Refuse a model that needs more memory than this, weights included.", valueName: "bytes"))
    var memoryLimit: Int?

    @Option(
        help:
            "Instruction set of the kernels: \(InstructionSet.allCases.map(\.name).joined(separator: ", ")). Default: this CPU's best."
    )
    var isa: String?

    func validate() throws {
        if let memoryLimit, memoryLimit < 1 { throw ValidationError("--memory-limit must be at least 1.") }
        if let isa, InstructionSet(name: isa) == nil {
            throw ValidationError("--isa is one of \(InstructionSet.allCases.map(\.name).joined(separator: ", ")).")
        }
    }

    func session(threads: Int, keepsAllValues: Bool = false) -> SessionOptions {
        SessionOptions(
            threads: threads, memoryLimit: memoryLimit, instructionSet: isa.flatMap { InstructionSet(name: $0) },
            keepsAllValues: keepsAllValues)
    }
}

/// A frozen model from a file.
enum Models {
    static func open(_ path: String) throws -> ModelFile {
        try naming(path) { try ModelFile(contentsOf: path) }
    }

    /// The graph as it is run: a float graph as `convert` wrote it is folded, fused and packed in memory.
    static func runnable(_ model: ModelFile, path: String) throws -> Graph {
        let graph = model.graph
        guard !graph.isQuantized, !graph.isPacked else { return graph }
        return try naming(path) { try Pass.run(Pass.folding + Pass.floatOnly, on: graph) }
    }

    static func session(_ graph: Graph, _ options: SessionOptions, path: String) throws -> Session {
        try naming(path) { try Session(graph, options: options) }
    }

    static func labels(_ model: ModelFile, path: String) throws -> [String] {
        try naming(path) { try model.labels() }
    }

    /// Numbers in the constants that training would change; in an int8 graph its weights and biases.
    static func parameterCount(_ graph: Graph) -> Int {
        graph.constants.reduce(0) { $0 + graph.shape($1).elementCount }
    }
}
