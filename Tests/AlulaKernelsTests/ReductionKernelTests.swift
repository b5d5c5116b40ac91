import AlulaKernels
import Testing

@Suite struct ReductionKernelTests {
    private let functions: [(alula_reduction, Float, (Float, Float) -> Float)] = [
        (ALULA_REDUCE_SUM, 0, { $0 + $1 }), (ALULA_REDUCE_PRODUCT, 1, { $0 * $1 }),
        (ALULA_REDUCE_MAX, -.infinity, { max($0, $1) }), (ALULA_REDUCE_MIN, .infinity, { min($0, $1) }),
    ]

    /// Runs over the middle axis of [outer, n, inner], or over the first and last axis of [n, outer, inner] if `around`.
    private func reduce(
        _ function: alula_reduction, _ input: KernelMemory<Float>, _ kept: [(Int, Int)], _ reduced: [(Int, Int)],
        scale: Float, _ label: String
    ) -> [Float] {
        let outputs = kept.reduce(1) { $0 * $1.0 }
        let items = outputs / kept.last!.0 * ((kept.last!.0 + 63) / 64)
        return KernelHarness.run(\.reduce_f32, items: items, outputs: outputs, of: Float.self, label) { output in
            var arguments = alula_reduce_f32_args()
            (arguments.input, arguments.output, arguments.scale) = (UnsafePointer(input.pointer), output, scale)
            arguments.function = Int32(function.rawValue)
            (arguments.kept_rank, arguments.reduced_rank) = (Int32(kept.count), Int32(reduced.count))
            withUnsafeMutableBytes(of: &arguments.kept) { $0.bindMemory(to: Int32.self).fill(kept.map(\.0)) }
            withUnsafeMutableBytes(of: &arguments.reduced) { $0.bindMemory(to: Int32.self).fill(reduced.map(\.0)) }
            withUnsafeMutableBytes(of: &arguments.kept_strides) { $0.bindMemory(to: Int64.self).fill(kept.map(\.1)) }
            withUnsafeMutableBytes(of: &arguments.reduced_strides) {
                $0.bindMemory(to: Int64.self).fill(reduced.map(\.1))
            }
            return arguments
        }
    }

    @Test func columnsAreCombinedInOrder() {
        var noise = KernelNoise(1)
        for (function, start, combine) in functions {
            for (outer, n, inner) in [(1, 1, 1), (2, 49, 448), (4, 7, 65), (1, 300, 64), (5, 3, 31), (2, 100, 2)] {
                let input = KernelMemory(noise.floats(outer * n * inner))
                let label = "function \(function.rawValue) \((outer, n, inner))"
                let output = reduce(
                    function, input, [(outer, n * inner), (inner, 1)], [(n, inner)], scale: 1 / Float(n), label)
                let expected = (0..<outer * inner).map { at in
                    (0..<n).reduce(start) { combine($0, input.pointer[(at / inner * n + $1) * inner + at % inner]) }
                        * (1 / Float(n))
                }
                KernelHarness.expectSame(output, expected, label)
            }
        }
    }

    @Test func rowsAreCombinedInEightParts() {
        var noise = KernelNoise(2)
        for (function, start, combine) in functions {
            for (n, outer, inner) in [(1, 1, 1), (1, 70, 5), (3, 4, 8), (2, 3, 31), (2, 5, 100), (1, 130, 16)] {
                let input = KernelMemory(noise.floats(n * outer * inner, in: 0.5...1.5))
                let label = "function \(function.rawValue) \((n, outer, inner))"
                let output = reduce(
                    function, input, [(outer, inner)], [(n, outer * inner), (inner, 1)], scale: 2, label)
                let expected = (0..<outer).map { at -> Float in
                    var r = [Float](repeating: start, count: 8)
                    for row in 0..<n {
                        for i in 0..<inner {
                            r[i % 8] = combine(r[i % 8], input.pointer[(row * outer + at) * inner + i])
                        }
                    }
                    let front = combine(combine(r[0], r[1]), combine(r[2], r[3]))
                    return combine(front, combine(combine(r[4], r[5]), combine(r[6], r[7]))) * 2
                }
                KernelHarness.expectSame(output, expected, label)
            }
        }
    }

    @Test func extremesPropagateNaN() {
        for function in [ALULA_REDUCE_MAX, ALULA_REDUCE_MIN] {
            for place in [0, 3, 9, 19] {
                var values = [Float](repeating: 1, count: 20)
                values[place] = .nan
                let input = KernelMemory(values)
                #expect(reduce(function, input, [(1, 0)], [(20, 1)], scale: 1, "row")[0].isNaN)
                let columns = reduce(function, input, [(2, 1)], [(10, 2)], scale: 1, "columns")
                #expect(columns[place % 2].isNaN && columns[1 - place % 2] == 1)
            }
        }
    }

    @Test func bestElementsComeInOrder() {
        var noise = KernelNoise(3)
        for (outer, n, inner, count) in [(1, 1, 1, 1), (3, 20, 1, 5), (2, 9, 7, 9), (4, 100, 1, 1), (1, 50, 3, 10)] {
            for choice in 0..<4 {
                let (smallest, last) = (choice % 2 == 1, choice / 2 == 1)
                // Many equal numbers, and some NaN, which come after all numbers.
                let values = (0..<outer * n * inner).map { _ in Float(noise.int(-4...4)) }
                    .map { $0 == 4 && n > 1 ? Float.nan : $0 }
                let input = KernelMemory(values)
                let label = "\((outer, n, inner, count)) smallest \(smallest) last \(last)"
                let indices = KernelMemory<Int32>(count: outer * count * inner)
                let best = KernelHarness.run(
                    \.top_k_f32, items: outer, outputs: outer * count * inner, of: Float.self, label
                ) {
                    alula_top_k_f32_args(
                        input: input.pointer, values: $0, indices: indices.pointer, outer: Int32(outer), n: Int32(n),
                        inner: Int32(inner), count: Int32(count), smallest: smallest ? 1 : 0,
                        prefers_last: last ? 1 : 0)
                }
                for o in 0..<outer {
                    for i in 0..<inner {
                        let order = (0..<n).sorted { a, b in
                            let (x, y) = (values[(o * n + a) * inner + i], values[(o * n + b) * inner + i])
                            if x.isNaN != y.isNaN { return y.isNaN }
                            if x == y || x.isNaN { return last ? a > b : a < b }
                            return smallest ? x < y : x > y
                        }
                        for k in 0..<count {
                            let at = (o * count + k) * inner + i
                            #expect(Int(indices.pointer[at]) == order[k], "\(label)")
                            #expect(KernelHarness.same(best[at], values[(o * n + order[k]) * inner + i]), "\(label)")
                        }
                    }
                }
            }
        }
    }

    @Test func weightedSumsRunInTheOrderOfTaps() {
        var noise = KernelNoise(4)
        for (outer, n, inner, count, taps) in [(1, 1, 1, 1, 1), (2, 7, 5, 4, 3), (1, 9, 33, 14, 2), (3, 4, 16, 8, 4)] {
            let label = "\((outer, n, inner, count, taps))"
            let index = KernelMemory((0..<count * taps).map { _ in Int32(noise.int(0...n - 1)) })
            let weights = KernelMemory(noise.floats(count * taps))
            func sum(_ at: Int, _ value: (Int) -> Float) -> Float {
                let (o, j, i) = (at / inner / count, at / inner % count, at % inner)
                return (j * taps..<(j + 1) * taps).reduce(Float(0)) {
                    $0 + weights.pointer[$1] * value((o * n + Int(index.pointer[$1])) * inner + i)
                }
            }
            let floats = KernelMemory(noise.floats(outer * n * inner))
            let outputs = outer * count * inner
            let result = KernelHarness.run(
                \.resample_f32, items: outer * count, outputs: outputs, of: Float.self, label
            ) {
                alula_resample_f32_args(
                    input: floats.pointer, output: $0, index: index.pointer, weights: weights.pointer, n: Int32(n),
                    inner: Int32(inner), count: Int32(count), taps: Int32(taps))
            }
            KernelHarness.expectSame(result, (0..<outputs).map { sum($0) { floats.pointer[$0] } }, label)

            let bytes = KernelMemory(noise.bytes(outer * n * inner))
            let quantized = KernelHarness.run(
                \.resample_u8, items: outer * count, outputs: outputs, of: UInt8.self, label
            ) {
                alula_resample_u8_args(
                    input: bytes.pointer, output: $0, index: index.pointer, weights: weights.pointer, n: Int32(n),
                    inner: Int32(inner), count: Int32(count), taps: Int32(taps), zero_in: 100, zero: 90,
                    multiplier: 0.75)
            }
            let expected = (0..<outputs).map { at in
                KernelHarness.quantize(sum(at) { Float(Int32(bytes.pointer[$0]) - 100) } * 0.75, zero: 90)
            }
            KernelHarness.expectSame(quantized, expected, label)
        }
    }
}
