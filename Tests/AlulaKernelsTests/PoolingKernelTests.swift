import AlulaKernels
import Foundation
import Testing

@Suite struct PoolingKernelTests {
    // (batch, height, width, channels, size)
    private let images = [
        (1, 1, 1, 1, 3), (2, 3, 4, 5, 3), (1, 7, 7, 16, 3), (1, 5, 1, 17, 3), (1, 1, 6, 33, 3), (2, 4, 3, 48, 3),
        (1, 6, 5, 31, 5), (1, 3, 3, 100, 3),
        (1, 9, 8, 96, 3), (1, 2, 2, 64, 7), (1, 4, 9, 1, 3), (1, 14, 14, 224, 3), (1, 3, 5, 40, 3), (1, 4, 4, 15, 1),
    ]

    @Test func mixerOfBytesSubtractsTheIdentity() {
        var noise = KernelNoise(1)
        for (batch, h, w, c, size) in images {
            let count = batch * h * w * c
            let zeroIn = Int32(noise.int(0...255))
            let zero = Int32(noise.int(0...255))
            let input = KernelMemory(noise.bytes(count))
            let center = KernelMemory(noise.floats(c))
            let average = KernelMemory(noise.floats(c))
            let label = "\((batch, h, w, c, size))"
            let output = KernelHarness.run(\.pool_mixer_u8, items: batch * h, outputs: count, of: UInt8.self, label) {
                alula_pool_mixer_u8_args(
                    input: input.pointer, center: center.pointer, average: average.pointer, output: $0,
                    batch: Int32(batch), h: Int32(h), w: Int32(w),
                    c: Int32(c), size: Int32(size), zero_in: zeroIn, zero: zero)
            }
            var expected: [UInt8] = []
            for b in 0..<batch {
                for y in 0..<h {
                    for x in 0..<w {
                        let taps = Self.inside(y, size, h).flatMap { ty in Self.inside(x, size, w).map { (ty, $0) } }
                        for i in 0..<c {
                            func value(_ y: Int, _ x: Int) -> Int32 {
                                Int32(input.pointer[((b * h + y) * w + x) * c + i]) - zeroIn
                            }
                            let sum = taps.reduce(Int32(0)) { $0 + value($1.0, $1.1) }
                            let t =
                                Float(value(y, x)) * center.pointer[i] + (Float(sum) * (1 / Float(taps.count)))
                                * average.pointer[i]
                            expected.append(KernelHarness.quantize(t, zero: zero))
                        }
                    }
                }
            }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    private static func inside(_ center: Int, _ size: Int, _ extent: Int) -> [Int] {
        (center - size / 2..<center - size / 2 + size).filter { (0..<extent).contains($0) }
    }

    @Test func mixerOfFloatsSubtractsTheIdentity() {
        var noise = KernelNoise(2)
        for (batch, h, w, c, size) in images {
            let count = batch * h * w * c
            let input = KernelMemory(noise.floats(count))
            let scale = KernelMemory(noise.floats(c))
            let label = "\((batch, h, w, c, size))"
            let output = KernelHarness.run(\.pool_mixer_f32, items: batch * h, outputs: count, of: Float.self, label) {
                alula_pool_mixer_f32_args(
                    input: input.pointer, scale: scale.pointer, output: $0, batch: Int32(batch), h: Int32(h),
                    w: Int32(w), c: Int32(c), size: Int32(size))
            }
            var expected: [Float] = []
            for b in 0..<batch {
                for y in 0..<h {
                    for x in 0..<w {
                        let taps = Self.inside(y, size, h).flatMap { ty in Self.inside(x, size, w).map { (ty, $0) } }
                        for i in 0..<c {
                            func value(_ y: Int, _ x: Int) -> Float { input.pointer[((b * h + y) * w + x) * c + i] }
                            let sum = taps.reduce(Float(0)) { $0 + value($1.0, $1.1) }
                            expected.append(
                                value(y, x) + scale.pointer[i] * (sum * (1 / Float(taps.count)) - value(y, x)))
                        }
                    }
                }
            }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    // MARK: Average and maximum

    private struct Window {
        var window = alula_window()
        var padBottom: Int32, padRight: Int32

        init(_ noise: inout KernelNoise, channels: Int) {
            window.batch = Int32(noise.int(1...2))
            (window.in_c, window.out_c, window.groups) = (Int32(channels), Int32(channels), 1)
            (window.kernel_h, window.kernel_w) = (Int32(noise.int(1...4)), Int32(noise.int(1...4)))
            (window.stride_h, window.stride_w) = (Int32(noise.int(1...3)), Int32(noise.int(1...3)))
            (window.dilation_h, window.dilation_w) = (Int32(noise.int(1...2)), Int32(noise.int(1...2)))
            window.in_h = (window.kernel_h - 1) * window.dilation_h + Int32(noise.int(1...6))
            window.in_w = (window.kernel_w - 1) * window.dilation_w + Int32(noise.int(1...6))
            (window.pad_top, window.pad_left) = (window.kernel_h / 2, window.kernel_w / 2)
            (padBottom, padRight) = (window.kernel_h / 2, Int32(noise.int(0...Int(window.kernel_w / 2))))
            // Rounded up, as with ceil_mode: the last window may leave the padded image.
            window.out_h =
                (window.in_h + window.pad_top + padBottom - (window.kernel_h - 1) * window.dilation_h - 1)
                / window.stride_h + 1
            window.out_w =
                (window.in_w + window.pad_left + padRight - (window.kernel_w - 1) * window.dilation_w - 1)
                / window.stride_w + 1
            if noise.int(0...1) == 0 && (window.out_w * window.stride_w - window.pad_left) < window.in_w {
                window.out_w += 1
            }
        }

        var outputs: Int { Int(window.batch * window.out_h * window.out_w * window.in_c) }
        var inputs: Int { Int(window.batch * window.in_h * window.in_w * window.in_c) }

        /// The values inside a window and the count of taps in the padded image, for every output element in order.
        func eachPosition(_ body: (_ inside: [Int], _ padded: Int) -> Void) {
            let w = window
            for b in 0..<w.batch {
                for y in 0..<w.out_h {
                    for x in 0..<w.out_w {
                        var inside: [Int] = []
                        var padded = 0
                        for ky in 0..<w.kernel_h {
                            for kx in 0..<w.kernel_w {
                                let iy = y * w.stride_h - w.pad_top + ky * w.dilation_h
                                let ix = x * w.stride_w - w.pad_left + kx * w.dilation_w
                                if iy < w.in_h + padBottom && ix < w.in_w + padRight { padded += 1 }
                                if iy >= 0 && iy < w.in_h && ix >= 0 && ix < w.in_w {
                                    inside.append(Int((b * w.in_h + iy) * w.in_w + ix))
                                }
                            }
                        }
                        body(inside, padded)
                    }
                }
            }
        }
    }

    @Test func bytesArePooled() {
        var noise = KernelNoise(3)
        for trial in 0..<40 {
            let c = [1, 3, 16, 33, 64, 65, 130][trial % 7]
            let window = Window(&noise, channels: c)
            let input = KernelMemory(noise.bytes(window.inputs))
            let zeroIn = Int32(noise.int(0...255))
            let zero = Int32(noise.int(0...255))
            let multiplier = noise.float(0.3...2)
            let maximum = trial % 3 == 0
            let countPadding = trial % 2 == 0
            let label = "trial \(trial) \(window.window)"
            let items = Int(window.window.batch * window.window.out_h)
            let output = KernelHarness.run(\.pool_u8, items: items, outputs: window.outputs, of: UInt8.self, label) {
                alula_pool_u8_args(
                    window: window.window, input: input.pointer, output: $0, maximum: maximum ? 1 : 0,
                    count_padding: countPadding ? 1 : 0,
                    pad_bottom: window.padBottom, pad_right: window.padRight, zero_in: zeroIn, zero: zero,
                    multiplier: multiplier)
            }
            var expected: [UInt8] = []
            window.eachPosition { inside, padded in
                for i in 0..<c {
                    let values = inside.map { input.pointer[$0 * c + i] }
                    if maximum {
                        expected.append(values.max() ?? 0)
                    } else {
                        let count = countPadding ? padded : inside.count
                        let inverse = count > 0 ? 1 / Float(count) : 0
                        let sum = values.reduce(Int32(0)) { $0 + Int32($1) - zeroIn }
                        expected.append(KernelHarness.quantize((Float(sum) * inverse) * multiplier, zero: zero))
                    }
                }
            }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    @Test func floatsArePooled() {
        var noise = KernelNoise(4)
        for trial in 0..<40 {
            let c = [1, 3, 16, 33, 64, 65, 130][trial % 7]
            let window = Window(&noise, channels: c)
            let input = KernelMemory(noise.floats(window.inputs))
            let maximum = trial % 3 == 0
            let countPadding = trial % 2 == 0
            let label = "trial \(trial) \(window.window)"
            let items = Int(window.window.batch * window.window.out_h)
            let output = KernelHarness.run(\.pool_f32, items: items, outputs: window.outputs, of: Float.self, label) {
                alula_pool_f32_args(
                    window: window.window, input: input.pointer, output: $0, maximum: maximum ? 1 : 0,
                    count_padding: countPadding ? 1 : 0,
                    pad_bottom: window.padBottom, pad_right: window.padRight)
            }
            var expected: [Float] = []
            window.eachPosition { inside, padded in
                for i in 0..<c {
                    let values = inside.map { input.pointer[$0 * c + i] }
                    let count = countPadding ? padded : inside.count
                    expected.append(
                        maximum ? values.max() ?? -.infinity : values.reduce(0, +) * (count > 0 ? 1 / Float(count) : 0))
                }
            }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    // MARK: Mean

    private let means = [(1, 1, 1), (3, 49, 1), (2, 49, 448), (4, 7, 65), (1, 300, 64), (5, 3, 31), (2, 100, 2)]

    @Test func bytesAreAveraged() {
        var noise = KernelNoise(5)
        for (outer, n, inner) in means {
            let input = KernelMemory(noise.bytes(outer * n * inner))
            let zeroIn = Int32(noise.int(0...255))
            let zero = Int32(noise.int(0...255))
            let multiplier = noise.float(0.5...2) / Float(n)
            let label = "\((outer, n, inner))"
            let exact = (0..<outer * inner).map { at in
                Float(
                    (0..<n).reduce(Int32(0)) {
                        $0 + Int32(input.pointer[(at / inner * n + $1) * inner + at % inner]) - zeroIn
                    }) * multiplier
            }
            let bytes = KernelHarness.run(\.mean_u8, items: outer, outputs: outer * inner, of: UInt8.self, label) {
                alula_mean_u8_args(
                    input: input.pointer, output: $0, output_f32: nil, outer: Int32(outer), n: Int32(n),
                    inner: Int32(inner), zero_in: zeroIn,
                    zero: zero, multiplier: multiplier)
            }
            KernelHarness.expectSame(bytes, exact.map { KernelHarness.quantize($0, zero: zero) }, label)
            let floats = KernelHarness.run(\.mean_u8, items: outer, outputs: outer * inner, of: Float.self, label) {
                alula_mean_u8_args(
                    input: input.pointer, output: nil, output_f32: $0, outer: Int32(outer), n: Int32(n),
                    inner: Int32(inner), zero_in: zeroIn,
                    zero: zero, multiplier: multiplier)
            }
            KernelHarness.expectSame(floats, exact, label)
        }
    }
}
