import AlulaRuntime

// What `alula bench` prints. The JSON keys are listed in docs/cli.md and keep their meaning.

extension Bench {
    func json(_ results: [Measurement]) -> JSON {
        var members: [(String, JSON)] = [("model", .string(model))]
        members += self.members(results[0])
        if results.count > 1 { members.append(("results", .array(results.map { .object(self.members($0)) }))) }
        return .object(members)
    }

    private func members(_ result: Measurement) -> [(String, JSON)] {
        let percentile = { (share: Double) -> JSON in
            result.milliseconds.percentile(share).map { .rounded($0, 4) } ?? .null
        }
        var members: [(String, JSON)] = [
            ("threads", .integer(result.threads)), ("runs", .integer(result.runs)),
            ("p50_ms", percentile(0.5)), ("p90_ms", percentile(0.9)), ("min_ms", percentile(0)),
            ("cpu_p50_ms", result.cpuMilliseconds.percentile(0.5).map { .rounded($0, 4) } ?? .null),
            ("first_ms", result.first.map { .rounded($0, 3) } ?? .null), ("load_ms", .rounded(result.load, 3)),
            ("arena_bytes", .integer(result.memory.arena + result.memory.scratch)),
            ("arena_lower_bound_bytes", .integer(result.memory.arenaLowerBound + result.memory.scratch)),
            ("weight_bytes", .integer(result.memory.weights)),
            ("heap_bytes", .integer(result.memory.heap)),
            ("peak_rss_bytes", .optional(result.peakResident)), ("macs", .integer(result.macs)),
            ("int8_peak_share", result.peakShare.map { .rounded($0, 4) } ?? .null), ("isa", .string(result.isa)),
        ]
        if profile, let profile = result.profile { members += profile.members }
        return members
    }

    func text(_ result: Measurement) -> String {
        let time = { (share: Double) in Format.fixed(result.milliseconds.percentile(share) ?? .nan, 3) + " ms" }
        var text =
            "\(lastComponent(model)) on \(result.isa), \(result.threads) thread\(result.threads == 1 ? "" : "s"), \(result.runs) runs\n"
        var rows = [
            ["  latency", "p50 \(time(0.5))", "p90 \(time(0.9))", "min \(time(0))"],
            [
                "  start", "load \(Format.fixed(result.load, 2)) ms",
                "first result \(result.first.map { Format.fixed($0, 1) + " ms" } ?? "unknown")",
            ],
            [
                "  memory", "working \(Format.bytes(result.memory.arena + result.memory.scratch))",
                "weights \(Format.bytes(result.memory.weights))",
                "peak resident \(result.peakResident.map(Format.bytes) ?? "unknown")",
            ],
        ]
        if let median = result.milliseconds.percentile(0.5), median > 0 {
            var row = [
                "  rate", "\(Format.count(result.macs)) MACs",
                "\(Format.fixed(Double(result.macs) / median / 1e6, 1)) GMAC/s",
            ]
            if let share = result.peakShare { row.append("\(Format.fixed(100 * share, 1)) % of the int8 peak") }
            rows.append(row)
        }
        text += Format.table(rows, leftColumns: [0, 1, 2, 3])
        guard profile, let profile = result.profile else { return text }
        return text + "\n" + profile.text
    }

    /// One run in the trace event format of Chrome, a process for each thread count.
    func traceJSON(_ results: [Measurement]) -> JSON {
        let events = results.enumerated().flatMap { index, result in
            result.profile?.traceEvents(process: index + 1) ?? []
        }
        return .object([("traceEvents", .array(events)), ("displayTimeUnit", .string("ms"))])
    }
}
