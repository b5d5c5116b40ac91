import AlulaGraph
import AlulaTraining
import Foundation
import Testing

/// What PyTorch's optimizers did from the same start with the same gradients; `Fixtures/make_optimizers.py` wrote it.
private struct Fixture {
    let file: SafetensorsFile

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
        file = try SafetensorsFile(mapping: folder.appendingPathComponent("optimizers.safetensors").path)
    }

    func floats(_ name: String) throws -> [Float] { try #require(file.data(of: name)).array(of: Float.self) }
    func doubles(_ name: String) throws -> [Double] { try #require(file.data(of: name)).array(of: Double.self) }
    func shape(_ name: String) throws -> [Int] { try #require(file.entry(named: name)).shape }
}

/// Parameters whose memory lives as long as this does.
final class OwnedParameters {
    let buffers: [ParameterBuffer]

    init(_ tensors: [(name: String, shape: [Int], values: [Float])]) {
        buffers = tensors.map { tensor in
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensor.values.count)
            _ = values.initialize(fromContentsOf: tensor.values)
            let gradient = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensor.values.count)
            gradient.initialize(repeating: 0)
            return ParameterBuffer(name: tensor.name, shape: tensor.shape, values: values, gradient: gradient)
        }
    }

    deinit {
        for buffer in buffers {
            buffer.values.deallocate()
            buffer.gradient.deallocate()
        }
    }
}

@Suite struct OptimizerTests {
    private static let names = ["matrix", "bias", "filter"]
    private static let steps = 8

    struct Case: CustomTestStringConvertible {
        var name: String
        var rate: Float
        var clip = 0.0
        var options: Optimizer.Options
        var testDescription: String { name }

        init(_ name: String, _ rate: Float, clip: Double = 0, _ change: (inout Optimizer.Options) -> Void) {
            (self.name, self.rate, self.clip) = (name, rate, clip)
            options = Optimizer.Options()
            change(&options)
        }
    }

    static let cases = [
        Case("sgd", 0.1) { ($0.method, $0.weightDecay) = (.sgd, 0) },
        Case("sgd_decay", 0.1) { ($0.method, $0.weightDecay, $0.momentum) = (.sgd, 0.05, 0.8) },
        Case("nesterov", 0.05) { ($0.method, $0.weightDecay, $0.nesterov) = (.sgd, 0.01, true) },
        Case("adam", 0.01) { ($0.method, $0.weightDecay) = (.adam, 0) },
        Case("adam_decay", 0.02) {
            ($0.method, $0.weightDecay, $0.beta1, $0.beta2, $0.epsilon) = (.adam, 0.1, 0.8, 0.95, 1e-6)
        },
        Case("adamw", 0.01) { $0.weightDecay = 0.05 },
        Case("clip", 0.01, clip: 1.5) { $0.weightDecay = 0.05 },
    ]

    private func parameters(_ fixture: Fixture) throws -> OwnedParameters {
        OwnedParameters(
            try OptimizerTests.names.map { ($0, try fixture.shape("start." + $0), try fixture.floats("start." + $0)) })
    }

    private func setGradients(_ parameters: [ParameterBuffer], _ fixture: Fixture, step: Int) throws {
        for parameter in parameters {
            let count = parameter.values.count
            let all = try fixture.floats("gradient." + parameter.name)
            _ = parameter.gradient.update(fromContentsOf: all[step * count..<(step + 1) * count])
        }
    }

    @Test(arguments: cases) func stepsEqualPyTorchs(_ example: Case) throws {
        let fixture = try Fixture()
        let owned = try parameters(fixture)
        defer { withExtendedLifetime(owned) {} }
        let optimizer = Optimizer(example.options, for: owned.buffers)
        for step in 0..<OptimizerTests.steps {
            try setGradients(owned.buffers, fixture, step: step)
            let norm = GradientNorm.value(owned.buffers)
            optimizer.step(
                owned.buffers, rate: example.rate, gradientScale: GradientNorm.scale(norm: norm, limit: example.clip))
            for parameter in owned.buffers {
                let expected = try fixture.floats("\(example.name).\(parameter.name)")
                for (place, value) in parameter.values.enumerated() {
                    let wanted = expected[step * parameter.values.count + place]
                    #expect(
                        abs(value - wanted) <= 1e-6 * max(1, abs(wanted)), "step \(step), \(parameter.name)[\(place)]")
                }
            }
        }
    }

    @Test func restoredOptimizersGoOnAlike() throws {
        let fixture = try Fixture()
        let (one, other) = (try parameters(fixture), try parameters(fixture))
        defer { withExtendedLifetime((one, other)) {} }
        let whole = Optimizer(Optimizer.Options(), for: one.buffers)
        var parts = Optimizer(Optimizer.Options(), for: other.buffers)
        for step in 0..<OptimizerTests.steps {
            if step == 3 {
                let (steps, slots) = (parts.steps, parts.slots)
                parts = Optimizer(Optimizer.Options(), for: other.buffers)
                parts.restore(steps: steps, slots: slots)
            }
            try setGradients(one.buffers, fixture, step: step)
            try setGradients(other.buffers, fixture, step: step)
            whole.step(one.buffers, rate: 0.01)
            parts.step(other.buffers, rate: 0.01)
        }
        for (a, b) in zip(one.buffers, other.buffers) { #expect(Array(a.values) == Array(b.values)) }
    }

    @Test func averagesFollowTheWeights() throws {
        let fixture = try Fixture()
        let starts = try OptimizerTests.names.map { try fixture.floats("start." + $0) }
        var average = WeightAverage(decay: 0.6, of: starts)
        for step in 0..<OptimizerTests.steps {
            let current = try OptimizerTests.names.enumerated().map { index, name in
                let all = try fixture.floats("adamw." + name)
                return Array(all[step * starts[index].count..<(step + 1) * starts[index].count])
            }
            current.withBuffers { average.update($0) }
            for (index, name) in OptimizerTests.names.enumerated() {
                let expected = try fixture.floats("average." + name)
                for (place, value) in average.values[index].enumerated() {
                    #expect(abs(value - expected[step * starts[index].count + place]) <= 2e-6, "\(name)[\(place)]")
                }
            }
        }
    }

    @Test func weightDecayLeavesVectorsAlone() {
        let owned = OwnedParameters([
            ("matrix", [2, 2], [1, 1, 1, 1]), ("bias", [4], [1, 1, 1, 1]), ("scale", [1, 1, 1, 4], [1, 1, 1, 1]),
        ])
        defer { withExtendedLifetime(owned) {} }
        var options = Optimizer.Options()
        options.weightDecay = 0.5
        let optimizer = Optimizer(options, for: owned.buffers)
        optimizer.step(owned.buffers, rate: 0.1)
        #expect(owned.buffers.map { $0.values[0] } == [0.95, 1, 1])
    }

    @Test func earlierBlocksLearnSlower() {
        let names = [
            "stem.0.weight", "stem.0.bias", "stages.0.1.mlp.weight", "stages.1.0.weight", "head.weight", "head.bias",
        ]
        #expect(LayerDecay.scales(names: names, decay: 0.5) == [0.125, 0.125, 0.25, 0.5, 1, 1])
    }

    @Test func normsCountEveryElement() {
        for count in [1, 15, 16, 17, 4095, 4113, 9000] {
            let owned = OwnedParameters([("a", [count], Array(repeating: 0, count: count))])
            var squares = 0
            for place in 0..<count {
                let number = place % 7 - 3
                owned.buffers[0].gradient[place] = Float(number)
                squares += number * number
            }
            let expected = Double(squares).squareRoot()
            #expect(abs(GradientNorm.value(owned.buffers) - expected) < 1e-5 * (1 + expected))
            owned.buffers[0].gradient[count - 1] = .nan
            #expect(!GradientNorm.value(owned.buffers).isFinite)
        }
    }
}

extension [[Float]] {
    /// All arrays' memory at once.
    func withBuffers<R>(_ body: ([UnsafeBufferPointer<Float>]) -> R) -> R {
        let copies = map { array in
            let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: array.count)
            _ = buffer.initialize(fromContentsOf: array)
            return buffer
        }
        defer { for copy in copies { copy.deallocate() } }
        return body(copies.map { UnsafeBufferPointer($0) })
    }
}

@Suite struct ScheduleTests {
    private func expect(
        _ schedule: Schedule, _ name: String, stepsPerEpoch: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let expected = try Fixture().doubles("schedule." + name)
        for (step, rate) in expected.enumerated() {
            let position = Schedule.Position(
                step: step, stepsPerEpoch: stepsPerEpoch, epochs: expected.count / stepsPerEpoch)
            let found = schedule.rate(at: position)
            #expect(abs(found - rate) <= 1e-9, "step \(step): \(found), not \(rate)", sourceLocation: sourceLocation)
        }
    }

    private func make(_ change: (inout Schedule) -> Void) -> Schedule {
        var schedule = Schedule()
        schedule.rate = 0.4
        change(&schedule)
        return schedule
    }

    @Test func cosineEqualsPyTorchs() throws {
        try expect(make { ($0.shape, $0.leastRate) = (.cosine, 0.02) }, "cosine", stepsPerEpoch: 4)
    }

    @Test func warmupRisesOnALine() throws {
        let schedule = make { ($0.shape, $0.leastRate, $0.warmup, $0.warmupStart) = (.cosine, 0.02, 1.5, 0.1) }
        try expect(schedule, "warmup", stepsPerEpoch: 4)
    }

    @Test func stepAndExponentialEqualPyTorchs() throws {
        try expect(make { ($0.shape, $0.factor, $0.period) = (.step, 0.5, 3) }, "step", stepsPerEpoch: 1)
        try expect(make { ($0.shape, $0.factor) = (.exponential, 0.7) }, "exponential", stepsPerEpoch: 1)
    }

    @Test func oneCycleEqualsPyTorchs() throws {
        try expect(make { $0.shape = .oneCycle }, "one_cycle", stepsPerEpoch: 4)
    }

    @Test func plateauEqualsPyTorchs() throws {
        let (losses, rates) = (
            try Fixture().doubles("schedule.plateau_losses"), try Fixture().doubles("schedule.plateau")
        )
        var plateau = Plateau(patience: 2)
        let schedule = make { ($0.shape, $0.factor) = (.plateau, 0.5) }
        for (epoch, loss) in losses.enumerated() {
            let position = Schedule.Position(step: epoch, stepsPerEpoch: 1, epochs: losses.count)
            #expect(
                abs(schedule.rate(at: position, plateauCuts: plateau.cuts) - rates[epoch]) < 1e-12, "epoch \(epoch)")
            _ = plateau.add(loss)
        }
    }
}
