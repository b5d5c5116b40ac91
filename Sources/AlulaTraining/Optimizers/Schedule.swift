import Foundation

/// How the learning rate changes while training.
package struct Schedule: Sendable, Equatable {
    package enum Shape: String, CaseIterable, Sendable {
        case constant
        /// Half a cosine from the rate to the least (Loshchilov and Hutter, ICLR 2017).
        case cosine
        /// Multiplied by `factor` every `period` epochs.
        case step
        /// Multiplied by `factor` every epoch.
        case exponential
        /// Up over the first `rise` of the steps, then down, both along cosines (Smith and Topin, 2018).
        case oneCycle = "one-cycle"
        /// Multiplied by `factor` when the watched figure has not become better for `period` epochs.
        case plateau
    }

    package var shape = Shape.cosine
    /// The highest rate.
    package var rate = 1e-3
    /// Where cosine, step, exponential and plateau end at the lowest.
    package var leastRate = 0.0
    /// Epochs during which the rate rises on a line to what the shape says, counted before the shape's own; not for one-cycle.
    package var warmup = 0.0
    /// The share of the rate at which the warm-up begins.
    package var warmupStart = 0.01
    package var factor = 0.1
    package var period = 10
    /// Of one-cycle: the share of steps going up, and how far below the highest rate it starts and ends.
    package var rise = 0.3
    package var startDivisor = 25.0
    package var endDivisor = 1e4

    package init() {}

    /// Where a run is.
    package struct Position: Sendable {
        /// Optimizer steps made before this one.
        package var step: Int
        package var stepsPerEpoch: Int
        package var epochs: Int

        package init(step: Int, stepsPerEpoch: Int, epochs: Int) {
            (self.step, self.stepsPerEpoch, self.epochs) = (step, stepsPerEpoch, epochs)
        }
    }

    /// The rate of a step.
    ///
    /// - Parameter plateauCuts: how often the plateau rule has cut the rate; see `Plateau`.
    package func rate(at position: Position, plateauCuts: Int = 0) -> Double {
        let total = max(1, position.epochs * position.stepsPerEpoch)
        if shape == .oneCycle { return oneCycle(step: position.step, total: total) }
        let warm = min(total, Int((warmup * Double(position.stepsPerEpoch)).rounded()))
        if position.step < warm {
            let share = Double(position.step) / Double(warm)
            return rate * (warmupStart + (1 - warmupStart) * share)
        }
        let (step, rest) = (position.step - warm, max(1, total - warm))
        let epoch = step / max(1, position.stepsPerEpoch)
        switch shape {
        case .constant, .oneCycle: return rate
        case .cosine: return leastRate + (rate - leastRate) * (1 + cos(.pi * Double(step) / Double(rest))) / 2
        case .step: return max(leastRate, rate * pow(factor, Double(epoch / max(1, period))))
        case .exponential: return max(leastRate, rate * pow(factor, Double(epoch)))
        case .plateau: return max(leastRate, rate * pow(factor, Double(plateauCuts)))
        }
    }

    /// As `torch.optim.lr_scheduler.OneCycleLR` with cosines in two phases.
    private func oneCycle(step: Int, total: Int) -> Double {
        let (low, end) = (rate / startDivisor, rate / startDivisor / endDivisor)
        let peak = rise * Double(total) - 1
        if Double(step) <= peak || total == 1 {
            return Schedule.between(low, rate, peak > 0 ? Double(step) / peak : 1)
        }
        let length = Double(total - 1) - peak
        return Schedule.between(rate, end, length > 0 ? min(1, (Double(step) - peak) / length) : 1)
    }

    private static func between(_ start: Double, _ end: Double, _ share: Double) -> Double {
        end + (start - end) * (1 + cos(.pi * share)) / 2
    }
}

/// Counts epochs without progress, as `torch.optim.lr_scheduler.ReduceLROnPlateau` does with its default threshold of 1e-4, relative.
package struct Plateau: Sendable, Equatable {
    package let patience: Int
    package private(set) var best: Double?
    package private(set) var waited = 0
    /// How often patience ran out.
    package private(set) var cuts = 0

    package init(patience: Int) { self.patience = patience }

    package init(patience: Int, best: Double?, waited: Int, cuts: Int) {
        self.patience = patience
        (self.best, self.waited, self.cuts) = (best, waited, cuts)
    }

    /// Notes an epoch's figure, where less is better. True if patience ran out with it.
    package mutating func add(_ value: Double) -> Bool {
        if let best, !(value < best - 1e-4 * abs(best)) {
            waited += 1
        } else {
            (best, waited) = (value, 0)
        }
        guard waited > patience else { return false }
        (waited, cuts) = (0, cuts + 1)
        return true
    }
}
