import AlulaData
import Foundation
import Testing

@Suite struct SignalTests {
    @Test func resamplingIsScipys() throws {
        for golden in SignalGolden.recorded.resampled {
            let resampler = try #require(Resampler(up: golden.up, down: golden.down))
            let result = resampler.applied(to: SignalGolden.noise(golden.count, seed: 11).map { $0 + 0.3 })
            #expect(result.count == golden.length, "\(golden.up)/\(golden.down)")
            for (place, expected) in golden.values.enumerated() {
                #expect(abs(result[place * golden.step] - expected) <= 1e-9, "\(golden.up)/\(golden.down) at \(place)")
            }
        }
    }

    @Test func ratesBecomeTheSimplestFraction() throws {
        let pairs: [(Double, Double, Int, Int)] = [
            (500, 100, 1, 5), (257, 100, 100, 257), (100, 100, 1, 1), (62.5, 100, 8, 5), (360, 100, 5, 18),
        ]
        for (from, to, up, down) in pairs {
            let resampler = try #require(Resampler(from: from, to: to))
            #expect(resampler.up == up && resampler.down == down)
        }
        for (from, to) in [(0.0, 100.0), (-5, 100), (.nan, 100), (.infinity, 100), (1e-9, 1e9), (100, 99.9999)] {
            #expect(Resampler(from: from, to: to) == nil, "\(from) to \(to)")
        }
    }

    @Test func filteringIsScipys() {
        for golden in SignalGolden.recorded.filtered {
            let filter = ButterworthFilter(
                order: golden.order, highPass: golden.highPass, lowPass: golden.lowPass, rate: golden.rate)
            let result = filter.applied(to: SignalGolden.noise(golden.count, seed: 5).map { $0 + 0.2 })
            #expect(result.count == golden.count)
            for (place, expected) in golden.values.enumerated() {
                let difference = abs(result[place * golden.step] - expected)
                #expect(difference <= 1e-7, "order \(golden.order), \(golden.rate) Hz, sample \(place * golden.step)")
            }
        }
    }

    @Test func shortAndFlatSignalsPass() {
        let filter = ButterworthFilter(order: 4, highPass: 0.5, lowPass: 40, rate: 100)
        for count in 0...5 {
            let result = filter.applied(to: [Double](repeating: 3, count: count))
            #expect(result.count == count && result.allSatisfy(\.isFinite))
        }
        #expect(filter.applied(to: [Double](repeating: 3, count: 500)).allSatisfy { abs($0) < 1e-6 })
        #expect(ButterworthFilter(order: 4, highPass: nil, lowPass: nil, rate: 100).applied(to: [1, 5]) == [1, 5])
    }

    // MARK: Preprocessing

    /// A recording whose leads are sines of their own frequency.
    private func recording(_ leads: [String], rate: Double = 500, seconds: Double = 10) -> ECGRecording {
        ECGRecording(
            leads: leads, rate: rate,
            samples: leads.indices.map { lead in
                (0..<Int(rate * seconds)).map { sin(2 * .pi * Double(lead + 2) * Double($0) / rate) + Double(lead) }
            })
    }

    @Test func leadsAreTakenByNameWhateverTheirOrderAndCase() throws {
        let preprocessor = try SignalPreprocessor()
        let straight = recording(ECGRecording.twelveLeads)
        var turned = straight
        turned.leads = straight.leads.reversed().map { $0.uppercased() }
        turned.samples = straight.samples.reversed()
        let expected = preprocessor.input(try preprocessor.prepare(straight))
        #expect(preprocessor.input(try preprocessor.prepare(turned)) == expected)
        #expect(expected.count == 12_000)
        for lead in 0..<12 {
            let values = (0..<1000).map { Double(expected[$0 * 12 + lead]) }
            let mean = values.reduce(0, +) / 1000
            #expect(abs(mean) < 1e-6 && abs(values.reduce(0) { $0 + $1 * $1 } / 1000 - 1) < 1e-5)
        }
    }

    @Test func missingLimbLeadsAreDerivedAndOthersAreZero() throws {
        let preprocessor = try SignalPreprocessor(highPass: nil, lowPass: nil, normalization: .none)
        let source = recording(["I", "II", "V1"], rate: 100)
        let prepared = try preprocessor.prepare(source)
        #expect(prepared.missing == ["V2", "V3", "V4", "V5", "V6"])
        for index in stride(from: 0, to: 1000, by: 97) {
            let (first, second) = (source.samples[0][index], source.samples[1][index])
            #expect(prepared.samples[2][index] == second - first)
            #expect(abs(prepared.samples[3][index] + (first + second) / 2) < 1e-12)
            #expect(abs(prepared.samples[4][index] - (first - second / 2)) < 1e-12)
            #expect(abs(prepared.samples[5][index] - (second - first / 2)) < 1e-12)
            #expect(prepared.samples[7][index] == 0)
        }
        #expect(throws: PreprocessorError.self) { try preprocessor.prepare(recording(["ABP", "PLETH"])) }
        #expect(throws: PreprocessorError.self) {
            try preprocessor.prepare(ECGRecording(leads: ["I"], rate: 100, samples: [[]]))
        }
    }

    @Test func gapsAreBridgedAndWindowsAreCut() throws {
        var source = ECGRecording(leads: ["I"], rate: 100, samples: [(0..<250).map(Double.init)])
        for index in [0, 1, 100, 101, 102, 249] { source.samples[0][index] = .nan }
        let preprocessor = try SignalPreprocessor(
            leads: ["i"], length: 100, highPass: nil, lowPass: nil, normalization: .none)
        let prepared = try preprocessor.prepare(source)
        #expect(preprocessor.windowCount(prepared) == 3)
        #expect(preprocessor.input(prepared, window: 0)[0...2] == [2, 2, 2])
        #expect(preprocessor.input(prepared, window: 1)[0...3] == [100, 101, 102, 103])
        let last = preprocessor.input(prepared, window: 2)
        #expect(last.count == 100 && last[49] == 48 + 200 && last[50...].allSatisfy { $0 == 0 })
        source.samples[0] = Array(repeating: .nan, count: 250)
        #expect(preprocessor.input(try preprocessor.prepare(source)).allSatisfy { $0 == 0 })
    }

    @Test func preprocessingIsWrittenAndReadBack() throws {
        let preprocessors = [
            try SignalPreprocessor(),
            try SignalPreprocessor(
                leads: ["I", "V2"], rate: 62.5, length: 300, highPass: nil, lowPass: 25.25, order: 2,
                normalization: .record),
        ]
        for preprocessor in preprocessors {
            #expect(try SignalPreprocessor(json: preprocessor.json) == preprocessor)
            #expect(try InputPreprocessor(json: preprocessor.json) == .signal(preprocessor))
        }
        let json = preprocessors[0].json
        for (old, new) in [
            ("\"kind\":\"ecg\"", "\"kind\":\"egg\""), ("\"version\":1", "\"version\":2"),
            ("\"order\":4", "\"order\":99"),
            ("\"rate\":100", "\"rate\":0"), ("\"rate\":100", "\"rate\":70"), ("\"length\":1000", "\"length\":-1"),
            ("\"II\"", "\"i\""), ("\"lead\"", "\"leads\""), ("\"order\"", "\"odor\""), ("\"I\",", "7,"),
        ] {
            #expect(throws: PreprocessorError.self, "\(new)") {
                try SignalPreprocessor(json: json.replacingOccurrences(of: old, with: new))
            }
        }
    }

    /// The published normalized form of PTB-XL (band-pass at 500 Hz, every lead normalized, every fifth sample) is near what we make.
    @Test(.enabled(if: sharedExists("data/ptb-xl-norm100/train.i16"), "no shared data"))
    func preparedRecordsLookLikeTheNormalizedSet() throws {
        let set = try Int16Dataset(folder: shared("data/ptb-xl-norm100"), split: .train, length: 12_000)
        let table = try String(contentsOfFile: shared("data/ptb-xl-norm100/train_labels.csv"), encoding: .utf8)
        let preprocessor = try SignalPreprocessor()
        var compared = 0
        for (row, line) in table.split(whereSeparator: \.isNewline).dropFirst().enumerated() {
            guard compared < 5, let id = line.split(separator: ",").first.flatMap({ Int($0) }) else { continue }
            let name = String(format: "%05d_hr", id)
            let path = shared("data/ptb-xl/records500/00000/" + name)
            guard FileManager.default.fileExists(atPath: path + ".hea") else { continue }
            guard case .tensor(let expected) = try set.example(row) else { continue }
            let ours = preprocessor.input(try preprocessor.prepare(try ECGRecording(contentsOf: path)))
            let products = zip(ours, expected).reduce(0.0) { $0 + Double($1.0 * $1.1) } / 12_000
            #expect(products > 0.99, "\(name): correlation \(products)")
            compared += 1
        }
        #expect(compared > 0)
    }
}
