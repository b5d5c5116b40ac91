import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import ArgumentParser

/// `alula inspect`: the graph as text, or everything about it as JSON.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows a model's graph, sizes and memory.",
        discussion: """
            Example:

              alula inspect model.alula | less
              alula inspect model.alula --after fuse-residual
              alula inspect model.alula --json | jq .macs
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Option(help: ArgumentHelp("Run the float passes up to this one first.", valueName: "pass"))
    var after: String?

    @OptionGroup var output: OutputOptions

    func run() throws {
        var file = try Models.open(model)
        if let after {
            file.graph = try naming(model) { try Pass.run(Pass.folding + Pass.floatOnly, on: file.graph, after: after) }
        }
        let graph = file.graph
        guard output.json else { return Console.write(graph.text) }
        let memory = try naming(model) { try Session(graph).memory }
        Console.write(json(file, memory).text + "\n")
    }

    private func json(_ file: ModelFile, _ memory: MemoryUse) -> JSON {
        let graph = file.graph
        let tensors = graph.constants.map { id -> JSON in
            let value = graph[id]
            return .object([
                ("name", .string(value.name)), ("type", .string(value.type.dataType.name)),
                ("shape", .integers(value.type.shape.dimensions)),
                ("layout", .string(value.constant?.layout.name ?? "plain")),
                ("bytes", .integer(value.constant?.data?.count ?? 0)),
            ])
        }
        let metadata = file.metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        return .object([
            ("model", .string(model)),
            ("quantized", .bool(graph.isQuantized)),
            ("inputs", describe(graph, graph.inputs)), ("outputs", describe(graph, graph.outputs)),
            ("nodes", .integer(graph.nodes.count)),
            ("parameters", .integer(Models.parameterCount(graph))), ("macs", .integer(graph.macs)),
            ("weight_bytes", .integer(memory.weights)),
            ("arena", .integer(memory.arena)),
            (
                "memory",
                .object([
                    ("arena", .integer(memory.arena)), ("arena_lower_bound", .integer(memory.arenaLowerBound)),
                    ("scratch", .integer(memory.scratch)), ("heap", .integer(memory.heap)),
                    ("weights", .integer(memory.weights)),
                    ("total", .integer(memory.total)),
                ])
            ),
            ("metadata", .object(metadata.map { ($0.key, .string($0.value)) })),
            ("tensors", .array(tensors)),
            ("extras", .strings(file.extras.map(\.name))),
            ("graph", .string(graph.text)),
        ])
    }

    private func describe(_ graph: Graph, _ ids: [ValueID]) -> JSON {
        .array(
            ids.map { id in
                .object([
                    ("name", .string(graph.displayName(id))), ("type", .string(graph.type(id).dataType.name)),
                    ("shape", .integers(graph.shape(id).dimensions)),
                ])
            })
    }
}
