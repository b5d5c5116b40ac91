import AlulaGraph
import Foundation
import TestSupport
import Testing

@Suite("Safetensors mutations")
struct ContainerFuzzTests {
    @Test("20000 damaged files are refused or read consistently")
    func mutations() throws {
        let samples = try SafetensorsSamples.valid().map(\.bytes) + SafetensorsSamples.hostile.map(\.bytes)
        var random = SeededGenerator(seed: 2026)
        var accepted = 0
        for run in 0..<20_000 {
            let other = samples.randomElement(using: &random)!
            let bytes = SafetensorsMutation.mutated(samples[run % samples.count], with: other, using: &random)
            switch SafetensorsMutation.check(bytes) {
            case .refused: continue
            case .accepted: accepted += 1
            case .inconsistent(let problem): Issue.record("run \(run): \(problem)\n\(bytes)")
            }
        }
        // Otherwise the mutations would only test the first check.
        #expect(accepted > 500)
    }

    @Test("The corpus for fuzzing holds exactly the samples")
    func corpus() throws {
        let directory = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().appendingPathComponent("../Fuzz/corpus/safetensors").standardized
        let samples = try SafetensorsSamples.valid() + SafetensorsSamples.hostile
        for (name, bytes) in samples {
            let url = directory.appendingPathComponent(name + ".safetensors")
            #expect(try [UInt8](Data(contentsOf: url)) == bytes, "run `fuzz-safetensors --write-corpus` (\(name))")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).count == samples.count)
    }

    @Test("Valid samples are accepted, hostile ones refused")
    func samples() throws {
        for (name, bytes) in try SafetensorsSamples.valid() {
            guard case .accepted = SafetensorsMutation.check(bytes) else {
                Issue.record("\(name) is not accepted: \(SafetensorsMutation.check(bytes))")
                continue
            }
        }
        for (name, bytes) in SafetensorsSamples.hostile {
            guard case .refused = SafetensorsMutation.check(bytes) else {
                Issue.record("\(name) is not refused")
                continue
            }
        }
    }
}
