import AlulaData
import Foundation
import Testing

/// Published records of every signal format, against what the reference implementation reads from them.
@Suite(.enabled(if: sharedExists("data/wfdb-samples/expected.json"), "no shared data"))
struct WFDBSampleTests {
    struct Expected: Decodable, Sendable {
        struct Signal: Decodable, Sendable {
            let name: String
            let units: String
            let n: Int
            // Ordinary records.
            let fmt: String?
            let gain: Double?
            let baseline: Int?
            let first: [Int32]?
            let last: [Int32]?
            let sum: Int?
            let hash: String?
            // Records of several segments.
            let nan: Int?
            let physicalSum: Double?
            let firstValid: [Double]?

            enum CodingKeys: String, CodingKey {
                case name, units, n, fmt, gain, baseline, first, last, sum, nan
                case hash = "sha256_int32le"
                case physicalSum = "sum_physical"
                case firstValid = "first_valid"
            }
        }
        struct Record: Decodable, Sendable {
            let fs: Double
            let length: Int
            let signals: [Signal]

            enum CodingKeys: String, CodingKey {
                case fs, signals
                case length = "sig_len"
            }
        }
        struct Annotations: Decodable, Sendable {
            let n: Int
            let firstSamples: [Int]
            let firstSymbols: [String]
            let lastSample: Int
            let counts: [String: Int]
            let texts: [String]

            enum CodingKeys: String, CodingKey {
                case n
                case firstSamples = "first_samples"
                case firstSymbols = "first_symbols"
                case lastSample = "last_sample"
                case counts = "symbol_counts"
                case texts = "aux_first"
            }
        }
        let records: [String: Record]
        let annotations: [String: Annotations]

        static let all: Expected = {
            guard let data = FileManager.default.contents(atPath: shared("data/wfdb-samples/expected.json")) else {
                return Expected(records: [:], annotations: [:])
            }
            return try! JSONDecoder().decode(Expected.self, from: data)
        }()
    }

    @Test(arguments: Expected.all.records.keys.sorted()) func samplesAreTheReference(_ name: String) throws {
        let expected = try #require(Expected.all.records[name])
        let record = try WFDBRecord(contentsOf: shared("data/wfdb-samples/" + name))
        #expect(record.header.frameRate == expected.fs)
        #expect(record.frames == expected.length)
        #expect(record.signals.map(\.name) == expected.signals.map(\.name))
        for (signal, expected) in zip(record.signals, expected.signals) {
            #expect(signal.units == expected.units)
            if let hash = expected.hash { try compareDigital(signal, expected, hash) }
            if let sum = expected.physicalSum { try comparePhysical(signal, expected, sum) }
        }
    }

    private func compareDigital(_ signal: WFDBRecord.Signal, _ expected: Expected.Signal, _ hash: String) throws {
        let samples = signal.digital
        let part = try #require(signal.parts.first)
        #expect(part.gain == expected.gain && part.baseline == expected.baseline)
        #expect("\(try #require(part.format).rawValue)" == expected.fmt)
        #expect(samples.count == expected.n)
        #expect(Array(samples.prefix(8)) == expected.first)
        #expect(Array(samples.suffix(4)) == expected.last)
        #expect(samples.reduce(0) { $0 + Int($1) } == expected.sum)
        #expect(samples.withUnsafeBytes { SHA256.hexadecimal($0) } == hash)
    }

    private func comparePhysical(_ signal: WFDBRecord.Signal, _ expected: Expected.Signal, _ sum: Double) throws {
        let values = signal.samplesPerFrame == 1 ? signal.physical : averaged(signal)
        let valid = values.filter { !$0.isNaN }
        #expect(values.count == expected.n)
        #expect(values.count - valid.count == expected.nan)
        // The recorded sums have four digits, the values six.
        #expect(abs(valid.reduce(0, +) - sum) <= 1e-4)
        for (value, first) in zip(valid, expected.firstValid ?? []) { #expect(abs(value - first) <= 6e-7) }
    }

    /// The reference averages the samples of a frame before it makes them physical, rounds toward zero, and counts missing ones with their marker.
    private func averaged(_ signal: WFDBRecord.Signal) -> [Double] {
        signal.parts.flatMap { part -> [Double] in
            stride(from: 0, to: part.count, by: signal.samplesPerFrame).map { start in
                let sum = part.samples[start..<start + signal.samplesPerFrame].reduce(0) { $0 + Int($1) }
                let mean = (Double(sum) / Double(signal.samplesPerFrame)).rounded(.towardZero)
                return (mean - Double(part.baseline)) / part.gain
            }
        }
    }

    @Test(arguments: Expected.all.annotations.keys.sorted()) func annotationsAreTheReference(_ name: String) throws {
        let expected = try #require(Expected.all.annotations[name])
        let annotations = try WFDBAnnotation.read(contentsOf: shared("data/wfdb-samples/" + name))
        let symbols = annotations.map { $0.symbol.map(String.init) ?? "nan" }
        #expect(annotations.count == expected.n)
        #expect(Array(annotations.prefix(10).map(\.sample)) == expected.firstSamples)
        #expect(Array(symbols.prefix(10)) == expected.firstSymbols)
        #expect(annotations.last?.sample == expected.lastSample)
        #expect(Dictionary(symbols.map { ($0, 1) }, uniquingKeysWith: +) == expected.counts)
        let texts = annotations.compactMap(\.auxiliary).filter { !$0.isEmpty }.prefix(expected.texts.count)
        #expect(Array(texts) == expected.texts.map { $0.replacingOccurrences(of: "\0", with: "") })
    }

    /// Headers of whole collections hold what their signal files say.
    @Test(arguments: [
        ("data/ptb-xl/records100/00000", 422), ("data/ptb-xl/records500/00000", 24), ("data/ludb/data", 30),
        ("data/challenge-2021-samples", 31),
    ])
    func checksumsAndFirstSamplesHold(_ folder: String, _ count: Int) throws {
        let headers = try FileManager.default.contentsOfDirectory(atPath: shared(folder)).filter {
            $0.hasSuffix(".hea")
        }
        #expect(headers.count == count)
        for name in headers.sorted() {
            let record = try WFDBRecord(contentsOf: shared(folder + "/" + name))
            #expect(record.signals.count == 12)
            for (signal, line) in zip(record.signals, record.header.signals) {
                #expect(line.checksum != nil, "\(name)")
                #expect(signal.parts[0].samples.first == line.initialValue.map(Int32.init), "\(name)")
            }
        }
    }

    @Test func aChallengeRecordIsTheRecordItWasMadeFrom() throws {
        let challenge = try WFDBRecord(contentsOf: shared("data/challenge-2021-samples/HR00001"))
        let original = try WFDBRecord(contentsOf: shared("data/ptb-xl/records500/00000/00001_hr"))
        #expect(challenge.signals.map(\.digital) == original.signals.map(\.digital))
        #expect(challenge.header.comment("Dx") == "251146004,426783006")
        #expect(challenge.header.comment("sex") == "Female" || challenge.header.comment("sex") == "Male")
    }

    @Test func waveAnnotationsOfALeadAreRead() throws {
        let annotations = try WFDBAnnotation.read(contentsOf: shared("data/ludb/data/105.ii"))
        let symbols = Set(annotations.compactMap(\.symbol))
        #expect(symbols.isSubset(of: ["(", ")", "p", "N", "t"]) && symbols.contains("N"))
    }
}

/// The project's own records, one a format, with the samples that the reference implementation reads.
@Suite(.enabled(if: sharedExists("fixtures/wfdb_records/expected.safetensors"), "no shared fixtures"))
struct WFDBFixtureTests {
    static let names = [
        "A0001", "flac_508", "flac_516", "flac_524", "fmt_160", "fmt_24", "fmt_310", "fmt_311", "fmt_32", "fmt_61",
        "fmt_8", "fmt_80", "missing_16", "mitbih_like_212", "multi_segment", "multi_segment_gap", "ptbxl_like_16",
        "two_leads_212", "multi_rate_16",
    ]

    @Test(arguments: names) func samplesAreTheReference(_ name: String) throws {
        let record = try WFDBRecord(contentsOf: shared("fixtures/wfdb_records/" + name))
        let expected = try Safetensors(contents(shared("fixtures/wfdb_records/expected.safetensors")))
        var compared = 0
        for (index, signal) in record.signals.enumerated() {
            let digital = signal.digital
            if let (shape, values) = try? expected.integers(name + ".d_signal") {
                #expect(shape == [digital.count, record.signals.count])
                #expect(digital.indices.allSatisfy { values[$0 * shape[1] + index] == digital[$0] })
                compared += 1
            }
            if let (_, values) = try? expected.integers("\(name).e_d_signal.\(index)") {
                #expect(values == digital)
                compared += 1
            }
            if let (shape, values) = try? expected.floats(name + ".p_signal") {
                let physical = signal.physical
                #expect(shape == [physical.count, record.signals.count])
                for (place, value) in physical.enumerated() {
                    let reference = values[place * shape[1] + index]
                    #expect(reference.isNaN == value.isNaN && (value.isNaN || Float(value) == reference))
                }
                compared += 1
            }
        }
        #expect(compared >= record.signals.count)
    }
}
