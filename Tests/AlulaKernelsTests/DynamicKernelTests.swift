import AlulaKernels
import Testing

/// Scales that a run finds: ONNX's DynamicQuantizeLinear, and what layers behind it need.
@Suite struct DynamicKernelTests {
    private static let block = Int(ALULA_RANGE_BLOCK)

    private func ranges(_ input: KernelMemory<Float>, _ label: String) -> [Float] {
        let blocks = (input.count + Self.block - 1) / Self.block
        return KernelHarness.run(\.range_f32, items: blocks, outputs: 2 * blocks, of: Float.self, label) {
            alula_range_f32_args(input: UnsafePointer(input.pointer), ranges: $0, count: input.count)
        }
    }

    private func quantized(_ numbers: [Float], _ label: String) -> (bytes: [UInt8], scale: Float, zero: Float) {
        let input = KernelMemory(numbers)
        let ranges = KernelMemory(ranges(input, label))
        let (scale, zero) = (KernelMemory<Float>(count: 1), KernelMemory<Float>(count: 1))
        let bytes = KernelHarness.run(
            \.dynamic_quantize, items: numbers.count, outputs: numbers.count, of: UInt8.self, label
        ) {
            alula_dynamic_quantize_args(
                input: UnsafePointer(input.pointer), ranges: UnsafePointer(ranges.pointer), output: $0,
                scale: scale.pointer, zero: zero.pointer, blocks: Int32(ranges.count / 2))
        }
        return (bytes, scale.elements[0], zero.elements[0])
    }

    @Test func everyBlockHasItsRange() {
        var noise = KernelNoise(1)
        for count in [1, 15, 16, 17, 1000, Self.block, Self.block + 1, 2 * Self.block + 77] {
            var numbers = noise.floats(count)
            if count > 20 { numbers[count / 2] = .nan }
            let expected = stride(from: 0, to: count, by: Self.block).flatMap { first in
                let part = numbers[first..<min(first + Self.block, count)].filter { !$0.isNaN }
                return [min(part.min() ?? 0, 0), max(part.max() ?? 0, 0)]
            }
            KernelHarness.expectSame(ranges(KernelMemory(numbers), "\(count)"), expected, "\(count)")
        }
    }

    /// The numbers of ONNX's own example, test_dynamicquantizelinear and its two variants.
    @Test func givesTheNumbersOfTheStandard() {
        var result = quantized([0, 2, -3, -2.5, 1.34, 0.5], "whole")
        #expect(result.bytes == [153, 255, 0, 26, 221, 179])
        #expect(result.scale == 0.019_607_844 && result.zero == 153)
        result = quantized([-1, -2.1, -1.3, -2.5, -3.34, -4], "negative")
        #expect(result.bytes == [191, 121, 172, 96, 42, 0])
        #expect(result.scale == 0.015_686_275 && result.zero == 255)
        result = quantized([1, 2.1, 1.3, 2.5, 3.34, 4, 1.5, 2.6, 3.9, 4, 3, 2.345], "positive")
        #expect(result.bytes == [64, 134, 83, 159, 213, 255, 96, 166, 249, 255, 191, 149])
        #expect(result.zero == 0)
    }

    @Test func whatHasNoRangeHasScaleOne() {
        let zeros = quantized([0, 0, -0.0], "zeros")
        #expect(zeros.bytes == [0, 0, 0] && zeros.scale == 1 && zeros.zero == 0)
        let nothing = quantized([.nan, .nan], "NaN")
        #expect(nothing.bytes == [0, 0] && nothing.scale == 1)
        let infinite = quantized([.infinity, -1, .nan], "infinite")
        #expect(infinite.zero == 0 && infinite.bytes[2] == 0)
    }

    @Test func layersTakeTheZeroPointFromTheirSums() {
        var noise = KernelNoise(3)
        for (count, hasScale) in [(1, true), (16, false), (37, true)] {
            let sums = KernelMemory((0..<count).map { _ in Int32(noise.int(-4_000_000...4_000_000)) })
            let multiplier = KernelMemory(noise.floats(count))
            let (zero, scale) = (KernelMemory<Float>([201]), KernelMemory<Float>([0.0173]))
            let (multipliers, padding) = (KernelMemory<Float>(count: count), KernelMemory<UInt8>(count: 67))
            let biases = KernelHarness.run(\.dynamic_layer, items: 1, outputs: count, of: Int32.self, "\(count)") {
                alula_dynamic_layer_args(
                    zero: UnsafePointer(zero.pointer), scale: hasScale ? UnsafePointer(scale.pointer) : nil,
                    multiplier: UnsafePointer(multiplier.pointer), sums: UnsafePointer(sums.pointer),
                    bias_result: $0, multiplier_result: multipliers.pointer, pad_row: padding.pointer,
                    count: Int32(count), pad_bytes: 67)
            }
            KernelHarness.expectSame(biases, sums.elements.map { -201 * $0 }, "bias")
            let products = multiplier.elements.map { hasScale ? 0.0173 * $0 : $0 }
            KernelHarness.expectSame(multipliers.elements, products, "multiplier")
            #expect(padding.elements.allSatisfy { $0 == 201 } && padding.isIntact && multipliers.isIntact)
        }
    }
}
