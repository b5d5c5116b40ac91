import AlulaGraph
import Foundation

/// Draws electrocardiograms: heart vectors as Gaussians on each beat's time (after McSharry et al., IEEE Trans. Biomed. Eng. 50:289, 2003,
/// whose model is a sum of Gaussians on a phase), projected on twelve leads by Dower's matrix (J. Electrocardiology 13:103, 1980).
///
/// For demonstrations and tests: shapes and intervals are plausible, and mean nothing for medicine. The same seed gives the same signal.
public struct ECGSimulator: Sendable {
    public enum Rhythm: String, Sendable, CaseIterable {
        case normal
        /// No P waves, irregular beats, fibrillation waves.
        case atrialFibrillation = "af"
        /// A normal rhythm with early wide beats and the pauses after them.
        case prematureBeats = "pvc"
        /// 45 beats a minute.
        case bradycardia = "brady"
        /// 130 beats a minute.
        case tachycardia = "tachy"
        /// A normal rhythm with elevated ST segments over the front wall.
        case elevatedST = "st-elevation"

        /// The SNOMED CT code that the PhysioNet Challenges write for it.
        public var diagnosisCode: String {
            switch self {
            case .normal: "426783006"
            case .atrialFibrillation: "164889003"
            case .prematureBeats: "427172004"
            case .bradycardia: "426177001"
            case .tachycardia: "427084000"
            case .elevatedST: "164931005"
            }
        }
    }

    public var rhythm: Rhythm
    /// Samples a second.
    public var rate: Double
    public var seconds: Double
    public var seed: UInt64
    /// Standard deviation of the white noise, in millivolts.
    public var noise = 0.008

    public init(rhythm: Rhythm = .normal, rate: Double = 500, seconds: Double = 10, seed: UInt64 = 0) {
        precondition(rate > 0 && seconds > 0, "an empty recording")
        (self.rhythm, self.rate, self.seconds, self.seed) = (rhythm, rate, seconds, seed)
    }

    // MARK: Waves

    /// A direction in the body: to the left, to the feet, to the back.
    private struct Vector {
        var x: Double
        var y: Double
        var z: Double

        init(_ x: Double, _ y: Double, _ z: Double) { (self.x, self.y, self.z) = (x, y, z) }
    }

    /// A bump of the heart vector, in millivolts, `time` seconds after the R peak.
    private struct Wave {
        var time: Double
        var width: Double
        var vector: Vector
    }

    /// Conducted beats; repolarization follows the square root of the interval, as Bazett's rule says.
    private func normalBeat(interval: Double) -> [Wave] {
        let stretch = max(0.55, interval.squareRoot())
        var waves = [
            Wave(time: -0.028, width: 0.008, vector: Vector(-0.12, -0.03, -0.14)),
            Wave(time: 0, width: 0.012, vector: Vector(0.95, 0.78, 0.33)),
            Wave(time: 0.028, width: 0.010, vector: Vector(-0.16, -0.24, 0.34)),
            Wave(time: 0.245 * stretch, width: 0.050, vector: Vector(0.12, 0.09, -0.08)),
            Wave(time: 0.285 * stretch, width: 0.034, vector: Vector(0.18, 0.13, -0.10)),
        ]
        if rhythm != .atrialFibrillation {
            waves.append(Wave(time: -0.165 * min(1, stretch), width: 0.020, vector: Vector(0.04, 0.10, -0.03)))
            waves.append(Wave(time: -0.135 * min(1, stretch), width: 0.018, vector: Vector(0.05, 0.05, 0.03)))
        }
        if rhythm == .elevatedST {
            for time in [0.08, 0.125, 0.17] {
                waves.append(Wave(time: time * stretch, width: 0.032, vector: Vector(0.10, -0.07, -0.20)))
            }
        }
        return waves
    }

    private static let prematureBeat = [
        Wave(time: -0.03, width: 0.030, vector: Vector(-0.35, 0.55, -0.45)),
        Wave(time: 0.03, width: 0.034, vector: Vector(-0.55, 1.05, -0.75)),
        Wave(time: 0.27, width: 0.070, vector: Vector(0.25, -0.42, 0.34)),
    ]

    /// R peaks with their waves, from before the start until after the end.
    private func beats(_ random: inout SplitMix64) -> [(time: Double, waves: [Wave])] {
        let mean: Double =
            switch rhythm {
            case .bradycardia: 60.0 / 45
            case .tachycardia: 60.0 / 130
            case .atrialFibrillation: 60.0 / 95
            default: 60 / (66 + 12 * random.unit())
            }
        var beats: [(time: Double, waves: [Wave])] = []
        var time = -1.5 + mean * random.unit()
        var number = 0
        while time < seconds + 1 {
            let breath = 0.025 * sin(2 * .pi * 0.24 * time)
            var interval = mean * (1 + breath + 0.012 * random.normal())
            if rhythm == .atrialFibrillation { interval = mean * (0.62 + 0.85 * random.unit()) }
            if rhythm == .prematureBeats, number % 5 == 3 {
                beats.append((time, normalBeat(interval: interval)))
                beats.append((time + 0.62 * interval, ECGSimulator.prematureBeat))
                time += 2 * interval
            } else {
                beats.append((time, normalBeat(interval: interval)))
                time += interval
            }
            number += 1
        }
        return beats
    }

    // MARK: Leads

    /// Dower's matrix: I, II and V1 to V6 of the vector to the left, to the feet and to the back.
    private static let projection: [(name: String, x: Double, y: Double, z: Double)] = [
        ("I", 0.632, -0.235, 0.059), ("II", 0.235, 1.066, -0.132), ("V1", -0.515, 0.157, -0.917),
        ("V2", 0.044, 0.164, -1.387), ("V3", 0.882, 0.098, -1.277), ("V4", 1.213, 0.127, -0.601),
        ("V5", 1.125, 0.127, -0.086), ("V6", 0.831, 0.076, 0.230),
    ]

    /// The twelve leads in millivolts.
    public func recording() -> ECGRecording {
        var random = SplitMix64(seed: seed)
        let count = Int((rate * seconds).rounded())
        let vectors = heartVectors(count, &random)
        var leads: [String: [Double]] = [:]
        for (name, x, y, z) in ECGSimulator.projection {
            let wander = (0.02 + 0.05 * random.unit(), 0.15 + 0.2 * random.unit(), 2 * Double.pi * random.unit())
            leads[name] = (0..<count).map { index in
                let baseline = wander.0 * sin(2 * .pi * wander.1 * Double(index) / rate + wander.2)
                return x * vectors[0][index] + y * vectors[1][index] + z * vectors[2][index] + baseline
                    + noise * random.normal()
            }
        }
        let base = ECGRecording(
            leads: ECGSimulator.projection.map(\.name), rate: rate,
            samples: ECGSimulator.projection.map { leads[$0.name] ?? [] })
        let names = ECGRecording.twelveLeads
        return ECGRecording(leads: names, rate: rate, samples: names.map { base.leadOrDerived($0) ?? [] })
    }

    /// The heart vector over time, by axis.
    private func heartVectors(_ count: Int, _ random: inout SplitMix64) -> [[Double]] {
        var axes = [[Double]](repeating: [Double](repeating: 0, count: count), count: 3)
        for beat in beats(&random) {
            for wave in beat.waves {
                let center = beat.time + wave.time
                // Beyond five widths a Gaussian is below four millionths.
                let first = max(0, Int(((center - 5 * wave.width) * rate).rounded(.up)))
                let last = min(count - 1, Int(((center + 5 * wave.width) * rate).rounded(.down)))
                guard first <= last else { continue }
                for index in first...last {
                    let distance = (Double(index) / rate - center) / wave.width
                    let height = exp(-0.5 * distance * distance)
                    axes[0][index] += height * wave.vector.x
                    axes[1][index] += height * wave.vector.y
                    axes[2][index] += height * wave.vector.z
                }
            }
        }
        if rhythm == .atrialFibrillation { addFibrillation(&axes, &random) }
        return axes
    }

    /// Waves of five to seven a second that wander in frequency, largest in V1.
    private func addFibrillation(_ axes: inout [[Double]], _ random: inout SplitMix64) {
        var phases = [2 * Double.pi * random.unit(), 2 * Double.pi * random.unit()]
        var frequencies = [5.4, 6.7]
        for index in axes[0].indices {
            for wave in 0..<2 {
                frequencies[wave] += 0.25 * random.normal() / rate.squareRoot()
                frequencies[wave] = min(8, max(4.5, frequencies[wave]))
                phases[wave] += 2 * .pi * frequencies[wave] / rate
            }
            let height = 0.035 * sin(phases[0]) + 0.025 * sin(phases[1])
            axes[0][index] -= 0.4 * height
            axes[1][index] += 0.8 * height
            axes[2][index] -= 1.1 * height
        }
    }
}
