import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import ArgumentParser

/// `alula verify`: the file is sound, and this CPU computes what it should.
struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks a model file, and that this CPU reproduces its stored outputs.",
        discussion: """
            Quantized models carry the outputs of one run; every instruction set of this CPU must give them bit for bit, with one
            thread and with two. Float models may differ by 1e-4 of the largest value.

            Example:

              alula verify model.int8.alula
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Option(help: "Check this instruction set only: \(InstructionSet.allCases.map(\.name).joined(separator: ", ")).")
    var isa: String?

    @OptionGroup var output: OutputOptions

    private struct Check {
        var name: String
        var passed: Bool
        var detail: String
    }

    func validate() throws {
        if let isa, InstructionSet(name: isa) == nil {
            throw ValidationError("--isa is one of \(InstructionSet.allCases.map(\.name).joined(separator: ", ")).")
        }
    }

    func run() throws {
        // Opening checks offsets, shapes, references and quantization.
        let file = try Models.open(model)
        var checks = [
            Check(
                name: "file", passed: true,
                detail: "\(file.graph.nodes.count) operators, \(file.graph.constants.count) tensors")
        ]
        let hasGolden = file.metadata[ModelFile.Key.golden] != nil
        if hasGolden { checks += try goldenChecks(file) }
        output.print(
            .object([
                ("model", .string(model)), ("golden", .bool(hasGolden)), ("passed", .bool(checks.allSatisfy(\.passed))),
                (
                    "checks",
                    .array(
                        checks.map {
                            .object([
                                ("name", .string($0.name)), ("passed", .bool($0.passed)),
                                ("detail", .string($0.detail)),
                            ])
                        })
                ),
            ]),
            text: text(checks, hasGolden: hasGolden))
        if let failed = checks.first(where: { !$0.passed }) { throw Failure(model, "\(failed.name): \(failed.detail)") }
    }

    private func goldenChecks(_ file: ModelFile) throws -> [Check] {
        guard let seed = Golden.seed(file.metadata[ModelFile.Key.golden] ?? "") else {
            throw Failure(model, "alula.golden is not {\"seed\":N}")
        }
        let graph = try Models.runnable(file, path: model)
        let sets = isa.flatMap { InstructionSet(name: $0) }.map { [$0] } ?? InstructionSet.available
        var checks: [Check] = []
        for set in sets {
            for threads in [1, 2] {
                let options = SessionOptions(threads: threads, instructionSet: set)
                let verdict = try naming(model) { try Golden.check(graph, against: file.extras, seed: seed, options) }
                let name = "golden \(set.name) threads=\(threads)"
                switch verdict {
                case .identical: checks.append(Check(name: name, passed: true, detail: "identical"))
                case .close(let difference):
                    checks.append(Check(name: name, passed: true, detail: "within \(difference) relative"))
                case .different(let output, let problem):
                    checks.append(Check(name: name, passed: false, detail: "output \(output) \(problem)"))
                }
            }
        }
        return checks
    }

    private func text(_ checks: [Check], hasGolden: Bool) -> String {
        let rows = checks.map { [$0.passed ? "ok" : "FAILED", $0.name, $0.detail] }
        let missing = InstructionSet.allCases.filter { !$0.isAvailable }.map(\.name)
        var text = Format.table(rows, leftColumns: [0, 1, 2])
        if !hasGolden { text += "no golden outputs in this file (alula quantize stores them)\n" }
        if hasGolden, isa == nil, !missing.isEmpty {
            text += "not run on this CPU: \(missing.joined(separator: ", "))\n"
        }
        return text
    }
}
