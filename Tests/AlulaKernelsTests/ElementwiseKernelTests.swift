import AlulaKernels
import Foundation
import Testing

/// The largest errors of a function against Foundation's in Double.
private struct Errors: CustomStringConvertible {
    var absolute = 0.0
    var ulps = 0.0

    init(_ function: alula_unary, over x: [Float], parameters: [Float] = [], _ exact: (Double) -> Double) {
        let y = KernelHarness.unary(function, x, parameters)
        for (x, y) in zip(x, y) {
            let truth = exact(Double(x))
            let error = abs(Double(y) - truth)
            absolute = max(absolute, error)
            ulps = max(ulps, error / Double(Float(abs(truth)).ulp))
        }
    }

    var description: String { String(format: "absolute %.3g, %.2f ulp", absolute, ulps) }
}

private func sweep(_ range: ClosedRange<Float>, _ count: Int = 400_000) -> [Float] {
    (0...count).map { range.lowerBound + (range.upperBound - range.lowerBound) * (Float($0) / Float(count)) }
}

/// Magnitudes from tiny to large, both signs.
private let geometric: [Float] = (-2400..<1200).flatMap { i -> [Float] in
    let x = Float(pow(2.0, Double(i) / 30))
    return [x, -x]
}

private let special: [Float] = [
    0, -0.0, 1, -1, 0.5, -0.5, .infinity, -.infinity, .nan, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
    .leastNormalMagnitude,
    .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 88.72284, 88.8, 89.1, -87.3, -87.4, -103.9, -104, -104.6, 0.625,
    0.8, 11, 15, 16,
]

private let functions: [alula_unary] = [
    ALULA_NONE, ALULA_RELU, ALULA_GELU, ALULA_GELU_TANH, ALULA_SILU, ALULA_SIGMOID, ALULA_TANH, ALULA_HARD_SWISH,
    ALULA_HARD_SIGMOID, ALULA_RELU6,
    ALULA_EXP, ALULA_LOG, ALULA_SQRT, ALULA_RSQRT, ALULA_RECIPROCAL, ALULA_NEGATE, ALULA_ABS, ALULA_ERF, ALULA_SIN,
    ALULA_COS, ALULA_TAN, ALULA_ASIN, ALULA_ACOS, ALULA_ATAN, ALULA_SINH, ALULA_COSH, ALULA_ASINH, ALULA_ACOSH,
    ALULA_ATANH, ALULA_FLOOR, ALULA_CEIL, ALULA_SIGN, ALULA_ROUND, ALULA_SOFTPLUS, ALULA_SOFTSIGN, ALULA_MISH,
    ALULA_SWISH, ALULA_LEAKY_RELU, ALULA_ELU, ALULA_THRESHOLDED_RELU, ALULA_SHRINK, ALULA_CLIP,
]

@Suite struct ElementwiseKernelTests {
    // MARK: Accuracy of the elementary functions

    @Test func expIsWithinTwoUlps() {
        let errors = Errors(ALULA_EXP, over: sweep(-87.3...88.7, 2_000_000) + sweep(-1...1)) { exp($0) }
        print("exp:", errors)
        #expect(errors.ulps < 1.5)
        let denormal = Errors(ALULA_EXP, over: sweep(-104...(-87.3))) { exp($0) }
        #expect(denormal.ulps < 1.01)
        #expect(
            KernelHarness.unary(ALULA_EXP, [.infinity, -.infinity, 89, -105, 0]) == [.infinity, 0, .infinity, 0, 1])
        #expect(KernelHarness.unary(ALULA_EXP, [.nan])[0].isNaN)
    }

    @Test func logIsWithinTwoUlps() {
        let positive =
            geometric.filter { $0 > 0 } + sweep(0.3...3, 1_000_000).filter { $0 != 1 } + [
                .leastNonzeroMagnitude, .leastNormalMagnitude / 3,
            ]
        let errors = Errors(ALULA_LOG, over: positive) { log($0) }
        print("log:", errors)
        #expect(errors.ulps < 2)
        #expect(KernelHarness.unary(ALULA_LOG, [0, -0.0, 1, .infinity]) == [-.infinity, -.infinity, 0, .infinity])
        #expect(KernelHarness.unary(ALULA_LOG, [-1, .nan, -.infinity]).allSatisfy { $0.isNaN })
    }

    @Test func erfIsWithinItsStatedError() {
        let errors = Errors(ALULA_ERF, over: sweep(-6...6, 2_000_000) + geometric) { erf($0) }
        print("erf:", errors)
        #expect(errors.absolute < 1.5e-7)
        #expect(errors.ulps < 4)
        #expect(KernelHarness.unary(ALULA_ERF, [0, .infinity, -.infinity]) == [0, 1, -1])
    }

    @Test func geluIsWithinItsStatedErrors() {
        let exact: (Double) -> Double = { 0.5 * $0 * erfc(-$0 / 2.0.squareRoot()) }
        let below = Errors(ALULA_GELU, over: sweep(-13...2, 2_000_000), exact)
        let middle = Errors(ALULA_GELU, over: sweep(-3...2, 1_000_000) + geometric.filter { abs($0) < 2 }, exact)
        let above = Errors(ALULA_GELU, over: sweep(2...30, 1_000_000), exact)
        print("gelu below 2:", below, "from -3 up:", middle, "from 2 up:", above)
        #expect(below.absolute < 1.8e-7)
        #expect(middle.ulps < 25)
        #expect(above.ulps < 1)
        #expect(KernelHarness.unary(ALULA_GELU, [0, .infinity, 1e30]) == [0, .infinity, 1e30])
        #expect(KernelHarness.unary(ALULA_GELU, [-40, -1e30]).allSatisfy { abs($0) < 1e-8 })
        #expect(KernelHarness.unary(ALULA_GELU, [.nan])[0].isNaN)
    }

    @Test func geluSlopeIsWithinItsStatedError() {
        let x = sweep(-13...13, 500_000)
        let errors = zip(x, KernelHarness.slope(ALULA_GELU, x)).map { x, slope in
            let x = Double(x)
            let density = exp(-0.5 * x * x) / (2 * Double.pi).squareRoot()
            return abs(Double(slope) - (0.5 * erfc(-x / 2.0.squareRoot()) + x * density))
        }
        print("gelu's slope:", errors.max()!)
        #expect(errors.max()! < 2.7e-7)
    }

    @Test func tanhAndSigmoidAreWithinAFewUlps() {
        let tanhErrors = Errors(ALULA_TANH, over: sweep(-12...12, 2_000_000) + geometric) { tanh($0) }
        let sigmoidErrors = Errors(ALULA_SIGMOID, over: sweep(-80...80, 2_000_000)) { 1 / (1 + exp(-$0)) }
        let siluErrors = Errors(ALULA_SILU, over: sweep(-80...80, 2_000_000)) { $0 / (1 + exp(-$0)) }
        print("tanh:", tanhErrors, "sigmoid:", sigmoidErrors, "silu:", siluErrors)
        #expect(tanhErrors.ulps < 2.5)
        #expect(sigmoidErrors.ulps < 3)
        #expect(siluErrors.ulps < 4)
    }

    @Test func tanhGeluFollowsItsFormula() {
        let errors = Errors(ALULA_GELU_TANH, over: sweep(-6...30, 1_000_000)) { x in
            0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        }
        print("gelu_tanh:", errors)
        #expect(errors.absolute < 3e-6)
    }

    /// Those that are worked out in double.
    @Test func transcendentalFunctionsAreWithinHalfAnUlp() {
        let near = sweep(-1...1, 100_000)
        let far = geometric.filter { abs($0) < 1e6 }
        let unit = near + geometric.filter { abs($0) < 1 }
        let functions: [(alula_unary, [Float], (Double) -> Double)] = [
            (ALULA_SIN, sweep(-100...100) + far, { sin($0) }), (ALULA_COS, sweep(-100...100) + far, { cos($0) }),
            (ALULA_TAN, sweep(-100...100) + far, { tan($0) }), (ALULA_ASIN, unit, { asin($0) }),
            (ALULA_ACOS, unit, { acos($0) }), (ALULA_ATAN, sweep(-20...20) + geometric, { atan($0) }),
            (ALULA_SINH, sweep(-89...89) + near, { sinh($0) }), (ALULA_COSH, sweep(-89...89) + near, { cosh($0) }),
            (ALULA_ASINH, sweep(-20...20) + geometric, { asinh($0) }),
            (ALULA_ACOSH, sweep(1...20) + geometric.filter { $0 >= 1 }, { acosh($0) }),
            (ALULA_ATANH, unit.filter { abs($0) < 1 }, { atanh($0) }),
            (ALULA_SOFTPLUS, sweep(-85...100), { max($0, 0) + log1p(exp(-abs($0))) }),
        ]
        for (function, x, exact) in functions {
            let errors = Errors(function, over: x.filter { abs($0) > 1e-30 || $0 == 0 }, exact)
            #expect(errors.ulps < 0.51, "function \(function.rawValue): \(errors)")
        }
    }

    @Test func transcendentalFunctionsKnowTheirEnds() {
        let infinity = Float.infinity
        let cases: [(alula_unary, [Float], [Float])] = [
            (ALULA_SIN, [0, -0.0], [0, -0.0]), (ALULA_COS, [0], [1]),
            (ALULA_ASIN, [1, -1], [Float(Double.pi / 2), -Float(Double.pi / 2)]),
            (ALULA_ACOS, [1, -1], [0, Float(Double.pi)]),
            (ALULA_ATAN, [infinity, -infinity], [Float(Double.pi / 2), -Float(Double.pi / 2)]),
            (ALULA_SINH, [infinity, -infinity, 90], [infinity, -infinity, infinity]),
            (ALULA_COSH, [infinity, -infinity], [infinity, infinity]),
            (ALULA_ASINH, [infinity, -infinity], [infinity, -infinity]), (ALULA_ACOSH, [1, infinity], [0, infinity]),
            (ALULA_ATANH, [1, -1], [infinity, -infinity]),
            (ALULA_SOFTPLUS, [infinity, -infinity, 200], [infinity, 0, 200]),
            (ALULA_MISH, [infinity, 30], [infinity, 30]), (ALULA_SIGN, [-0.0, 5, -infinity], [0, 1, -1]),
            (ALULA_ROUND, [0.5, 1.5, -2.5, 8_388_609, -infinity], [0, 2, -2, 8_388_609, -infinity]),
            (ALULA_FLOOR, [-0.5, 2.9, -1e20], [-1, 2, -1e20]), (ALULA_CEIL, [-0.5, 2.1, 1e20], [-0.0, 3, 1e20]),
        ]
        for (function, x, expected) in cases {
            #expect(KernelHarness.unary(function, x) == expected, "function \(function.rawValue)")
        }
        let outside: [(alula_unary, [Float])] = [
            (ALULA_SIN, [infinity, -infinity]), (ALULA_COS, [infinity]), (ALULA_TAN, [infinity]),
            (ALULA_ASIN, [1.1, -2]), (ALULA_ACOS, [1.1, -2]), (ALULA_ACOSH, [0.9, -1]), (ALULA_ATANH, [1.1, -3]),
        ]
        for (function, x) in outside {
            #expect(KernelHarness.unary(function, x).allSatisfy { $0.isNaN }, "function \(function.rawValue)")
        }
        for function in functions where function != ALULA_THRESHOLDED_RELU && function != ALULA_CLIP {
            #expect(KernelHarness.unary(function, [.nan])[0].isNaN, "function \(function.rawValue)")
        }
    }

    @Test func eluAndMishAreAccurate() {
        let elu = Errors(
            ALULA_ELU, over: sweep(-30...5) + geometric.filter { abs($0) < 80 }, parameters: [1.5, 1, 0.5]
        ) {
            $0 > 0 ? $0 : 1.5 * expm1(0.5 * $0)
        }
        #expect(elu.ulps < 0.51)
        let mish = Errors(ALULA_MISH, over: sweep(-80...80)) { $0 * tanh(max($0, 0) + log1p(exp(-abs($0)))) }
        print("elu:", elu, "mish:", mish)
        #expect(mish.ulps < 4)
    }

    @Test func functionsTakeParameters() {
        let x = sweep(-8...8, 10_007)
        let definitions: [(alula_unary, [Float], (Float) -> Float)] = [
            (ALULA_LEAKY_RELU, [0.2], { $0 < 0 ? 0.2 * $0 : $0 }),
            (ALULA_THRESHOLDED_RELU, [1.5], { $0 > 1.5 ? $0 : 0 }),
            (ALULA_SHRINK, [1, 0.25], { $0 > 1 ? $0 - 0.25 : $0 < -1 ? $0 + 0.25 : 0 }),
            (ALULA_CLIP, [-1, 2, 0.5, 0.25], { min(max($0 * 0.5 + 0.25, -1), 2) }),
            (ALULA_SWISH, [1], { KernelHarness.unary(ALULA_SILU, [$0])[0] }),
        ]
        for (function, parameters, definition) in definitions {
            #expect(KernelHarness.unary(function, x, parameters) == x.map(definition), "\(function)")
        }
    }

    @Test func simpleFunctionsAreExact() {
        let x = sweep(-8...8, 10_007)
        let definitions: [(alula_unary, (Float) -> Float)] = [
            (ALULA_NONE, { $0 }), (ALULA_RELU, { max($0, 0) }), (ALULA_RELU6, { min(max($0, 0), 6) }),
            (ALULA_NEGATE, { -$0 }),
            (ALULA_ABS, { abs($0) }), (ALULA_RECIPROCAL, { 1 / $0 }),
            (ALULA_HARD_SWISH, { $0 * min(max($0 + 3, 0), 6) / 6 }),
            (ALULA_HARD_SIGMOID, { min(max($0 / 6 + 0.5, 0), 1) }), (ALULA_FLOOR, { $0.rounded(.down) }),
            (ALULA_CEIL, { $0.rounded(.up) }), (ALULA_ROUND, { $0.rounded(.toNearestOrEven) }),
            (ALULA_SIGN, { $0 == 0 ? 0 : $0 / abs($0) }), (ALULA_SOFTSIGN, { $0 / (1 + abs($0)) }),
        ]
        for (function, definition) in definitions {
            #expect(KernelHarness.unary(function, x) == x.map(definition), "\(function)")
        }
        let positive = x.map { abs($0) + 0.001 }
        #expect(KernelHarness.unary(ALULA_SQRT, positive) == positive.map { $0.squareRoot() })
        #expect(KernelHarness.unary(ALULA_RSQRT, positive) == positive.map { 1 / $0.squareRoot() })
    }

    @Test func unaryIsTheSameOnEveryInstructionSet() {
        let noise = sweep(-100...100, 5_003)
        for function in functions {
            for input in [special + geometric + noise, Array(special.prefix(13)), [0.3]] {
                let memory = KernelMemory(input)
                _ = KernelHarness.run(
                    \.unary_f32, items: input.count, outputs: input.count, of: Float.self,
                    "function \(function.rawValue)"
                ) {
                    alula_unary_f32_args(
                        input: memory.pointer, output: $0, function: Int32(function.rawValue),
                        parameters: (0.5, 1.5, 0.75, -0.25))
                }
            }
        }
    }

    // MARK: Binary

    @Test func powIsWithinOneUlp() {
        var noise = KernelNoise(9)
        var worst = 0.0
        for _ in 0..<100_000 {
            let x = Float(pow(2.0, Double(noise.float(-20...20))))
            let y = noise.float(-6...6)
            let truth = pow(Double(x), Double(y))
            let value = Self.binary(ALULA_POW, x, y)
            if truth < Double(Float.leastNormalMagnitude) || truth > Double(Float.greatestFiniteMagnitude) { continue }
            worst = max(worst, abs(Double(value) - truth) / Double(Float(truth).ulp))
        }
        print("pow:", worst, "ulp")
        #expect(worst < 0.51)
    }

    @Test func powFollowsCInSpecialCases() {
        let values: [Float] = [
            0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 7, 2.5, -2.5, 1e20, -1e20, .infinity, -.infinity, .nan,
        ]
        for x in values {
            for y in values {
                let value = Self.binary(ALULA_POW, x, y)
                let truth = powf(x, y)
                #expect(
                    KernelHarness.same(value, truth) || abs(value - truth) <= truth.ulp,
                    "\(x)^\(y) = \(value), C \(truth)")
            }
        }
    }

    private static func binary(_ function: alula_binary, _ x: Float, _ y: Float) -> Float {
        var result: Float = 0
        withUnsafePointer(to: x) { x in
            withUnsafePointer(to: y) { y in
                withUnsafeMutablePointer(to: &result) { result in
                    var arguments = alula_binary_f32_args()
                    (arguments.a, arguments.b, arguments.output) = (x, y, result)
                    (arguments.function, arguments.rank) = (Int32(function.rawValue), 1)
                    (arguments.shape.0, arguments.a_strides.0, arguments.b_strides.0) = (1, 1, 1)
                    KernelHarness.scalar.binary_f32(&arguments, 0, 1, nil)
                }
            }
        }
        return result
    }

    @Test func remaindersAreExact() {
        var noise = KernelNoise(10)
        let values = special + (0..<300).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: noise.next())) }
        for x in values {
            for y in values {
                let rest = fmodf(x, y)
                #expect(KernelHarness.same(Self.binary(ALULA_FMOD, x, y), rest) || rest == 0, "fmod \(x) \(y)")
                let withSign = rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest
                let value = Self.binary(ALULA_MOD, x, y)
                #expect(KernelHarness.same(value, withSign) || (value == 0 && withSign == 0), "mod \(x) \(y)")
            }
        }
    }

    @Test func comparisonsOfNaNFail() {
        for function in [ALULA_EQUAL, ALULA_LESS, ALULA_LESS_EQUAL] {
            #expect(Self.binary(function, .nan, .nan) == 0 && Self.binary(function, 1, .nan) == 0)
        }
    }

    @Test func binaryBroadcasts() {
        let definitions: [(alula_binary, (Float, Float) -> Float)] = [
            (ALULA_ADD, { $0 + $1 }), (ALULA_SUB, { $0 - $1 }), (ALULA_MUL, { $0 * $1 }), (ALULA_DIV, { $0 / $1 }),
            (ALULA_MAX, { max($0, $1) }), (ALULA_MIN, { min($0, $1) }), (ALULA_POW, { Self.binary(ALULA_POW, $0, $1) }),
            (ALULA_EQUAL, { $0 == $1 ? 1 : 0 }), (ALULA_LESS, { $0 < $1 ? 1 : 0 }),
            (ALULA_LESS_EQUAL, { $0 <= $1 ? 1 : 0 }), (ALULA_PRELU, { $0 < 0 ? $0 * $1 : $0 }),
            (ALULA_FMOD, { fmodf($0, $1) }), (ALULA_MOD, { Self.binary(ALULA_MOD, $0, $1) }),
        ]
        var noise = KernelNoise(2)
        for (function, definition) in definitions {
            for trial in 0..<12 {
                let shape = [noise.int(1...3), noise.int(1...4), [1, 7, 8, 33, 70][trial % 5]]
                let aShape = shape.map { Bool.random(using: &noise) ? $0 : 1 }
                let bShape = zip(shape, aShape).map { $1 == 1 || Bool.random(using: &noise) ? $0 : 1 }
                let a = KernelMemory(noise.floats(aShape.reduce(1, *), in: 0.1...3))
                let b = KernelMemory(noise.floats(bShape.reduce(1, *)))
                let aStrides = Self.strides(aShape)
                let bStrides = Self.strides(bShape)
                let label = "function \(function.rawValue) \(aShape) \(bShape)"
                let output = KernelHarness.run(
                    \.binary_f32, items: shape[0] * shape[1], outputs: shape.reduce(1, *), of: Float.self, label
                ) { output in
                    var arguments = alula_binary_f32_args()
                    (arguments.a, arguments.b, arguments.output) = (
                        UnsafePointer(a.pointer), UnsafePointer(b.pointer), output
                    )
                    (arguments.function, arguments.rank) = (Int32(function.rawValue), 3)
                    (arguments.shape.0, arguments.shape.1, arguments.shape.2) = (
                        Int32(shape[0]), Int32(shape[1]), Int32(shape[2])
                    )
                    (arguments.a_strides.0, arguments.a_strides.1, arguments.a_strides.2) = (
                        aStrides[0], aStrides[1], aStrides[2]
                    )
                    (arguments.b_strides.0, arguments.b_strides.1, arguments.b_strides.2) = (
                        bStrides[0], bStrides[1], bStrides[2]
                    )
                    return arguments
                }
                var expected: [Float] = []
                for i in 0..<shape[0] {
                    for j in 0..<shape[1] {
                        for k in 0..<shape[2] {
                            let x = a.pointer[i * Int(aStrides[0]) + j * Int(aStrides[1]) + k * Int(aStrides[2])]
                            let y = b.pointer[i * Int(bStrides[0]) + j * Int(bStrides[1]) + k * Int(bStrides[2])]
                            expected.append(definition(x, y))
                        }
                    }
                }
                KernelHarness.expectSame(output, expected, label)
            }
        }
    }

    @Test func selectBroadcasts() {
        var noise = KernelNoise(11)
        for trial in 0..<40 {
            let shape = [noise.int(1...3), noise.int(1...4), [1, 7, 8, 33, 70][trial % 5]]
            let shapes = (0..<3).map { _ in shape.map { Bool.random(using: &noise) ? $0 : 1 } }
            let strides = shapes.map { Self.strides($0) }
            let condition = KernelMemory(
                (0..<shapes[0].reduce(1, *)).map { _ in [0, -0.0, 1, .nan, -3][noise.int(0...4)] as Float })
            let (a, b) = (KernelMemory(noise.floats(200 * 9)), KernelMemory(noise.floats(200 * 9)))
            let output = KernelHarness.run(
                \.select_f32, items: shape[0] * shape[1], outputs: shape.reduce(1, *), of: Float.self, "\(shapes)"
            ) { output in
                var arguments = alula_select_f32_args()
                (arguments.condition, arguments.a) = (UnsafePointer(condition.pointer), UnsafePointer(a.pointer))
                (arguments.b, arguments.output, arguments.rank) = (UnsafePointer(b.pointer), output, 3)
                withUnsafeMutableBytes(of: &arguments.shape) { $0.bindMemory(to: Int32.self).fill(shape) }
                for (bytes, values) in zip([0, 1, 2], strides) {
                    withUnsafeMutablePointer(to: &arguments) { pointer in
                        let target =
                            switch bytes {
                            case 0: UnsafeMutableRawPointer(pointer.pointer(to: \.condition_strides)!)
                            case 1: UnsafeMutableRawPointer(pointer.pointer(to: \.a_strides)!)
                            default: UnsafeMutableRawPointer(pointer.pointer(to: \.b_strides)!)
                            }
                        for (axis, value) in values.enumerated() {
                            target.storeBytes(of: value, toByteOffset: 8 * axis, as: Int64.self)
                        }
                    }
                }
                return arguments
            }
            let expected = (0..<shape.reduce(1, *)).map { at -> Float in
                let index = [at / shape[2] / shape[1], at / shape[2] % shape[1], at % shape[2]]
                let place = { (tensor: Int) in (0..<3).reduce(0) { $0 + index[$1] * Int(strides[tensor][$1]) } }
                return condition.pointer[place(0)] != 0 ? a.pointer[place(1)] : b.pointer[place(2)]
            }
            KernelHarness.expectSame(output, expected, "\(shapes)")
        }
    }

    private static func strides(_ shape: [Int]) -> [Int64] {
        var strides = shape.map { _ in Int64(0) }
        var step = 1
        for axis in shape.indices.reversed() {
            strides[axis] = shape[axis] == 1 ? 0 : Int64(step)
            step *= shape[axis]
        }
        return strides
    }

    @Test func affineScalesChannels() {
        var noise = KernelNoise(3)
        for c in [1, 5, 8, 31, 96] {
            let rows = 4
            let input = KernelMemory(noise.floats(rows * c))
            let scale = KernelMemory(noise.floats(c))
            let shift = KernelMemory(noise.floats(c))
            let output = KernelHarness.run(\.affine_f32, items: rows, outputs: rows * c, of: Float.self, "c \(c)") {
                alula_affine_f32_args(
                    input: input.pointer, scale: scale.pointer, shift: shift.pointer, output: $0, rows: Int32(rows),
                    c: Int32(c), activation: 0)
            }
            KernelHarness.expectSame(
                output, (0..<rows * c).map { input.pointer[$0] * scale.pointer[$0 % c] + shift.pointer[$0 % c] },
                "c \(c)")
        }
    }

    // MARK: Bytes

    private let lengths = [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 200, 1000]

    /// Rows of n bytes, and which operands advance along them and from row to row.
    private static func bytes(_ n: Int, _ steps: (a: Int, b: Int), _ rowSteps: (a: Int, b: Int)) -> alula_binary_u8_args
    {
        var arguments = alula_binary_u8_args()
        arguments.rank = 2
        (arguments.shape.0, arguments.shape.1) = (3, Int32(n))
        (arguments.a_strides.0, arguments.a_strides.1) = (Int64(rowSteps.a), Int64(steps.a))
        (arguments.b_strides.0, arguments.b_strides.1) = (Int64(rowSteps.b), Int64(steps.b))
        return arguments
    }

    @Test func sumsAndProductsOfBytesAreRequantized() {
        var noise = KernelNoise(4)
        for n in lengths {
            for (index, steps) in [(1, 1), (1, 0), (0, 1), (0, 0)].enumerated() {
                let (a, b) = (KernelMemory(noise.bytes(3 * n)), KernelMemory(noise.bytes(3 * n)))
                let rowSteps = [(n, n), (n, 0), (0, n), (1, 2 % n)][(index + n) % 4]
                var arguments = Self.bytes(n, steps, rowSteps)
                (arguments.a, arguments.b) = (UnsafePointer(a.pointer), UnsafePointer(b.pointer))
                arguments.a_zero = Int32(noise.int(0...255))
                arguments.b_zero = Int32(noise.int(0...255))
                arguments.zero = Int32(noise.int(0...255))
                arguments.low = Bool.random(using: &noise) ? arguments.zero : 0
                arguments.high = max(arguments.low, Int32(noise.int(200...255)))
                arguments.is_product = Int32(noise.int(0...1))
                let scales = [(noise.float(0...2), noise.float(-2...2)), (0.5, 0.5), (1e30, 0.25), (0.004, -0.5)][
                    (n + index) % 4]
                (arguments.a_multiplier, arguments.b_multiplier) = scales
                let label = "n \(n) steps \(steps) \(rowSteps) product \(arguments.is_product)"
                let output = KernelHarness.run(\.binary_u8, items: 3, outputs: 3 * n, of: UInt8.self, label) {
                    arguments.output = $0
                    return arguments
                }
                let expected = (0..<3 * n).map { at in
                    let x = Float(Int32(a.pointer[at / n * rowSteps.0 + at % n * steps.0]) - arguments.a_zero)
                    let y = Float(Int32(b.pointer[at / n * rowSteps.1 + at % n * steps.1]) - arguments.b_zero)
                    let t = arguments.is_product == 1 ? (x * y) * scales.0 : x * scales.0 + y * scales.1
                    return KernelHarness.quantize(
                        t, zero: arguments.zero, low: arguments.low, high: arguments.high)
                }
                KernelHarness.expectSame(output, expected, label)
            }
        }
    }

    @Test func addWorksInPlace() {
        var noise = KernelNoise(5)
        let a = noise.bytes(333)
        let b = KernelMemory(noise.bytes(333))
        for table in KernelHarness.tables {
            let memory = KernelMemory(a)
            var arguments = Self.bytes(111, (1, 1), (111, 111))
            (arguments.a, arguments.b) = (UnsafePointer(memory.pointer), UnsafePointer(b.pointer))
            (arguments.output, arguments.high) = (memory.pointer, 255)
            (arguments.a_zero, arguments.b_zero, arguments.zero) = (3, 200, 100)
            (arguments.a_multiplier, arguments.b_multiplier) = (0.7, 0.4)
            table.binary_u8(&arguments, 0, 3, nil)
            let expected = a.indices.map { i in
                KernelHarness.quantize(Float(Int32(a[i]) - 3) * 0.7 + Float(Int32(b.pointer[i]) - 200) * 0.4, zero: 100)
            }
            KernelHarness.expectSame(memory.elements, expected, String(cString: table.name))
        }
    }

    @Test func tableLooksUpEveryByte() {
        var noise = KernelNoise(6)
        let table = KernelMemory((0..<256).map { _ in UInt8.random(in: 0...255, using: &noise) })
        for input in lengths.map({ noise.bytes($0) }) + [(0...255).map { UInt8($0) } + [1, 2, 3]] {
            let memory = KernelMemory(input)
            let output = KernelHarness.run(
                \.table_u8, items: input.count, outputs: input.count, of: UInt8.self, "n \(input.count)"
            ) {
                alula_table_u8_args(input: memory.pointer, table: table.pointer, output: $0)
            }
            KernelHarness.expectSame(output, input.map { table.pointer[Int($0)] }, "n \(input.count)")
        }
    }

    @Test func quantizeRoundsToEvenAndSaturates() {
        var noise = KernelNoise(7)
        let ties = (-300..<300).map { Float($0) + 0.5 }
        for (zero, scale) in [(0, 1), (255, 1), (128, 1), (3, 0.37), (77, 3e38)] as [(Int32, Float)] {
            for input in [special + ties + noise.floats(1000, in: -200...200) + geometric]
                + lengths.map({ noise.floats($0, in: -200...200) })
            {
                let memory = KernelMemory(input)
                let output = KernelHarness.run(
                    \.quantize, items: input.count, outputs: input.count, of: UInt8.self, "zero \(zero)"
                ) {
                    alula_quantize_args(input: memory.pointer, output: $0, inverse_scale: scale, zero: zero)
                }
                let expected = input.map { x in
                    (x * scale).isNaN ? UInt8(zero) : KernelHarness.quantize(x * scale, zero: zero)
                }
                KernelHarness.expectSame(output, expected, "zero \(zero) scale \(scale)")
            }
        }
    }

    @Test func dequantizeIsExact() {
        var noise = KernelNoise(8)
        for n in lengths {
            let input = KernelMemory(noise.bytes(n))
            let zero = Int32(noise.int(0...255))
            let scale = noise.float(0...1)
            let output = KernelHarness.run(\.dequantize, items: n, outputs: n, of: Float.self, "n \(n)") {
                alula_dequantize_args(input: input.pointer, output: $0, scale: scale, zero: zero)
            }
            KernelHarness.expectSame(output, input.elements.map { Float(Int32($0) - zero) * scale }, "n \(n)")
        }
    }
}
