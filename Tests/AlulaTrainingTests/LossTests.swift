import AlulaGraph
import AlulaRuntime
import AlulaTraining
import Foundation
import TestSupport
import Testing

/// Losses as they stand in books, and gradients by central differences.
@Suite struct LossTests {
    private struct Problem {
        var logits: [[Double]]
        var targets: [[Double]]
        var teacher: [[Double]]
    }

    private static let problem = Problem(
        logits: [[0.3, -1.2, 2.5], [4, 0.1, -3]], targets: [[0.1, 0.2, 0.7], [0, 1, 0]],
        teacher: [[1, 2, -0.5], [0.2, 0.1, 0.4]])

    private func logSoftmax(_ x: [Double]) -> [Double] {
        let total = log(x.reduce(0) { $0 + exp($1) })
        return x.map { $0 - total }
    }

    private func crossEntropy(_ logits: [[Double]], _ targets: [[Double]]) -> Double {
        var sum = 0.0
        for (row, target) in zip(logits, targets) {
            for (x, t) in zip(logSoftmax(row), target) { sum -= t * x }
        }
        return sum / Double(logits.count)
    }

    private func check(_ loss: Loss, _ problem: Problem = problem, _ expected: @escaping (Problem) -> Double) throws {
        var graph = Graph()
        let shape: Shape = [problem.logits.count, problem.logits[0].count]
        let ids = ["logits", "targets", "teacher"].map { graph.addInput($0, TensorType(.f32, shape)) }
        var constants: [ValueID] = []
        let id = try graph.emit(loss, logits: ids[0], targets: ids[1], teacher: ids[2], constants: &constants)
        let result = try GradientEmitter.differentiate(graph, loss: id, parameters: [ids[0]], constants: constants)
        var training = result.graph
        training.setOutputs([id, try #require(result.gradients[0])])
        let inputs = [problem.logits, problem.targets, problem.teacher].map { $0.flatMap { $0 } }
        let outputs = Reference(training, inputs: inputs).outputs
        #expect(abs(outputs[0].values[0] - expected(problem)) <= 1e-6 * max(1, abs(expected(problem))))
        for (index, gradient) in outputs[1].values.enumerated() {
            let moved = { (change: Double) -> Double in
                var other = problem
                other.logits[index / shape[1]][index % shape[1]] += change
                return expected(other)
            }
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5
            #expect(abs(difference - gradient) <= 1e-6 * max(1, abs(gradient)), "logit \(index)")
        }
        let session = try Session(training)
        for (index, input) in inputs.enumerated() { try session.setInput(index, floats: input.map { Float($0) }) }
        session.run()
        let finite = [try session.outputFloats(0), try session.outputFloats(1)]
        for (own, other) in zip(finite, outputs) {
            #expect(zip(own, other.values).allSatisfy { abs(Double($0) - $1) <= 1e-4 * max(1, abs($1)) })
        }
    }

    @Test func crossEntropyOfSoftTargets() throws {
        try check(.crossEntropy) { crossEntropy($0.logits, $0.targets) }
    }

    @Test func largeLogitsDoNotOverflow() throws {
        var problem = Self.problem
        problem.logits = [[300, -200, 298], [-500, 90, 95]]
        try check(.crossEntropy, problem) { problem in
            // Shifted, since exp(300) is more than f64's log softmax here needs.
            let shifted = problem.logits.map { row in row.map { $0 - row.max()! } }
            return crossEntropy(shifted, problem.targets)
        }
    }

    private func binary(_ problem: Problem, weights: [Double], focus: Double) -> Double {
        var sum = 0.0
        for (logits, targets) in zip(problem.logits, problem.targets) {
            for (index, x) in logits.enumerated() {
                let p = 1 / (1 + exp(-x))
                sum -= weights[index] * targets[index] * pow(1 - p, focus) * log(p)
                sum -= (1 - targets[index]) * pow(p, focus) * log(1 - p)
            }
        }
        return sum / 6
    }

    @Test func binaryCrossEntropyWithWeights() throws {
        try check(Loss(.binaryCrossEntropy())) { binary($0, weights: [1, 1, 1], focus: 0) }
        try check(Loss(.binaryCrossEntropy(positiveWeights: [0.5, 2, 3]))) {
            binary($0, weights: [0.5, 2, 3], focus: 0)
        }
    }

    @Test func focalLoss() throws {
        try check(Loss(.binaryCrossEntropy(positiveWeights: [0.5, 2, 3], focus: 2))) {
            binary($0, weights: [0.5, 2, 3], focus: 2)
        }
    }

    @Test func meanSquaredError() throws {
        try check(Loss(.meanSquaredError)) { problem in
            var sum = 0.0
            for (logits, targets) in zip(problem.logits, problem.targets) {
                for (x, t) in zip(logits, targets) { sum += (x - t) * (x - t) }
            }
            return sum / 6
        }
    }

    @Test func softDistillation() throws {
        let loss = Loss(.crossEntropy, distillation: .init(.soft(temperature: 3), weight: 0.25))
        try check(loss) { problem in
            var divergence = 0.0
            for (student, teacher) in zip(problem.logits, problem.teacher) {
                let (p, q) = (logSoftmax(teacher.map { $0 / 3 }), logSoftmax(student.map { $0 / 3 }))
                for (a, b) in zip(p, q) { divergence += exp(a) * (a - b) }
            }
            return 0.75 * crossEntropy(problem.logits, problem.targets) + 0.25 * 9 * divergence / 2
        }
    }

    @Test func hardDistillation() throws {
        let loss = Loss(.crossEntropy, distillation: .init(.hard, weight: 0.5))
        try check(loss) { problem in
            let choices = problem.teacher.map { row in row.map { $0 == row.max()! ? 1.0 : 0 } }
            return 0.5 * crossEntropy(problem.logits, problem.targets) + 0.5 * crossEntropy(problem.logits, choices)
        }
    }
}
