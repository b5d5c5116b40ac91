import Foundation

/// What scipy and scikit-learn gave; written by Fixtures/make_signals.py.
struct SignalGolden: Decodable, Sendable {
    struct Resampled: Decodable, Sendable {
        let count, up, down, length, step: Int
        let values: [Double]
    }
    struct Filtered: Decodable, Sendable {
        let order: Int
        let highPass, lowPass: Double?
        let rate: Double
        let count, step: Int
        let values: [Double]
    }
    struct Single: Decodable, Sendable {
        let name: String
        let examples, classes, decimals: Int
        let seed: UInt32
        let fixedLabel: Int?
        let accuracy, topFive: Double
        let precision, recall, f1: [Double]
        let support: [Int]
        let macroF1: Double
        let confusion: [Int]
        let ece: Double
    }
    struct Multiple: Decodable, Sendable {
        let name: String
        let examples, classes, decimals: Int
        let seed: UInt32
        let auroc, ap: [Double?]
        let f1, precision, recall: [Double]
        let macroF1, microF1, sampleF1, exactMatch: Double
    }
    let resampled: [Resampled]
    let filtered: [Filtered]
    let single: [Single]
    let multiple: [Multiple]

    static let recorded: SignalGolden = {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: fixture("signals.json")))
            return try JSONDecoder().decode(SignalGolden.self, from: data)
        } catch {
            fatalError("Tests/AlulaDataTests/Fixtures/signals.json: \(error)")
        }
    }()

    /// The noise that make_signals.py uses, in -0.5..<0.5.
    static func noise(_ count: Int, seed: UInt32) -> [Double] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return Double(state >> 8) / 16_777_216 - 0.5
        }
    }

    /// numpy's `round`: scaled, half to even, scaled back.
    static func rounded(_ value: Double, _ decimals: Int) -> Double {
        let factor = pow(10, Double(decimals))
        return (value * factor).rounded(.toNearestOrEven) / factor
    }
}
