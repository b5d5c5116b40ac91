import AlulaCompiler
import AlulaGraph
import AlulaKernels
import AlulaRuntime
import AlulaSystem
import ArgumentParser

/// A list of thread counts, written as `1,2`.
struct ThreadList: ExpressibleByArgument {
    var counts: [Int]

    init(_ counts: [Int]) { self.counts = counts }

    init?(argument: String) {
        counts = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let count = Int(part), count >= 0 else { return nil }
            counts.append(count)
        }
        if counts.isEmpty { return nil }
    }

    var defaultValueDescription: String { counts.map(String.init).joined(separator: ",") }
}

/// `alula bench`: how fast a model runs here, and in how much memory.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures latency, first result, memory and share of this CPU's int8 peak.",
        discussion: """
            The first result and the peak memory are measured in a fresh process, from its start. The peak of 8-bit arithmetic is
            measured on this CPU with the instructions that the kernels use, times the number of threads.

            Example:

              alula bench model.int8.alula --threads 1,2
              alula bench model.int8.alula --profile
              alula bench model.int8.alula --threads 2 --trace trace.json
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Option(help: "Thread counts to measure, separated by commas; 0 for one a physical core.")
    var threads = ThreadList([1])

    @Option(help: "Measured runs.")
    var runs = 50

    @Option(help: "Runs before the measured ones.")
    var warmup = 5

    @Flag(help: "Also show the time of every step, and what limits it.")
    var profile = false

    @Option(
        help: ArgumentHelp(
            "Write when each thread did what in one run, for chrome://tracing or ui.perfetto.dev.",
            valueName: "trace.json"))
    var trace: String?

    @OptionGroup var execution: ExecutionOptions
    @OptionGroup var format: OutputOptions

    @Flag(help: .hidden) var untilFirstResult = false

    func validate() throws {
        if runs < 1 { throw ValidationError("--runs must be at least 1.") }
        if warmup < 0 { throw ValidationError("--warmup must not be negative.") }
    }

    func run() throws {
        if untilFirstResult { return try reportFirstResult() }
        var results: [Measurement] = []
        for count in threads.counts { results.append(try measure(count)) }
        if let trace { try writing(trace) { try AtomicFile.write(Array(traceJSON(results).text.utf8), to: trace) } }
        format.print(json(results), text: results.map(text).joined(separator: "\n"))
    }

    // MARK: Measuring

    struct Measurement {
        var threads = 0
        var runs = 0
        var milliseconds: [Double] = []
        /// CPU time of all threads for one run.
        var cpuMilliseconds: [Double] = []
        var first: Double?
        var load = 0.0
        var memory: MemoryUse
        var peakResident: Int?
        var macs = 0
        /// Share of the CPU's int8 peak at the median; nil for float graphs.
        var peakShare: Double?
        var isa = ""
        var profile: StepProfile?
    }

    private func measure(_ threads: Int) throws -> Measurement {
        let start = alula_clock_nanoseconds()
        let file = try Models.open(model)
        let graph = try Models.runnable(file, path: model)
        let session = try Models.session(graph, execution.session(threads: threads), path: model)
        let load = Bench.milliseconds(since: start)

        let inputs = Golden.inputs(graph, seed: 1)
        for _ in 0..<warmup { try Bench.run(session, inputs) }
        var result = Measurement(memory: session.memory)
        var progress = Progress("measuring", total: runs)
        for _ in 0..<runs {
            try Bench.setInputs(session, inputs)
            let (begin, cpu) = (alula_clock_nanoseconds(), alula_cpu_nanoseconds())
            session.run()
            result.milliseconds.append(Bench.milliseconds(since: begin))
            result.cpuMilliseconds.append(Double(alula_cpu_nanoseconds() - cpu) / 1e6)
            progress.advance()
        }
        progress.finish()
        (result.threads, result.runs, result.load) = (session.threads, runs, load)
        (result.macs, result.isa) = (graph.macs, session.instructionSet.name)
        let limits = MachineLimits(
            session.instructionSet, workingSet: session.memory.arena + session.memory.weights)
        if graph.isQuantized, let median = result.milliseconds.percentile(0.5), median > 0, limits.int8 > 0 {
            result.peakShare = Double(graph.macs) / (median / 1000) / (limits.int8 * Double(session.threads))
        }
        if profile || trace != nil {
            result.profile = try StepProfile(session, limits, runs: runs) { try Bench.setInputs(session, inputs) }
        }
        (result.first, result.peakResident) = freshProcess(threads)
        return result
    }

    private static func setInputs(_ session: Session, _ inputs: [[UInt8]]) throws {
        for (index, bytes) in inputs.enumerated() { try session.setInput(index, bytes: bytes) }
    }

    private static func run(_ session: Session, _ inputs: [[UInt8]]) throws {
        try setInputs(session, inputs)
        session.run()
    }

    private static func milliseconds(since start: UInt64) -> Double { Double(alula_clock_nanoseconds() - start) / 1e6 }

    // MARK: A fresh process

    /// Milliseconds from a new process's start to its first result, and the most memory it used.
    private func freshProcess(_ threads: Int) -> (first: Double?, peakResident: Int?) {
        var arguments = ["alula", "bench", model, "--until-first-result", "--threads", String(threads)]
        if let isa = execution.isa { arguments += ["--isa", isa] }
        if let limit = execution.memoryLimit { arguments += ["--memory-limit", String(limit)] }
        // A file whose name looks like an option needs its folder in front.
        if model.hasPrefix("-") { arguments[2] = "./" + model }
        return FreshProcess.measure(arguments)
    }

    /// What the fresh process does: one byte when the first result is there, then its peak memory.
    private func reportFirstResult() throws {
        let graph = try Models.runnable(try Models.open(model), path: model)
        let session = try Models.session(graph, execution.session(threads: threads.counts[0]), path: model)
        try Bench.run(session, Golden.inputs(graph, seed: 1))
        Console.write("1")
        session.run()
        Console.write(String(alula_peak_resident_bytes()))
    }
}

/// This program, run again and timed from outside.
enum FreshProcess {
    static func measure(_ arguments: [String]) -> (first: Double?, peakResident: Int?) {
        var nanoseconds: UInt64 = 0
        var rest = [CChar](repeating: 0, count: 64)
        // C strings that live through the call.
        let text = arguments.map { Array($0.utf8CString) }
        func call(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Int32 {
            guard index < text.count else {
                return (pointers + [nil]).withUnsafeBufferPointer {
                    alula_time_to_first_byte($0.baseAddress, &nanoseconds, &rest, rest.count)
                }
            }
            return text[index].withUnsafeBufferPointer { call(index + 1, pointers + [$0.baseAddress]) }
        }
        guard call(0, []) == 0 else { return (nil, nil) }
        let digits = rest.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let resident = Int(String(decoding: digits, as: UTF8.self)).flatMap { $0 > 0 ? $0 : nil }
        return (Double(nanoseconds) / 1e6, resident)
    }
}
