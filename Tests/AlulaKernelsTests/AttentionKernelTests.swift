import AlulaKernels
import Foundation
import Testing

/// A random attention problem with gaps between tokens and heads.
private struct Problem {
    var shape = alula_attention_shape()
    var bias: KernelMemory<Float>?
    let items: Int

    init(
        _ noise: inout KernelNoise, batch: Int, heads: Int, queries: Int, keys: Int, keyDim: Int, valueDim: Int,
        biasKind: Int
    ) {
        items = batch * heads
        (shape.batch, shape.heads) = (Int32(batch), Int32(heads))
        (shape.tokens_q, shape.tokens_k, shape.key_dim, shape.value_dim) = (
            Int32(queries), Int32(keys), Int32(keyDim), Int32(valueDim)
        )
        let gap = noise.int(0...3)
        (shape.q_head, shape.k_head, shape.v_head, shape.o_head) = (
            Int32(keyDim + gap), Int32(keyDim), Int32(valueDim + gap), Int32(valueDim)
        )
        shape.q_stride = shape.q_head * Int32(heads) + 1
        shape.k_stride = shape.k_head * Int32(heads)
        shape.v_stride = shape.v_head * Int32(heads) + 5
        shape.o_stride = shape.o_head * Int32(heads) + Int32(gap)
        shape.qk_scale = 0.0004
        (shape.bias_batch, shape.bias_heads) = (1, 1)
        if biasKind > 0 {
            shape.bias_heads = biasKind == 2 ? 1 : Int32(heads)
            shape.bias_batch = biasKind == 3 ? 2 : 1
            bias = KernelMemory(noise.floats(Int(shape.bias_batch * shape.bias_heads) * queries * keys))
            shape.bias = UnsafePointer(bias!.pointer)
        }
    }

    func count(_ tokens: Int32, _ stride: Int32) -> Int { Int(shape.batch * tokens * stride) }

    func at(_ item: Int, _ token: Int, _ tokens: Int32, _ stride: Int32, _ head: Int32) -> Int {
        let heads = Int(shape.heads)
        return (item / heads * Int(tokens) + token) * Int(stride) + item % heads * Int(head)
    }

    func bias(_ item: Int, _ query: Int, _ key: Int) -> Float? {
        guard let bias else { return nil }
        let batch = item / Int(shape.heads) % Int(shape.bias_batch)
        let head = shape.bias_heads == 1 ? 0 : item % Int(shape.heads)
        return bias.pointer[
            ((batch * Int(shape.bias_heads) + head) * Int(shape.tokens_q) + query) * Int(shape.tokens_k) + key]
    }
}

@Suite struct AttentionKernelTests {
    // (batch, heads, queries, keys, key dim, value dim)
    private let shapes = [
        (1, 1, 1, 1, 1, 1), (1, 2, 3, 5, 7, 3), (2, 2, 4, 8, 8, 16), (2, 3, 5, 15, 9, 17), (1, 2, 7, 16, 16, 15),
        (3, 1, 6, 17, 3, 33),
        (1, 2, 49, 49, 32, 128), (1, 1, 4, 100, 33, 20), (2, 2, 2, 33, 24, 24), (1, 1, 9, 200, 64, 64),
    ]

    private func problems(_ body: (Problem, inout KernelNoise, String) -> Void) {
        var noise = KernelNoise(1)
        for (index, s) in shapes.enumerated() {
            let problem = Problem(
                &noise, batch: s.0, heads: s.1, queries: s.2, keys: s.3, keyDim: s.4, valueDim: s.5, biasKind: index % 4
            )
            body(problem, &noise, "\(s)")
        }
    }

    @Test func bytesFollowTheDefinition() {
        problems { problem, noise, label in
            let s = problem.shape
            let q = KernelMemory(noise.bytes(problem.count(s.tokens_q, s.q_stride)))
            let k = KernelMemory(noise.bytes(problem.count(s.tokens_k, s.k_stride)))
            let v = KernelMemory(noise.bytes(problem.count(s.tokens_k, s.v_stride)))
            var arguments = alula_attention_u8_args()
            (arguments.shape, arguments.q, arguments.k, arguments.v) = (
                s, UnsafePointer(q.pointer), UnsafePointer(k.pointer), UnsafePointer(v.pointer)
            )
            (arguments.q_zero, arguments.k_zero, arguments.v_zero) = (
                Int32(noise.int(0...255)), Int32(noise.int(0...255)), Int32(noise.int(0...255))
            )
            (arguments.zero, arguments.v_multiplier) = (Int32(noise.int(0...255)), noise.float(0.5...1.5))
            let outputs = problem.count(s.tokens_q, s.o_stride)
            let output = KernelHarness.run(
                \.attention_u8, items: problem.items, outputs: outputs, of: UInt8.self,
                scratch: alula_attention_u8_scratch(&arguments), label
            ) { output in
                arguments.output = output
                return arguments
            }
            var expected = [UInt8](repeating: 0xA5, count: outputs)
            for item in 0..<problem.items {
                for query in 0..<Int(s.tokens_q) {
                    let t = (0..<Int(s.tokens_k)).map { key -> Float in
                        let a = (0..<Int(s.key_dim)).reduce(Int32(0)) { sum, i in
                            let x =
                                Int32(q.pointer[problem.at(item, query, s.tokens_q, s.q_stride, s.q_head) + i])
                                - arguments.q_zero
                            return sum + x
                                * (Int32(k.pointer[problem.at(item, key, s.tokens_k, s.k_stride, s.k_head) + i])
                                    - arguments.k_zero)
                        }
                        let scaled = Float(a) * s.qk_scale
                        return problem.bias(item, query, key).map { scaled + $0 } ?? scaled
                    }
                    let m = t.max()!
                    let e = KernelHarness.unary(ALULA_EXP, t.map { $0 - m })
                    let u = e.map { Int32(($0 * 255).rounded(.toNearestOrEven)) }
                    let total = u.reduce(0, +)
                    for d in 0..<Int(s.value_dim) {
                        let sum = u.indices.reduce(Int32(0)) { sum, key in
                            let value = Int32(v.pointer[problem.at(item, key, s.tokens_k, s.v_stride, s.v_head) + d])
                            return sum + u[key] * (value - arguments.v_zero)
                        }
                        expected[problem.at(item, query, s.tokens_q, s.o_stride, s.o_head) + d] =
                            KernelHarness.quantize(
                                Float(sum) * (arguments.v_multiplier / Float(total)), zero: arguments.zero)
                    }
                }
            }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    @Test func floatsFollowTheDefinition() {
        problems { problem, noise, label in
            var s = problem.shape
            s.qk_scale = 0.3
            let q = KernelMemory(noise.floats(problem.count(s.tokens_q, s.q_stride)))
            let k = KernelMemory(noise.floats(problem.count(s.tokens_k, s.k_stride)))
            let v = KernelMemory(noise.floats(problem.count(s.tokens_k, s.v_stride)))
            var arguments = alula_attention_f32_args()
            (arguments.shape, arguments.q, arguments.k, arguments.v) = (
                s, UnsafePointer(q.pointer), UnsafePointer(k.pointer), UnsafePointer(v.pointer)
            )
            let outputs = problem.count(s.tokens_q, s.o_stride)
            let output = KernelHarness.run(
                \.attention_f32, items: problem.items, outputs: outputs, of: Float.self,
                scratch: alula_attention_f32_scratch(&arguments), label
            ) { output in
                arguments.output = output
                return arguments
            }
            var expected = [Float](repeating: Float(bitPattern: 0xA5A5_A5A5), count: outputs)
            for item in 0..<problem.items {
                for query in 0..<Int(s.tokens_q) {
                    let t = (0..<Int(s.tokens_k)).map { key -> Float in
                        let a = (0..<Int(s.key_dim)).reduce(Float(0)) { sum, i in
                            let x = q.pointer[problem.at(item, query, s.tokens_q, s.q_stride, s.q_head) + i]
                            return sum.addingProduct(
                                x, k.pointer[problem.at(item, key, s.tokens_k, s.k_stride, s.k_head) + i])
                        }
                        let scaled = a * s.qk_scale
                        return problem.bias(item, query, key).map { scaled + $0 } ?? scaled
                    }
                    let m = t.max()!
                    let e = KernelHarness.unary(ALULA_EXP, t.map { $0 - m })
                    let inverse = 1 / e.reduce(0, +)
                    for d in 0..<Int(s.value_dim) {
                        let sum = e.indices.reduce(Float(0)) { sum, key in
                            sum.addingProduct(
                                e[key], v.pointer[problem.at(item, key, s.tokens_k, s.v_stride, s.v_head) + d])
                        }
                        expected[problem.at(item, query, s.tokens_q, s.o_stride, s.o_head) + d] = sum * inverse
                    }
                }
            }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    @Test func maskedKeysGetNoWeight() {
        var noise = KernelNoise(3)
        var problem = Problem(&noise, batch: 1, heads: 1, queries: 2, keys: 20, keyDim: 8, valueDim: 16, biasKind: 1)
        problem.shape.qk_scale = 0.1
        for query in 0..<2 { for key in 3..<20 { problem.bias!.pointer[query * 20 + key] = -.infinity } }
        let s = problem.shape
        let q = KernelMemory(noise.floats(problem.count(2, s.q_stride)))
        let k = KernelMemory(noise.floats(problem.count(20, s.k_stride)))
        let v = KernelMemory((0..<20).flatMap { key in [Float](repeating: key < 3 ? 7 : 1000, count: Int(s.v_stride)) })
        var arguments = alula_attention_f32_args()
        (arguments.shape, arguments.q, arguments.k, arguments.v) = (
            s, UnsafePointer(q.pointer), UnsafePointer(k.pointer), UnsafePointer(v.pointer)
        )
        let output = KernelHarness.run(
            \.attention_f32, items: 1, outputs: 2 * Int(s.o_stride), of: Float.self,
            scratch: alula_attention_f32_scratch(&arguments), "mask"
        ) { output in
            arguments.output = output
            return arguments
        }
        #expect(output.prefix(16).allSatisfy { abs($0 - 7) < 1e-5 })
    }

    @Test func productsSumInOrder() {
        var noise = KernelNoise(4)
        let shapes = [
            (1, 1, 1, 1), (1, 5, 16, 3), (2, 4, 17, 128), (3, 7, 15, 129), (1, 9, 33, 300), (2, 1, 40, 20),
            (1, 3, 5, 0), (2, 6, 64, 64),
        ]
        for (index, (batch, m, n, k)) in shapes.enumerated() {
            for transposed in [false, true] {
                let shared = index % 2 == 1
                let a = KernelMemory(noise.floats(batch * m * k))
                let b = KernelMemory(noise.floats((shared ? 1 : batch) * n * k))
                let alpha: Float = index % 3 == 0 ? 1 : 0.125
                let label = "\((batch, m, n, k)) \(transposed)"
                let output = KernelHarness.run(
                    \.matmul_f32, items: batch * m, outputs: batch * m * n, of: Float.self, label
                ) {
                    alula_matmul_f32_args(
                        a: a.pointer, b: b.pointer, output: $0, batch: Int32(batch), m: Int32(m), n: Int32(n),
                        k: Int32(k), a_batch: Int64(m * k),
                        b_batch: shared ? 0 : Int64(n * k), transpose_b: transposed ? 1 : 0, alpha: alpha)
                }
                var expected: [Float] = []
                for row in 0..<batch * m {
                    let start = shared ? 0 : row / m * n * k
                    for j in 0..<n {
                        let sum = (0..<k).reduce(Float(0)) { sum, i in
                            sum.addingProduct(
                                a.pointer[row * k + i], b.pointer[start + (transposed ? j * k + i : i * n + j)])
                        }
                        expected.append(alpha * sum)
                    }
                }
                KernelHarness.expectSame(output, expected, label)
            }
        }
    }

    /// The scalar kernel works without fused hardware; its emulation must round as the instruction does.
    @Test func fusedMultiplyAddRoundsOnce() {
        var noise = KernelNoise(5)
        let count = 200_000
        func any() -> Float {
            let x = Float(bitPattern: UInt32(truncatingIfNeeded: noise.next()))
            return x.isFinite ? x : 1
        }
        for trial in 0..<count / 16 {
            // C[0, j] = a0 * 1... as k = 2: fma(a1, b1[j], a0 * b0[j]) with a0 = 1 gives fma(a1, b1[j], b0[j]).
            let near = trial % 2 == 0
            let a1 = near ? noise.float(-2...2) : any()
            let b0 = (0..<16).map { _ in near ? noise.float(-1e-6...1e-6) : any() }
            let b1 = (0..<16).map { _ in near ? noise.float(-2...2) : any() }
            var x: [Float] = [1, a1]
            var y = b0 + b1
            var output = [Float](repeating: 0, count: 16)
            var arguments = alula_matmul_f32_args()
            (arguments.batch, arguments.m, arguments.n, arguments.k, arguments.alpha) = (1, 1, 16, 2, 1)
            x.withUnsafeMutableBufferPointer { x in
                y.withUnsafeMutableBufferPointer { y in
                    output.withUnsafeMutableBufferPointer { output in
                        (arguments.a, arguments.b, arguments.output) = (
                            UnsafePointer(x.baseAddress), UnsafePointer(y.baseAddress), output.baseAddress
                        )
                        KernelHarness.scalar.matmul_f32(&arguments, 0, 1, nil)
                    }
                }
            }
            for j in 0..<16 {
                let expected = b0[j].addingProduct(a1, b1[j])
                if !KernelHarness.same(output[j], expected) {
                    Issue.record("fma(\(a1), \(b1[j]), \(b0[j])) = \(output[j]), not \(expected)")
                }
            }
        }
    }
}
