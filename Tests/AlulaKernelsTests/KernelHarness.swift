import AlulaKernels
import Testing

typealias KernelFunction = @convention(c) (UnsafeRawPointer?, Int, Int, UnsafeMutableRawPointer?) -> Void

/// Memory for kernels: 64-byte aligned, with 64 readable bytes on both sides that must never change.
final class KernelMemory<Element: BitwiseCopyable> {
    let pointer: UnsafeMutablePointer<Element>
    let count: Int
    private let base: UnsafeMutableRawPointer
    private let bytes: Int
    private static var margin: Int { 64 }
    private static var canary: UInt8 { 0xA5 }

    init(count: Int) {
        self.count = count
        bytes = count * MemoryLayout<Element>.stride
        base = .allocate(byteCount: bytes + 2 * Self.margin, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: Self.canary, count: bytes + 2 * Self.margin)
        pointer = (base + Self.margin).bindMemory(to: Element.self, capacity: count)
    }

    convenience init(_ elements: [Element]) {
        self.init(count: elements.count)
        for (index, element) in elements.enumerated() { pointer[index] = element }
    }

    deinit { base.deallocate() }

    var elements: [Element] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

    var isIntact: Bool {
        let all = UnsafeRawBufferPointer(start: base, count: bytes + 2 * Self.margin)
        return all.prefix(Self.margin).allSatisfy { $0 == Self.canary }
            && all.suffix(Self.margin).allSatisfy { $0 == Self.canary }
    }
}

/// A repeatable source of numbers (SplitMix64).
struct KernelNoise: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    mutating func float(_ range: ClosedRange<Float>) -> Float { Float.random(in: range, using: &self) }

    /// Bytes of one of three kinds: anything, a narrow band, or only 0 and 255.
    mutating func bytes(_ count: Int) -> [UInt8] {
        switch int(0...2) {
        case 0: return (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
        case 1: return (0..<count).map { _ in UInt8.random(in: 100...110, using: &self) }
        default: return (0..<count).map { _ in Bool.random(using: &self) ? 255 : 0 }
        }
    }

    mutating func floats(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
        (0..<count).map { _ in float(range) }
    }
}

enum KernelHarness {
    /// The instruction sets of this build and CPU; the others are printed once.
    nonisolated(unsafe) static let tables: [alula_kernel_table] = {
        let names = [
            (ALULA_ISA_SCALAR, "scalar"), (ALULA_ISA_AVX2, "avx2"), (ALULA_ISA_AVXVNNI, "avxvnni"),
            (ALULA_ISA_AVX512VNNI, "avx512vnni"),
            (ALULA_ISA_NEON, "neon"),
            (ALULA_ISA_NEONDOT, "neondot"), (ALULA_ISA_I8MM, "i8mm"), (ALULA_ISA_SIMD128, "simd128"),
        ]
        return names.compactMap { isa, name in
            if let table = alula_kernels_for(isa) { return table.pointee }
            print("AlulaKernelsTests: not run on this machine: \(name)")
            return nil
        }
    }()

    static var scalar: alula_kernel_table { tables[0] }

    /// Equal bits, or both NaN (whose sign and payload are not defined).
    static func same<Element: BitwiseCopyable>(_ a: Element, _ b: Element) -> Bool {
        if let a = a as? Float, let b = b as? Float { return a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN) }
        return withUnsafeBytes(of: a) { a in withUnsafeBytes(of: b) { b in a.elementsEqual(b) } }
    }

    /// Runs the kernel of every instruction set, over the whole range and in uneven parts. All must write what scalar writes, and nothing
    /// beside the output. Returns scalar's output; elements that no item covers keep a fixed pattern.
    static func run<Arguments, Output: BitwiseCopyable>(
        _ family: KeyPath<alula_kernel_table, KernelFunction?>, items: Int, outputs: Int, of _: Output.Type,
        scratch: Int = 0,
        _ label: String, sourceLocation: SourceLocation = #_sourceLocation,
        arguments: (UnsafeMutablePointer<Output>) -> Arguments
    ) -> [Output] {
        var expected: [Output] = []
        for table in tables {
            guard let kernel = table[keyPath: family] else {
                Issue.record("no kernel", sourceLocation: sourceLocation)
                continue
            }
            for parts in items > 1 ? [1, 3] : [1] {
                let output = KernelMemory<Output>(count: outputs)
                let work = KernelMemory<UInt8>(count: scratch)
                let arguments = arguments(output.pointer)
                withUnsafePointer(to: arguments) { arguments in
                    for part in 0..<parts {
                        kernel(arguments, items * part / parts, items * (part + 1) / parts, work.pointer)
                    }
                }
                let name = "\(String(cString: table.name)) \(label) in \(parts)"
                #expect(output.isIntact, "\(name) wrote beside its output", sourceLocation: sourceLocation)
                #expect(work.isIntact, "\(name) wrote beside its scratch memory", sourceLocation: sourceLocation)
                let elements = output.elements
                if expected.isEmpty { expected = elements }
                if let index = elements.indices.first(where: { !same(elements[$0], expected[$0]) }) {
                    Issue.record(
                        "\(name): [\(index)] is \(elements[index]), scalar gives \(expected[index])",
                        sourceLocation: sourceLocation)
                }
            }
        }
        return expected
    }

    static func expectSame<Element: BitwiseCopyable>(
        _ actual: [Element], _ expected: [Element], _ label: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(actual.count == expected.count, "\(label)", sourceLocation: sourceLocation)
        if let index = zip(actual, expected).enumerated().first(where: { !same($0.element.0, $0.element.1) })?.offset {
            Issue.record(
                "\(label): [\(index)] is \(actual[index]), expected \(expected[index])", sourceLocation: sourceLocation)
        }
    }

    /// quantize() of the contract.
    static func quantize(_ t: Float, zero: Int32, low: Int32 = 0, high: Int32 = 255) -> UInt8 {
        UInt8(min(max(Double(t.rounded(.toNearestOrEven)) + Double(zero), Double(low)), Double(high)))
    }

    /// Alula's own function of one value, which tests of composed kernels take as given.
    static func unary(_ function: alula_unary, _ x: [Float], _ parameters: [Float] = []) -> [Float] {
        let value = { (index: Int) in index < parameters.count ? parameters[index] : 0 }
        var output = x
        x.withUnsafeBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                var arguments = alula_unary_f32_args(
                    input: input.baseAddress, output: output.baseAddress, function: Int32(function.rawValue),
                    parameters: (value(0), value(1), value(2), value(3)))
                scalar.unary_f32(&arguments, 0, input.count, nil)
            }
        }
        return output
    }

    /// The derivative of a function of one value, as training computes it.
    static func slope(_ function: alula_unary, _ x: [Float]) -> [Float] {
        let ones = [Float](repeating: 1, count: x.count)
        var output = x
        x.withUnsafeBufferPointer { input in
            ones.withUnsafeBufferPointer { ones in
                output.withUnsafeMutableBufferPointer { output in
                    var arguments = alula_unary_gradient_f32_args(
                        dy: ones.baseAddress, x: input.baseAddress, output: output.baseAddress,
                        function: Int32(function.rawValue), parameters: (0, 0, 0, 0))
                    scalar.unary_gradient_f32(&arguments, 0, input.count, nil)
                }
            }
        }
        return output
    }
}
