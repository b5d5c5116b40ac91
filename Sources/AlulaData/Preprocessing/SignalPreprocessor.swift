/// What turns an ECG recording into a model's input: leads by name, gaps filled, band-pass, resampling, cutting, normalization, in this
/// order.
///
/// A model file keeps it under the metadata key `alula.preprocess` as one line of JSON with sorted keys (see `json`).
public struct SignalPreprocessor: Sendable, Equatable {
    public enum Normalization: String, Sendable, CaseIterable {
        /// Millivolts as they are.
        case none
        /// Every lead of every input gets mean 0 and standard deviation 1; a flat lead becomes 0.
        case lead
        /// All leads of an input together.
        case record
    }

    /// Names in the order of the model's input.
    public var leads: [String]
    /// Samples a second.
    public var rate: Double
    /// Samples of one input.
    public var length: Int
    /// The edges of the Butterworth band-pass in Hz, each nil for none.
    public var highPass: Double?
    public var lowPass: Double?
    public var order: Int
    public var normalization: Normalization

    public init(
        leads: [String] = ECGRecording.twelveLeads, rate: Double = 100, length: Int = 1000, highPass: Double? = 0.5,
        lowPass: Double? = 40, order: Int = 4, normalization: Normalization = .lead
    ) throws(PreprocessorError) {
        (self.leads, self.rate, self.length) = (leads, rate, length)
        (self.highPass, self.lowPass, self.order) = (highPass, lowPass, order)
        self.normalization = normalization
        try check()
    }

    private func check() throws(PreprocessorError) {
        func require(_ condition: Bool, _ key: String, _ found: String, _ expected: String) throws(PreprocessorError) {
            guard condition else { throw .invalidValue(key: key, found: found, expected: expected) }
        }
        let names = Set(leads.map(ECGRecording.canonical))
        try require((1...64).contains(leads.count) && names.count == leads.count, "leads", "\(leads)", "1…64 names")
        try require(rate.isFinite && (1...100_000).contains(rate), "rate", "\(rate)", "1…100000")
        try require((1...1 << 24).contains(length), "length", "\(length)", "1…\(1 << 24)")
        try require((1...10).contains(order), "order", "\(order)", "1…10")
        for (key, edge) in [("highpass", highPass), ("lowpass", lowPass)] {
            guard let edge else { continue }
            try require(edge.isFinite && edge > 0 && edge < rate / 2, key, "\(edge)", "above 0, below half the rate")
        }
        if let highPass, let lowPass {
            try require(highPass < lowPass, "lowpass", "\(lowPass)", "above highpass")
        }
    }
}

// MARK: - Applying

extension SignalPreprocessor {
    /// A recording filtered and resampled, ready to be cut into inputs.
    public struct Prepared: Sendable {
        /// By lead, in the preprocessor's order and rate.
        public var samples: [[Double]]
        /// Leads that the recording lacks; their samples are zeros.
        public var missing: [String]

        public var count: Int { samples.first?.count ?? 0 }
    }

    public func prepare(_ recording: ECGRecording) throws(PreprocessorError) -> Prepared {
        guard let resampler = Resampler(from: recording.rate, to: rate) else {
            throw .unsupported(key: "rate", found: "\(compactNumber(recording.rate)) Hz to \(compactNumber(rate)) Hz")
        }
        // An edge beyond what the recording can hold has nothing left to damp.
        let low = lowPass.flatMap { $0 < recording.rate / 2 ? $0 : nil }
        let high = highPass.flatMap { $0 < recording.rate / 2 ? $0 : nil }
        let filter = ButterworthFilter(order: order, highPass: high, lowPass: low, rate: recording.rate)
        let found = leads.map { recording.leadOrDerived($0) }
        guard found.contains(where: { $0 != nil }), recording.count > 0 else {
            throw .unusableRecording(
                "it has no samples of any lead of the model's (\(leads.joined(separator: ", "))), but of "
                    + (recording.leads.isEmpty ? "none" : recording.leads.joined(separator: ", ")))
        }
        let count = resampler.outputCount(recording.count)
        let samples = found.map { samples -> [Double] in
            guard let samples else { return Array(repeating: 0, count: count) }
            return resampler.applied(to: filter.applied(to: SignalPreprocessor.filled(samples)))
        }
        return Prepared(samples: samples, missing: zip(leads, found).filter { $0.1 == nil }.map(\.0))
    }

    /// Inputs that a prepared recording gives: one after another without overlap; a rest shorter than half of one is left out.
    public func windowCount(_ prepared: Prepared) -> Int {
        max(1, prepared.count / length + (prepared.count % length * 2 >= length ? 1 : 0))
    }

    /// One input: `length * leads` numbers, leads innermost. What the recording is too short for is 0 after normalization.
    public func input(_ prepared: Prepared, window: Int = 0) -> [Float] {
        let start = min(prepared.count, window * length)
        let count = min(length, prepared.count - start)
        var cut = prepared.samples.map { Array($0[start..<start + count]) }
        switch normalization {
        case .none: break
        case .lead: for lead in cut.indices { SignalPreprocessor.standardize(&cut[lead...lead]) }
        case .record: SignalPreprocessor.standardize(&cut[...])
        }
        var values = [Float](repeating: 0, count: length * leads.count)
        for (lead, samples) in cut.enumerated() {
            for (index, sample) in samples.enumerated() { values[index * leads.count + lead] = Float(sample) }
        }
        return values
    }

    /// Mean 0 and standard deviation 1 over all samples of `leads`.
    private static func standardize(_ leads: inout ArraySlice<[Double]>) {
        let count = Double(leads.reduce(0) { $0 + $1.count })
        guard count > 0 else { return }
        let mean = leads.reduce(0) { $0 + $1.reduce(0, +) } / count
        let variance = leads.reduce(0) { $0 + $1.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } } / count
        // Rounding leaves a trace of noise on a flat lead: a millionth of a microvolt is none of the heart's.
        let factor = variance > 1e-18 ? 1 / variance.squareRoot() : 0
        for lead in leads.indices { leads[lead] = leads[lead].map { ($0 - mean) * factor } }
    }

    /// Missing samples on the line between their neighbours, at the ends like the nearest; zeros where all are missing.
    static func filled(_ samples: [Double]) -> [Double] {
        guard samples.contains(where: { !$0.isFinite }) else { return samples }
        let valid = samples.indices.filter { samples[$0].isFinite }
        guard let first = valid.first, let last = valid.last else { return Array(repeating: 0, count: samples.count) }
        var result = samples
        for index in 0..<first { result[index] = samples[first] }
        for index in last..<samples.count { result[index] = samples[last] }
        for (left, right) in zip(valid, valid.dropFirst()) where right > left + 1 {
            for index in left + 1..<right {
                let share = Double(index - left) / Double(right - left)
                result[index] = samples[left] + share * (samples[right] - samples[left])
            }
        }
        return result
    }
}

// MARK: - JSON

extension SignalPreprocessor {
    /// The preprocessor as one line of JSON with sorted keys, every number the shortest that reads back the same.
    ///
    ///     {"highpass":0.5,"kind":"ecg","leads":["I","II"],"length":1000,"lowpass":40,"normalize":"lead","order":4,"rate":100,"version":1}
    ///
    /// - `leads`: in the input's order; limb leads that a recording lacks come from two others, other missing ones are zeros.
    /// - `highpass`, `lowpass`: edges of the Butterworth filter in Hz, applied forward and backward with `order`; absent: none.
    /// - `rate`, `length`: samples a second and samples of one input.
    /// - `normalize`: `lead`, `record` or `none`.
    public var json: String {
        let names = leads.map { "\"\($0.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline })\"" }
        var members = [
            "\"kind\":\"ecg\"", "\"leads\":[\(names.joined(separator: ","))]", "\"length\":\(length)",
            "\"normalize\":\"\(normalization.rawValue)\"", "\"order\":\(order)", "\"rate\":\(compactNumber(rate))",
            "\"version\":1",
        ]
        if let highPass { members.append("\"highpass\":\(compactNumber(highPass))") }
        if let lowPass { members.append("\"lowpass\":\(compactNumber(lowPass))") }
        return "{" + members.sorted().joined(separator: ",") + "}"
    }

    /// Reads what `json` wrote. Unknown keys are refused: ignoring one could change what a model sees.
    public init(json: String) throws(PreprocessorError) {
        let reader = try ConfigurationReader(Array(json.utf8))
        let keys: Set = ["highpass", "kind", "leads", "length", "lowpass", "normalize", "order", "rate", "version"]
        try reader.check(kind: "ecg", keys: keys)
        let names = reader.value("leads")?.array?.compactMap(\.string)
        guard let names, names.count == reader.value("leads")?.array?.count else {
            throw .invalidValue(key: "leads", found: reader.value("leads")?.excerpt ?? "missing", expected: "names")
        }
        let word = try reader.required(reader.optionalString("normalize"), "normalize")
        guard let normalization = Normalization(rawValue: word) else {
            throw .unsupported(key: "normalize", found: word)
        }
        try self.init(
            leads: names, rate: reader.required(reader.optionalNumber("rate"), "rate"),
            length: reader.required(reader.optionalInteger("length"), "length"),
            highPass: reader.optionalNumber("highpass"), lowPass: reader.optionalNumber("lowpass"),
            order: reader.required(reader.optionalInteger("order"), "order"), normalization: normalization)
    }
}
