import AlulaKernels
import Testing

/// Convolution kernels: the scalar code against the written definition, every instruction set against the scalar code, bit for bit.
@Suite struct ConvolutionKernelTests {
    @Test func scalarInt8ConvolutionFollowsTheDefinition() {
        var random = Random(seed: 1)
        for index in 0..<150 {
            let problem = Int8Problem(depthwise: index % 3 == 0, random: &random)
            let actual = problem.run(alula_kernels_for(ALULA_ISA_SCALAR)!)
            #expect(actual == problem.expected(), "case \(index): \(problem)")
        }
    }

    @Test func scalarFloatConvolutionFollowsTheDefinition() {
        var random = Random(seed: 2)
        for index in 0..<150 {
            let problem = FloatProblem(kind: FloatProblem.Kind.allCases[index % 3], random: &random)
            let actual = problem.run(alula_kernels_for(ALULA_ISA_SCALAR)!)
            #expect(actual == problem.expected(), "case \(index): \(problem)")
        }
    }

    @Test(arguments: [
        ALULA_ISA_AVX2, ALULA_ISA_AVXVNNI, ALULA_ISA_AVX512VNNI, ALULA_ISA_NEON, ALULA_ISA_NEONDOT, ALULA_ISA_I8MM,
        ALULA_ISA_SIMD128,
    ])
    func everyInstructionSetEqualsScalar(_ isa: alula_isa) {
        guard let table = alula_kernels_for(isa) else {
            print("not run: convolution kernels of instruction set \(isa.rawValue), which this CPU lacks")
            return
        }
        let scalar = alula_kernels_for(ALULA_ISA_SCALAR)!
        var random = Random(seed: 3)
        for index in 0..<400 {
            let int8 = Int8Problem(depthwise: index % 3 == 0, random: &random)
            #expect(int8.run(table) == int8.run(scalar), "case \(index): \(int8)")
            let float = FloatProblem(kind: FloatProblem.Kind.allCases[index % 3], random: &random)
            #expect(float.run(table) == float.run(scalar), "case \(index): \(float)")
        }
    }

    @Test func resultDoesNotDependOnHowItemsAreSplit() {
        var random = Random(seed: 4)
        let table = alula_kernels_best()!
        for index in 0..<60 {
            let problem = Int8Problem(depthwise: index % 3 == 0, random: &random)
            #expect(problem.run(table, parts: 1) == problem.run(table, parts: 3), "case \(index): \(problem)")
        }
    }

    @Test func measuredPeakIsPositiveForAvailableInstructionSetsOnly() {
        for isa in (0..<UInt32(ALULA_ISA_COUNT)).map(alula_isa.init(rawValue:)) {
            let peak = alula_measure_peak_u8s8(isa, { nanoseconds() }, 1)
            #expect((peak > 0) == (alula_kernels_for(isa) != nil))
            #expect((alula_measure_peak_f32(isa, { nanoseconds() }, 1) > 0) == (peak > 0))
        }
    }

    @Test func measuredBandwidthIsPositive() {
        let memory = [UInt8](repeating: 1, count: 1 << 16)
        #expect(
            memory.withUnsafeBytes { alula_measure_read_bandwidth($0.baseAddress, $0.count, { nanoseconds() }, 1) } > 0)
    }
}

private let start = ContinuousClock.now

private func nanoseconds() -> UInt64 {
    // Read first: a global starts on its first use.
    let origin = start
    let time = ContinuousClock.now - origin
    return UInt64(time.components.seconds) * 1_000_000_000 + UInt64(time.components.attoseconds / 1_000_000_000)
}
