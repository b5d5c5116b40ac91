import AlulaGraph
import Foundation

/// Random changes to ECGs that leave the diagnosis the same: nothing is turned over, no leads are exchanged.
public struct SignalAugmentation: Sendable, Equatable {
    /// Standard deviation of added white noise, in the input's unit.
    public var noise = 0.0
    /// Height of an added sine of 0.05 to 0.5 Hz, in the input's unit.
    public var wander = 0.0
    /// Largest relative change of all amplitudes; leads change together, so that their relations hold.
    public var amplitude = 0.0
    /// How likely each lead is silenced; one always stays.
    public var leadDropout = 0.0
    /// Largest shift in time, as a share of the length; what is shifted in is 0.
    public var shift = 0.0
    /// How likely a stretch of up to a tenth of the time is silenced in all leads.
    public var timeMask = 0.0

    public init() {}

    /// - Parameters:
    ///   - input: `samples * leads` numbers, leads innermost.
    ///   - rate: Samples a second.
    public func apply(_ input: inout [Float], leads: Int, rate: Double, using random: inout SplitMix64) {
        precondition(leads > 0 && input.count % leads == 0, "samples without all leads")
        let count = input.count / leads
        if shift > 0 {
            let samples = Int(Double(count) * random.uniform(-shift...shift))
            SignalAugmentation.shift(&input, leads: leads, by: samples)
        }
        if amplitude > 0 {
            let factor = Float(1 + random.uniform(-amplitude...amplitude))
            for place in input.indices { input[place] *= factor }
        }
        if wander > 0 { addWander(&input, leads, rate, &random) }
        if noise > 0 { for place in input.indices { input[place] += Float(noise * random.normal()) } }
        if timeMask > 0, random.chance(timeMask) {
            let length = random.integer(0..<count / 10 + 1)
            let start = random.integer(0..<count - length + 1)
            SignalAugmentation.silence(&input, leads: leads, start..<start + length)
        }
        if leadDropout > 0 {
            let kept = random.integer(0..<leads)
            for lead in 0..<leads where random.chance(leadDropout) && lead != kept {
                for sample in 0..<count { input[sample * leads + lead] = 0 }
            }
        }
    }

    private func addWander(_ input: inout [Float], _ leads: Int, _ rate: Double, _ random: inout SplitMix64) {
        for lead in 0..<leads {
            let (frequency, phase) = (random.uniform(0.05...0.5), random.uniform(0...2 * .pi))
            SignalAugmentation.addSine(
                &input, leads: leads, lead: lead, perSample: frequency / rate, phase: phase,
                height: wander * random.unit())
        }
    }

    // MARK: What the drawn numbers do

    /// Adds `height * sin(2 pi * perSample * sample + phase)` to one lead.
    package static func addSine(
        _ input: inout [Float], leads: Int, lead: Int, perSample: Double, phase: Double, height: Double
    ) {
        for sample in 0..<input.count / leads {
            input[sample * leads + lead] += Float(height * sin(2 * .pi * perSample * Double(sample) + phase))
        }
    }

    /// Moves all leads to later samples (or earlier ones, below zero), zeros coming in.
    package static func shift(_ input: inout [Float], leads: Int, by samples: Int) {
        guard samples != 0 else { return }
        let zeros = [Float](repeating: 0, count: min(input.count, abs(samples) * leads))
        input = samples > 0 ? zeros + input.dropLast(zeros.count) : input.dropFirst(zeros.count) + zeros
    }

    package static func silence(_ input: inout [Float], leads: Int, _ samples: Range<Int>) {
        for place in samples.lowerBound * leads..<samples.upperBound * leads { input[place] = 0 }
    }
}
