import AlulaGraph

extension ECGRecording {
    /// Writes a WFDB record: `FILE.hea` and, beside it, `FILE.dat` in format 16 with one unit a microvolt.
    ///
    /// Missing samples and those beyond ±32.767 mV are written as missing.
    public func write(toWFDB path: String, comments: [String] = []) throws(WFDBError) {
        let base = path.hasSuffix(".hea") ? String(path.dropLast(4)) : path
        let name = String(base[(base.lastIndex(of: "/").map { base.index(after: $0) } ?? base.startIndex)...])
        guard !name.isEmpty, !name.contains(where: { $0.isWhitespace || $0 == "/" }) else {
            throw WFDBError(path, .unusable(reason: "is no name of a record: it is empty or has spaces"))
        }
        let digital = samples.map { $0.map(ECGRecording.digital) }
        var data: [UInt8] = []
        data.reserveCapacity(2 * count * leads.count)
        for index in 0..<count {
            for lead in digital {
                let bits = UInt16(bitPattern: lead[index])
                data += [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
            }
        }
        var header = "\(name) \(leads.count) \(compactNumber(rate)) \(count)\n"
        for (lead, samples) in zip(leads, digital) {
            let sum = samples.reduce(Int16(0)) { $0 &+ $1 }
            header += "\(name).dat 16 1000(0)/mV 16 0 \(samples.first ?? 0) \(sum) 0 \(lead)\n"
        }
        for comment in comments { header += "# " + comment.filter { !$0.isNewline } + "\n" }
        do throws(SystemError) {
            try AtomicFile.write(data, to: base + ".dat")
            try AtomicFile.write(Array(header.utf8), to: base + ".hea")
        } catch { throw WFDBError(name, .system(reason: error.message)) }
    }

    private static func digital(_ millivolts: Double) -> Int16 {
        let units = (1000 * millivolts).rounded()
        return units.magnitude <= 32_767 ? Int16(units) : .min
    }
}
