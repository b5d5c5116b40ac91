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
            ("first_ms", result.first.map { .rounded($0, 3) } ?? .null), ("load_ms", .rounded(result.load, 3)),
            ("arena_bytes", .integer(result.memory.arena + result.memory.scratch)),
            ("weight_bytes", .integer(result.memory.weights)),
            ("heap_bytes", .integer(result.memory.heap)),
            ("peak_rss_bytes", .optional(result.peakResident)), ("macs", .integer(result.macs)),
            ("int8_peak_share", result.peakShare.map { .rounded($0, 4) } ?? .null), ("isa", .string(result.isa)),
        ]
        guard profile else { return members }
        let total = result.steps.reduce(0) { $0 + $1.median }
        let steps = result.steps.map { step -> JSON in
            .object([
                ("operator", .string(step.info.operatorName)), ("result", .string(step.info.resultName)),
                ("kernel", .string(step.info.kernel)), ("isa", .string(step.info.instructionSet.name)),
                ("macs", .integer(step.info.macs)), ("us", .rounded(step.median, 3)),
                ("gmacs_per_s", .rounded(rate(step), 3)), ("share", .rounded(total > 0 ? step.median / total : 0, 5)),
            ])
        }
        members.append(("steps", .array(steps)))
        return members
    }

    /// Billions of multiply-adds a second.
    private func rate(_ step: Step) -> Double { step.median > 0 ? Double(step.info.macs) / step.median / 1000 : 0 }

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
        return profile ? text + "\n" + table(result) : text
    }

    private func table(_ result: Measurement) -> String {
        let total = result.steps.reduce(0) { $0 + $1.median }
        // The share of the peak that a step reaches follows from the whole run's: both have the same peak.
        let overall = (result.milliseconds.percentile(0.5)).map { Double(result.macs) / $0 / 1e6 } ?? 0
        let peak = result.peakShare.flatMap { $0 > 0 ? overall / $0 : nil }
        var rows = [["operator", "result", "kernel", "MACs", "µs", "GMAC/s", "peak", "time"]]
        for step in result.steps {
            let rate = rate(step)
            rows.append([
                step.info.operatorName, step.info.resultName, "\(step.info.kernel) \(step.info.instructionSet.name)",
                step.info.macs > 0 ? Format.count(step.info.macs) : "", Format.fixed(step.median, 1),
                step.info.macs > 0 ? Format.fixed(rate, 1) : "",
                step.info.macs > 0 ? peak.map { Format.fixed(100 * rate / $0, 1) + " %" } ?? "" : "",
                Format.fixed(total > 0 ? 100 * step.median / total : 0, 1) + " %",
            ])
        }
        return Format.table(rows, leftColumns: [0, 1, 2])
    }
}
