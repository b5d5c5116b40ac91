import AlulaKernels
import Foundation
import Testing

@Suite struct NormalizationKernelTests {
    private let widths = [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 448, 1000, 32768]

    @Test func bytesAreNormalizedFromExactSums() {
        var noise = KernelNoise(1)
        for c in widths {
            let rows = c > 1000 ? 1 : 4
            let zero = Int32(noise.int(0...255))
            let scale = noise.float(0.001...0.1)
            var bytes = noise.bytes(rows * c)
            if c == 32768 { bytes = bytes.indices.map { $0 % 2 == 0 ? 255 : 254 } }
            let input = KernelMemory(bytes)
            let gamma = KernelMemory(noise.floats(c, in: -60...60))
            let beta = KernelMemory(noise.floats(c, in: -60...60))
            let varianceScale = scale * scale / Float(c) / Float(c)
            let dScale = scale / Float(c)
            let epsilon: Float = c % 2 == 0 ? 1e-5 : 0
            let output = KernelHarness.run(\.layernorm_u8, items: rows, outputs: rows * c, of: UInt8.self, "c \(c)") {
                alula_layernorm_u8_args(
                    input: input.pointer, gamma: gamma.pointer, beta: beta.pointer, output: $0, rows: Int32(rows),
                    c: Int32(c), zero: zero,
                    variance_scale: varianceScale, d_scale: dScale, epsilon: epsilon)
            }
            var expected: [UInt8] = []
            for row in 0..<rows {
                let x = bytes[row * c..<(row + 1) * c].map { Int($0) }
                let s1 = x.reduce(0, +)
                let s2 = x.reduce(0) { $0 + $1 * $1 }
                let v = Float(c * s2 - s1 * s1) * varianceScale + epsilon
                for (i, x) in x.enumerated() {
                    let d = v > 0 ? Float(c * x - s1) * (dScale / v.squareRoot()) : 0
                    expected.append(KernelHarness.quantize(d * gamma.pointer[i] + beta.pointer[i], zero: zero))
                }
            }
            KernelHarness.expectSame(output, expected, "c \(c)")
        }
    }

    @Test func bytesAreCloseToRealLayerNorm() {
        var noise = KernelNoise(2)
        let c = 448
        let scale = 0.04
        let outputScale = 0.03
        let bytes = (0..<c).map { _ in UInt8(noise.int(0...255)) }
        let input = KernelMemory(bytes)
        let gamma = KernelMemory([Float](repeating: Float(1 / outputScale), count: c))
        let beta = KernelMemory([Float](repeating: 0, count: c))
        let output = KernelHarness.run(\.layernorm_u8, items: 1, outputs: c, of: UInt8.self, "c \(c)") {
            alula_layernorm_u8_args(
                input: input.pointer, gamma: gamma.pointer, beta: beta.pointer, output: $0, rows: 1, c: Int32(c),
                zero: 128,
                variance_scale: Float(scale * scale / Double(c * c)), d_scale: Float(scale / Double(c)), epsilon: 1e-5)
        }
        let x = bytes.map { Double($0) * scale }
        let mean = x.reduce(0, +) / Double(c)
        let deviation = (x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(c) + 1e-5).squareRoot()
        for (x, y) in zip(x, output) {
            #expect(abs((x - mean) / deviation - (Double(y) - 128) * outputScale) < 0.501 * outputScale)
        }
    }

    @Test func floatsAreNormalizedInEightPartialSums() {
        var noise = KernelNoise(3)
        for c in widths where c <= 1000 {
            let rows = 3
            let input = KernelMemory(noise.floats(rows * c, in: -5...9))
            let gamma = KernelMemory(noise.floats(c))
            let beta = KernelMemory(noise.floats(c))
            let output = KernelHarness.run(\.layernorm_f32, items: rows, outputs: rows * c, of: Float.self, "c \(c)") {
                alula_layernorm_f32_args(
                    input: input.pointer, gamma: gamma.pointer, beta: beta.pointer, output: $0, rows: Int32(rows),
                    c: Int32(c), epsilon: 1e-6)
            }
            func sum(_ x: [Float]) -> Float {
                var p = [Float](repeating: 0, count: 8)
                for (i, x) in x.enumerated() { p[i % 8] += x }
                return ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]))
            }
            var expected: [Float] = []
            for row in 0..<rows {
                let x = Array(input.elements[row * c..<(row + 1) * c])
                let mean = sum(x) / Float(c)
                let variance = sum(x.map { ($0 - mean) * ($0 - mean) }) / Float(c)
                let r = 1 / (variance + 1e-6).squareRoot()
                expected += x.indices.map { i in (x[i] - mean) * r * gamma.pointer[i] + beta.pointer[i] }
            }
            KernelHarness.expectSame(output, expected, "c \(c)")
        }
    }

    @Test func softmaxSumsToOne() {
        var noise = KernelNoise(4)
        for (n, inner) in [(1, 1), (5, 1), (8, 1), (49, 1), (1000, 1), (6, 2), (10, 31), (3, 32), (7, 33), (4, 100)] {
            let outer = 3
            let count = outer * n * inner
            let input = KernelMemory(noise.floats(count, in: -30...30))
            let output = KernelHarness.run(
                \.softmax_f32, items: outer, outputs: count, of: Float.self, "n \(n) inner \(inner)"
            ) {
                alula_softmax_f32_args(
                    input: input.pointer, output: $0, outer: Int32(outer), n: Int32(n), inner: Int32(inner))
            }
            for o in 0..<outer {
                for i in 0..<inner {
                    let at = (0..<n).map { (o * n + $0) * inner + i }
                    let x = at.map { Double(input.pointer[$0]) }
                    let m = x.max()!
                    let total = x.reduce(0) { $0 + exp($1 - m) }
                    for (index, x) in zip(at, x) {
                        let truth = exp(x - m) / total
                        #expect(abs(Double(output[index]) - truth) <= 2e-5 * truth + 1e-30, "n \(n) inner \(inner)")
                    }
                }
            }
        }
    }
}
