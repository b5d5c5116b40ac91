import AlulaGraph

/// Where all of a run's chance comes from. Every draw has a place of its own (what for, which epoch or step, which example), so that a
/// run that goes on from a checkpoint draws what it would have drawn, and no generator's state has to be kept.
package struct TrainingSeed: Sendable {
    package let value: UInt64

    package init(_ value: UInt64) { self.value = value }

    package enum Purpose: UInt64, Sendable {
        case order = 1
        case augmentation, mixing, model, weights
    }

    package func seed(_ purpose: Purpose, _ first: Int = 0, _ second: Int = 0) -> UInt64 {
        // Each part passes through the generator, so that neighbouring places have unrelated draws.
        [purpose.rawValue, UInt64(truncatingIfNeeded: first), UInt64(truncatingIfNeeded: second)].reduce(value) {
            var random = SplitMix64(seed: $0 ^ $1 &* 0xD6E8_FEB8_6659_FD93)
            return random.next()
        }
    }

    package func generator(_ purpose: Purpose, _ first: Int = 0, _ second: Int = 0) -> SplitMix64 {
        SplitMix64(seed: seed(purpose, first, second))
    }
}
