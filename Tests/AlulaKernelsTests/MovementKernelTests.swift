import AlulaKernels
import Testing

@Suite struct MovementKernelTests {
    // MARK: Copy

    private struct Layout {
        var shape: [Int], inputStrides: [Int], outputStrides: [Int]

        func indices(_ strides: [Int]) -> [Int] {
            var all = [0]
            for (size, stride) in zip(shape, strides) {
                all = all.flatMap { start in (0..<size).map { start + $0 * stride } }
            }
            return all
        }
    }

    private static func dense(_ shape: [Int]) -> [Int] {
        shape.indices.map { axis in shape[(axis + 1)...].reduce(1, *) }
    }

    private let layouts: [Layout] = {
        var noise = KernelNoise(1)
        var layouts: [Layout] = []
        for shape in [
            [1], [5], [3, 40], [17, 33], [64, 48], [2, 3, 4], [49, 2, 16], [3, 20, 35], [2, 2, 3, 4, 5],
            [2, 1, 2, 3, 2, 17], [16, 16], [32, 31], [1, 100, 3],
        ] {
            let dense = dense(shape)
            layouts.append(Layout(shape: shape, inputStrides: dense, outputStrides: dense))
            for _ in 0..<4 {
                // A transpose: the output's axes in another order of the input's.
                let order = shape.indices.shuffled(using: &noise)
                let moved = order.map { shape[$0] }
                layouts.append(
                    Layout(shape: moved, inputStrides: order.map { dense[$0] }, outputStrides: Self.dense(moved)))
                // A part of wider rows, and a broadcast axis.
                let wide = Self.dense(shape.map { $0 + noise.int(0...2) })
                layouts.append(Layout(shape: shape, inputStrides: wide, outputStrides: dense))
                layouts.append(Layout(shape: shape, inputStrides: dense, outputStrides: wide))
                var broadcast = dense
                broadcast[noise.int(0...shape.count - 1)] = 0
                layouts.append(Layout(shape: shape, inputStrides: broadcast, outputStrides: dense))
            }
        }
        return layouts
    }()

    private func copies<Element: FixedWidthInteger & BitwiseCopyable>(_: Element.Type) {
        var noise = KernelNoise(2)
        for layout in layouts {
            let from = layout.indices(layout.inputStrides)
            let to = layout.indices(layout.outputStrides)
            let input = KernelMemory((0...from.max()!).map { _ in Element(truncatingIfNeeded: noise.next()) })
            let label = "\(layout) \(Element.self)"
            let items = layout.shape.dropLast().reduce(1, *)
            let output = KernelHarness.run(\.copy, items: items, outputs: to.max()! + 1, of: Element.self, label) {
                output in
                var arguments = alula_copy_args()
                (arguments.input, arguments.output) = (UnsafeRawPointer(input.pointer), UnsafeMutableRawPointer(output))
                (arguments.element_bytes, arguments.rank) = (
                    Int32(MemoryLayout<Element>.size), Int32(layout.shape.count)
                )
                withUnsafeMutableBytes(of: &arguments.shape) { $0.bindMemory(to: Int32.self).fill(layout.shape) }
                withUnsafeMutableBytes(of: &arguments.in_strides) {
                    $0.bindMemory(to: Int64.self).fill(layout.inputStrides)
                }
                withUnsafeMutableBytes(of: &arguments.out_strides) {
                    $0.bindMemory(to: Int64.self).fill(layout.outputStrides)
                }
                return arguments
            }
            var expected = [Element](
                repeating: Element(truncatingIfNeeded: UInt64(0xA5A5_A5A5_A5A5_A5A5)), count: output.count)
            for (from, to) in zip(from, to) { expected[to] = input.pointer[from] }
            KernelHarness.expectSame(output, expected, label)
        }
    }

    @Test func bytesAreCopiedBetweenStrides() { copies(UInt8.self) }
    @Test func halvesAreCopiedBetweenStrides() { copies(UInt16.self) }
    @Test func wordsAreCopiedBetweenStrides() { copies(UInt32.self) }
    @Test func doubleWordsAreCopiedBetweenStrides() { copies(UInt64.self) }

    // MARK: Fill and gather

    @Test func fillRepeatsAnElement() {
        for bytes in [1, 2, 4, 8] {
            for n in [1, 3, 31, 64, 100] {
                let output = KernelHarness.run(
                    \.fill, items: n, outputs: n * bytes, of: UInt8.self, "n \(n) bytes \(bytes)"
                ) {
                    alula_fill_args(output: $0, element_bytes: Int32(bytes), value: (1, 2, 3, 4, 5, 6, 7, 8))
                }
                KernelHarness.expectSame(output, (0..<n * bytes).map { UInt8($0 % bytes + 1) }, "n \(n) bytes \(bytes)")
            }
        }
    }

    @Test func gatherPicksTheMiddleAxis() {
        var noise = KernelNoise(3)
        for bytes in [1, 2, 4, 8] {
            for (outer, n, inner, count) in [
                (1, 1, 1, 1), (3, 10, 1, 7), (2, 5, 3, 9), (1, 4, 16, 4), (2, 6, 33, 3), (4, 49, 1, 49),
            ] {
                let input = KernelMemory(noise.bytes(outer * n * inner * bytes))
                let index = KernelMemory((0..<count).map { _ in Int32(noise.int(0...n - 1)) })
                let label = "\((outer, n, inner, count)) bytes \(bytes)"
                let row = inner * bytes
                let output = KernelHarness.run(
                    \.gather, items: outer, outputs: outer * count * row, of: UInt8.self, label
                ) {
                    alula_gather_args(
                        input: input.pointer, index: index.pointer, output: $0, element_bytes: Int32(bytes),
                        outer: Int32(outer), n: Int32(n),
                        inner: Int32(inner), count: Int32(count))
                }
                let expected = (0..<outer).flatMap { o in
                    index.elements.flatMap { i in (0..<row).map { input.pointer[(o * n + Int(i)) * row + $0] } }
                }
                KernelHarness.expectSame(output, expected, label)
            }
        }
    }

    // MARK: Resize

    // (input height, width, output height, width)
    private let sizes = [(1, 1, 3, 2), (4, 5, 8, 10), (7, 6, 3, 4), (5, 5, 5, 5), (3, 2, 1, 1), (6, 9, 13, 7)]

    private func arguments<Element>(
        _ size: (Int, Int, Int, Int), _ c: Int, _ input: KernelMemory<Element>, _ output: UnsafeMutablePointer<Element>,
        bilinear: Bool, mode: Int
    ) -> alula_resize_args {
        alula_resize_args(
            input: input.pointer, output: output, batch: 2, in_h: Int32(size.0), in_w: Int32(size.1),
            out_h: Int32(size.2), out_w: Int32(size.3),
            c: Int32(c), element_bytes: Int32(MemoryLayout<Element>.size), bilinear: bilinear ? 1 : 0,
            align_corners: mode == 1 ? 1 : 0,
            half_pixel: mode == 2 ? 1 : 0)
    }

    @Test func nearestRepeatsPixels() {
        var noise = KernelNoise(4)
        func source(_ x: Int, _ input: Int, _ output: Int, _ mode: Int) -> Int {
            let position: Double
            switch mode {
            case 1:
                position =
                    output > 1 ? (Double(x * (input - 1)) / Double(output - 1)).rounded(.toNearestOrAwayFromZero) : 0
            case 2: position = ((Double(x) + 0.5) * Double(input) / Double(output) + 1e-12).rounded(.down)
            default: position = (Double(x) * Double(input) / Double(output) + 1e-12).rounded(.down)
            }
            return min(Int(position), input - 1)
        }
        for size in sizes {
            for mode in 0...2 {
                for c in [1, 3, 17, 40] {
                    let input = KernelMemory(noise.bytes(2 * size.0 * size.1 * c))
                    let label = "\(size) mode \(mode) c \(c)"
                    let output = KernelHarness.run(
                        \.resize, items: 2 * size.2, outputs: 2 * size.2 * size.3 * c, of: UInt8.self, label
                    ) {
                        arguments(size, c, input, $0, bilinear: false, mode: mode)
                    }
                    let expected = (0..<2 * size.2).flatMap { row in
                        (0..<size.3).flatMap { x in
                            let y = row / size.2 * size.0 + source(row % size.2, size.0, size.2, mode)
                            return (0..<c).map {
                                input.pointer[(y * size.1 + source(x, size.1, size.3, mode)) * c + $0]
                            }
                        }
                    }
                    KernelHarness.expectSame(output, expected, label)
                }
            }
        }
    }

    @Test func bilinearInterpolates() {
        var noise = KernelNoise(5)
        func source(_ x: Int, _ input: Int, _ output: Int, _ mode: Int) -> Double {
            switch mode {
            case 1: return output > 1 ? Double(x * (input - 1)) / Double(output - 1) : 0
            case 2: return max((Double(x) + 0.5) * Double(input) / Double(output) - 0.5, 0)
            default: return Double(x) * Double(input) / Double(output)
            }
        }
        for size in sizes {
            for mode in 0...2 {
                for c in [1, 5, 32] {
                    let input = KernelMemory(noise.floats(2 * size.0 * size.1 * c))
                    let label = "\(size) mode \(mode) c \(c)"
                    let output = KernelHarness.run(
                        \.resize, items: 2 * size.2, outputs: 2 * size.2 * size.3 * c, of: Float.self, label
                    ) {
                        arguments(size, c, input, $0, bilinear: true, mode: mode)
                    }
                    var index = 0
                    for row in 0..<2 * size.2 {
                        for x in 0..<size.3 {
                            let v = source(row % size.2, size.0, size.2, mode)
                            let h = source(x, size.1, size.3, mode)
                            for i in 0..<c {
                                func value(_ y: Int, _ x: Int) -> Double {
                                    Double(
                                        input.pointer[
                                            ((row / size.2 * size.0 + min(y, size.0 - 1)) * size.1 + min(x, size.1 - 1))
                                                * c + i])
                                }
                                let y0 = Int(v)
                                let x0 = Int(h)
                                let dy = v - Double(y0)
                                let dx = h - Double(x0)
                                let top = value(y0, x0) * (1 - dx) + value(y0, x0 + 1) * dx
                                let bottom = value(y0 + 1, x0) * (1 - dx) + value(y0 + 1, x0 + 1) * dx
                                #expect(abs(Double(output[index]) - (top * (1 - dy) + bottom * dy)) < 1e-5, "\(label)")
                                index += 1
                            }
                        }
                    }
                }
            }
        }
    }
}

extension UnsafeMutableBufferPointer where Element: FixedWidthInteger {
    /// Writes the values to the front.
    fileprivate func fill(_ values: [Int]) {
        for (index, value) in values.enumerated() { self[index] = Element(value) }
    }
}
