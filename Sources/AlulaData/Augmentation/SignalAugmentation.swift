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
            SignalAugmentation.shift(&input, by: Int(Double(count) * random.uniform(-shift...shift)) * leads)
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
            for place in start * leads..<(start + length) * leads { input[place] = 0 }
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
            let height = wander * random.unit()
            for sample in 0..<input.count / leads {
                input[sample * leads + lead] += Float(height * sin(2 * .pi * frequency * Double(sample) / rate + phase))
            }
        }
    }

    /// Moves all numbers to the right (or left, below zero), zeros coming in.
    private static func shift(_ input: inout [Float], by distance: Int) {
        guard distance != 0 else { return }
        let zeros = [Float](repeating: 0, count: min(input.count, abs(distance)))
        input = distance > 0 ? zeros + input.dropLast(zeros.count) : input.dropFirst(zeros.count) + zeros
    }
}
