import AlulaData
import Testing

@Suite struct SimulatorTests {
    private func record(_ rhythm: ECGSimulator.Rhythm, seconds: Double = 20, seed: UInt64 = 3) -> ECGRecording {
        ECGSimulator(rhythm: rhythm, rate: 500, seconds: seconds, seed: seed).recording()
    }

    /// R peaks of lead II: the largest sample around each crossing of half the largest.
    private func peaks(_ recording: ECGRecording) -> [Double] {
        let samples = recording.lead("II") ?? []
        let limit = 0.5 * (samples.max() ?? 0)
        var peaks: [Double] = []
        var best: Int?
        for index in samples.indices {
            if samples[index] > limit {
                if best.map({ samples[index] > samples[$0] }) ?? true { best = index }
            } else if let found = best {
                peaks.append(Double(found) / recording.rate)
                best = nil
            }
        }
        return peaks
    }

    private func intervals(_ recording: ECGRecording) -> [Double] {
        let peaks = peaks(recording)
        return zip(peaks, peaks.dropFirst()).map { $1 - $0 }
    }

    private func spread(_ values: [Double]) -> Double {
        let mean = values.mean
        return (values.map { ($0 - mean) * ($0 - mean) }.mean).squareRoot() / mean
    }

    @Test func theSameSeedGivesTheSameRecording() {
        for rhythm in ECGSimulator.Rhythm.allCases {
            #expect(record(rhythm, seconds: 2) == record(rhythm, seconds: 2))
            #expect(record(rhythm, seconds: 2) != record(rhythm, seconds: 2, seed: 4))
        }
    }

    @Test func limbLeadsObeyEinthoven() {
        for rhythm in ECGSimulator.Rhythm.allCases {
            let recording = record(rhythm, seconds: 3)
            #expect(recording.leads == ECGRecording.twelveLeads && recording.count == 1500)
            for index in stride(from: 0, to: 1500, by: 101) {
                let values = recording.samples.map { $0[index] }
                #expect(abs(values[0] + values[2] - values[1]) < 1e-12)
                #expect(abs(values[3] + values[4] + values[5]) < 1e-12)
            }
        }
    }

    @Test func heartRatesAreThoseOfTheRhythm() {
        let expected: [(ECGSimulator.Rhythm, ClosedRange<Double>)] = [
            (.normal, 60...85), (.bradycardia, 42...48), (.tachycardia, 125...135), (.elevatedST, 60...85),
            (.atrialFibrillation, 75...115),
        ]
        for (rhythm, range) in expected {
            let rate = 60 / intervals(record(rhythm)).mean
            #expect(range.contains(rate), "\(rhythm): \(rate)")
        }
    }

    @Test func fibrillationIsIrregularAndHasNoPWaves() {
        #expect(spread(intervals(record(.normal))) < 0.06)
        #expect(spread(intervals(record(.atrialFibrillation))) > 0.15)
        // The mean of lead II from 200 to 100 ms before the R peak, against the 40 ms before that.
        func rise(_ rhythm: ECGSimulator.Rhythm) -> Double {
            let recording = record(rhythm, seconds: 60)
            let samples = recording.lead("II") ?? []
            let rises = peaks(recording).filter { $0 > 0.5 }.map { peak -> Double in
                let at = Int(peak * 500)
                return Array(samples[at - 95..<at - 55]).mean - Array(samples[at - 120..<at - 105]).mean
            }
            return rises.mean
        }
        #expect(rise(.normal) > 0.05)
        #expect(abs(rise(.atrialFibrillation)) < 0.04)
    }

    @Test func prematureBeatsAreEarlyAndFollowedByAPause() {
        let intervals = intervals(record(.prematureBeats, seconds: 30))
        let usual = intervals.sorted()[intervals.count / 2]
        #expect(intervals.contains { $0 < 0.75 * usual } && intervals.contains { $0 > 1.25 * usual })
    }

    @Test func elevatedSTLiesOverTheFrontWall() {
        func level(_ rhythm: ECGSimulator.Rhythm, _ lead: String) -> Double {
            let recording = record(rhythm)
            let samples = recording.lead(lead) ?? []
            return peaks(recording).filter { $0 > 0.5 && $0 < 19 }.map { peak -> Double in
                let at = Int(peak * 500)
                return Array(samples[at + 45..<at + 60]).mean - Array(samples[at - 35..<at - 28]).mean
            }.mean
        }
        #expect(level(.elevatedST, "V3") > level(.normal, "V3") + 0.2)
    }
}
