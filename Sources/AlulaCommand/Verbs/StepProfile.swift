import AlulaKernels
import AlulaRuntime
import AlulaSystem

/// What one core of this CPU can do at best. Each limit takes a tenth of a second to measure, and is measured when it is asked for.
final class MachineLimits {
    private let isa: alula_isa
    private let workingSet: Int
    private static let milliseconds = 100.0

    /// `workingSet` is the bytes that a run touches: the bandwidth is that of the cache, or memory, that holds them.
    init(_ set: InstructionSet, workingSet: Int) {
        (isa, self.workingSet) = (alula_isa(rawValue: set.rawValue), workingSet)
    }

    /// Multiply-adds a second.
    private(set) lazy var int8 = alula_measure_peak_u8s8(isa, alula_clock_nanoseconds, MachineLimits.milliseconds)
    private(set) lazy var float = alula_measure_peak_f32(isa, alula_clock_nanoseconds, MachineLimits.milliseconds)

    /// Bytes read a second.
    private(set) lazy var bandwidth: Double = {
        let bytes = min(max(workingSet, 1 << 16), 1 << 26)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1, count: bytes)
        return alula_measure_read_bandwidth(memory, bytes, alula_clock_nanoseconds, MachineLimits.milliseconds)
    }()
}

/// How long each step of a run takes, and what keeps it from being shorter.
struct StepProfile {
    struct Step {
        let info: StepInfo
        /// Microseconds, median over the runs, waiting for other threads included.
        let median: Double
        /// Multiply-adds over what the threads could do in that time; nil for steps without.
        let peakShare: Double?
        /// Bytes of operands and results over what the threads could read in that time.
        let memoryShare: Double
        /// Share of the threads' time that was spent waiting for the slowest of them.
        let idleShare: Double

        /// Billions of multiply-adds a second.
        var rate: Double { median > 0 ? Double(info.macs) / median / 1000 : 0 }

        /// In words: the limit that the step is nearest to.
        var limit: String {
            let percent = { (share: Double) in "\(Int((100 * share).rounded())) %" }
            if median < Step.callMicroseconds { return "size: hardly more than a call" }
            if idleShare > 0.3 { return "threads: idle \(percent(idleShare))" }
            if let peakShare, peakShare >= 0.5 { return "arithmetic: \(percent(peakShare)) of the peak" }
            if memoryShare >= 0.5 { return "memory: \(percent(memoryShare)) of the bandwidth" }
            if let peakShare, peakShare >= 0.2 { return "work beside the products: \(percent(peakShare)) of the peak" }
            return "instructions: \(percent(memoryShare)) of the bandwidth"
        }

        private static let callMicroseconds = 2.0
    }

    let threads: Int
    let steps: [Step]
    /// Microseconds of a whole run, median: what the steps' medians should add up to.
    let wall: Double
    private let lastRun: [StepTime]

    var total: Double { steps.reduce(0) { $0 + $1.median } }

    init(_ session: Session, _ limits: MachineLimits, runs: Int, setInputs: () throws -> Void) throws {
        let count = session.steps.count
        var (walls, profile) = ([Double](), session.makeProfile())
        var times = [[Double]](repeating: [], count: count)
        var idle = [[Double]](repeating: [], count: count)
        for _ in 0..<runs {
            try setInputs()
            profile = session.makeProfile()
            let begin = alula_clock_nanoseconds()
            session.run(profile: &profile)
            walls.append(Double(alula_clock_nanoseconds() - begin) / 1000)
            for index in 0..<count {
                let time = Double(profile.nanoseconds[index])
                let busy = (0..<session.threads).reduce(0.0) { sum, thread in
                    let own = profile.lastRun[thread * count + index]
                    return sum + Double(own.end - own.begin)
                }
                times[index].append(time / 1000)
                idle[index].append(time > 0 ? max(0, 1 - busy / (time * Double(session.threads))) : 0)
            }
        }
        threads = session.threads
        wall = walls.percentile(0.5) ?? 0
        lastRun = profile.lastRun
        steps = session.steps.indices.map { index in
            let info = session.steps[index]
            let median = times[index].percentile(0.5) ?? 0
            let seconds = max(median, 1e-3) / 1e6 * Double(session.threads)
            let peak = info.kernel.hasSuffix("f32") ? limits.float : limits.int8
            return Step(
                info: info, median: median,
                peakShare: info.macs > 0 && peak > 0 ? Double(info.macs) / seconds / peak : nil,
                memoryShare: limits.bandwidth > 0
                    ? Double(info.bytesRead + info.bytesWritten) / seconds / limits.bandwidth : 0,
                idleShare: idle[index].percentile(0.5) ?? 0)
        }
    }

    // MARK: Reporting

    private func share(_ step: Step) -> Double { total > 0 ? step.median / total : 0 }

    var members: [(String, JSON)] {
        let list = steps.map { step -> JSON in
            .object([
                ("operator", .string(step.info.operatorName)), ("result", .string(step.info.resultName)),
                ("kernel", .string(step.info.kernel)), ("isa", .string(step.info.instructionSet.name)),
                ("macs", .integer(step.info.macs)), ("bytes", .integer(step.info.bytesRead + step.info.bytesWritten)),
                ("us", .rounded(step.median, 3)), ("gmacs_per_s", .rounded(step.rate, 3)),
                ("peak_share", step.peakShare.map { .rounded($0, 4) } ?? .null),
                ("share", .rounded(share(step), 5)), ("limit", .string(step.limit)),
            ])
        }
        return [
            ("profile_ms", .rounded(wall / 1000, 4)), ("steps_ms", .rounded(total / 1000, 4)), ("steps", .array(list)),
        ]
    }

    var text: String {
        var rows = [["operator", "result", "kernel", "MACs", "bytes", "µs", "GMAC/s", "peak", "time", "limited by"]]
        for step in steps {
            let hasMacs = step.info.macs > 0
            rows.append([
                step.info.operatorName, StepProfile.short(step.info.resultName),
                "\(step.info.kernel) \(step.info.instructionSet.name)",
                hasMacs ? Format.count(step.info.macs) : "",
                Format.count(step.info.bytesRead + step.info.bytesWritten), Format.fixed(step.median, 1),
                hasMacs ? Format.fixed(step.rate, 1) : "",
                step.peakShare.map { Format.fixed(100 * $0, 1) + " %" } ?? "",
                Format.fixed(100 * share(step), 1) + " %", step.limit,
            ])
        }
        let covered = wall > 0 ? Format.fixed(100 * total / wall, 1) : "0"
        return Format.table(rows, leftColumns: [0, 1, 2, 9])
            + "  the steps add up to \(Format.fixed(total / 1000, 3)) ms, \(covered) % of \(Format.fixed(wall / 1000, 3)) ms\n"
    }

    /// The end of a long name, which is what tells results apart.
    private static func short(_ name: String) -> String { name.count > 40 ? "…" + name.suffix(39) : name }

    /// Complete events of the last run, microseconds since its begin.
    func traceEvents(process: Int) -> [JSON] {
        func event(_ name: String, _ phase: String, _ thread: Int, _ rest: [(String, JSON)]) -> JSON {
            .object(
                [
                    ("name", .string(name)), ("ph", .string(phase)), ("pid", .integer(process)),
                    ("tid", .integer(thread)),
                ] + rest)
        }
        let title = "\(threads) thread\(threads == 1 ? "" : "s")"
        var events = [event("process_name", "M", 0, [("args", .object([("name", .string(title))]))])]
        let start = lastRun.map(\.begin).min() ?? 0
        for (index, time) in lastRun.enumerated() {
            let step = steps[index % steps.count]
            events.append(
                event(
                    "\(step.info.operatorName) \(step.info.resultName)", "X", index / steps.count,
                    [
                        ("cat", .string(step.info.kernel)),
                        ("ts", .rounded(Double(time.begin - start) / 1000, 3)),
                        ("dur", .rounded(Double(time.end - time.begin) / 1000, 3)),
                        (
                            "args",
                            .object([
                                ("kernel", .string(step.info.kernel)),
                                ("isa", .string(step.info.instructionSet.name)), ("macs", .integer(step.info.macs)),
                                ("bytes", .integer(step.info.bytesRead + step.info.bytesWritten)),
                            ])
                        ),
                    ]))
        }
        return events
    }
}
