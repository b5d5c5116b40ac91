import AlulaGraph
import AlulaRuntime
import AlulaSystem

/// `alula-run`: runs frozen models on a device, with nothing but the core.
enum Runner {
    static let help = """
        Runs frozen Alula models on a device.

          alula-run run MODEL.alula [--raw FILE] [--threads N] [--memory-limit BYTES] [--top K] [-o FILE]
              Reads the bytes of the model's input from FILE or standard input, prints the likeliest classes, one a line: index,
              logit, label. -o writes the bytes of the outputs, one after another.
          alula-run bench MODEL.alula [--threads N] [--runs 50] [--warmup 5] [--memory-limit BYTES]
              Prints one JSON object: latency, time to the first result of a fresh process, memory.

        Example:

          alula-run run model.int8.alula --raw input.u8 --threads 1

        Exit codes: 0 success, 1 the work failed (one line on stderr says why), 2 wrong usage.

        """

    // MARK: run

    static func run(_ list: [String]) {
        let arguments = Arguments(list)
        let model = open(arguments.model)
        let session = session(model.graph, arguments)
        guard session.inputCount == 1 else { fail(arguments.model, "has \(session.inputCount) inputs; one is read") }
        setInput(session, arguments)
        session.run()
        if let path = arguments.output { write(session, to: path) }
        write(best(session, model, arguments))
    }

    private static func setInput(_ session: Session, _ arguments: Arguments) {
        let name = arguments.raw ?? "standard input"
        do throws(RuntimeError) {
            if let path = arguments.raw {
                let bytes: Bytes
                do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { fail(path, error.message) }
                try bytes.withUnsafeBytes { (buffer) throws(RuntimeError) in try session.setInput(0, bytes: buffer) }
            } else {
                var (memory, size): (UnsafeMutableRawPointer?, Int) = (nil, 0)
                let code = alula_console_read(1 << 31, &memory, &size)
                guard code == 0 else { fail(name, SystemError(code: code).message) }
                defer { alula_free(memory) }
                try session.setInput(0, bytes: UnsafeRawBufferPointer(start: memory, count: size))
            }
        } catch { fail(name, error.message) }
    }

    private static func write(_ session: Session, to path: String) {
        let bytes = (0..<session.outputCount).flatMap { session.output($0) }
        do throws(SystemError) { try AtomicFile.write(bytes, to: path) } catch { fail(path, error.message) }
    }

    private static func best(_ session: Session, _ model: ModelFile, _ arguments: Arguments) -> String {
        let logits: [Float]
        do throws(RuntimeError) { logits = try session.outputFloats(0) } catch { fail(arguments.model, error.message) }
        let labels = labels(model, arguments.model)
        let order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(arguments.top)
        return order.map { "\($0)\t\(logits[$0])\t\($0 < labels.count ? labels[$0] : "")\n" }.joined()
    }

    private static func labels(_ model: ModelFile, _ path: String) -> [String] {
        do throws(JSONError) { return try model.labels() } catch { fail(path, "labels: " + error.message) }
    }

    // MARK: bench

    static func bench(_ list: [String]) {
        let arguments = Arguments(list)
        let start = alula_clock_nanoseconds()
        let model = open(arguments.model)
        let session = session(model.graph, arguments)
        let load = alula_clock_nanoseconds() - start
        if arguments.untilFirstResult {
            session.run()
            write("1")
            session.run()
            return write(String(alula_peak_resident_bytes()))
        }
        for _ in 0..<arguments.warmup { session.run() }
        var times: [UInt64] = []
        times.reserveCapacity(arguments.runs)
        for _ in 0..<arguments.runs {
            let begin = alula_clock_nanoseconds()
            session.run()
            times.append(alula_clock_nanoseconds() - begin)
        }
        times.sort()
        let (first, resident) = freshProcess(arguments)
        let rank = { (percent: Int) in times[max(0, (times.count * percent + 99) / 100 - 1)] }
        write(
            "{\"threads\":\(session.threads),\"runs\":\(arguments.runs),\"p50_ms\":\(milliseconds(rank(50)))"
                + ",\"p90_ms\":\(milliseconds(rank(90))),\"min_ms\":\(milliseconds(times[0]))"
                + ",\"first_ms\":\(first.map(milliseconds) ?? "null"),\"load_ms\":\(milliseconds(load))"
                + ",\"arena_bytes\":\(session.memory.arena + session.memory.scratch),\"weight_bytes\":\(session.memory.weights)"
                + ",\"heap_bytes\":\(session.memory.heap),\"peak_rss_bytes\":\(resident.map { String($0) } ?? "null")"
                + ",\"macs\":\(model.graph.macs),\"isa\":\"\(session.instructionSet.name)\"}\n")
    }

    /// Nanoseconds as milliseconds with four digits after the point.
    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let tenths = (nanoseconds + 50) / 100
        let fraction = String(tenths % 10_000)
        return String(tenths / 10_000) + "." + String(repeating: "0", count: 4 - fraction.utf8.count) + fraction
    }

    private static func freshProcess(_ arguments: Arguments) -> (first: UInt64?, resident: Int?) {
        var list = [
            "alula-run", "bench", arguments.model, "--until-first-result", "--threads", String(arguments.threads),
        ]
        if let limit = arguments.memoryLimit { list += ["--memory-limit", String(limit)] }
        var nanoseconds: UInt64 = 0
        var rest = [CChar](repeating: 0, count: 64)
        let text = list.map { Array($0.utf8CString) }
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
        return (nanoseconds, Int(String(decoding: digits, as: UTF8.self)))
    }

    // MARK: Common

    private static func open(_ path: String) -> ModelFile {
        do throws(ModelFileError) { return try ModelFile(contentsOf: path) } catch { fail(path, error.message) }
    }

    private static func session(_ graph: Graph, _ arguments: Arguments) -> Session {
        let options = SessionOptions(threads: arguments.threads, memoryLimit: arguments.memoryLimit)
        do throws(RuntimeError) { return try Session(graph, options: options) } catch {
            fail(arguments.model, error.message)
        }
    }

    static func write(_ text: String) { put(text, to: 1) }

    static func fail(_ file: String, _ cause: String) -> Never {
        put("alula-run: " + file + ": " + cause + "\n", to: 2)
        exit(1)
    }

    static func failUsage(_ problem: String) -> Never {
        put("alula-run: " + problem + "; see alula-run --help\n", to: 2)
        exit(2)
    }

    static func exit(_ code: Int32) -> Never { alula_console_exit(code) }

    private static func put(_ text: String, to stream: Int32) {
        var text = text
        let code = text.withUTF8 { alula_console_write(stream, $0.baseAddress, $0.count) }
        guard code != 0, stream == 1 else { return }
        if code != ALULA_CONSOLE_CLOSED {
            put("alula-run: standard output: " + SystemError(code: code).message + "\n", to: 2)
        }
        exit(code == ALULA_CONSOLE_CLOSED ? 0 : 1)
    }
}
