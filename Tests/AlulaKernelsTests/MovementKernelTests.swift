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
            [2, 1, 2, 3, 2, 17], [2, 2, 1, 2, 3, 2, 2, 5], [16, 16], [32, 31], [1, 100, 3],
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
                    \.gather, items: outer * count, outputs: outer * count * row, of: UInt8.self, label
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
}

extension UnsafeMutableBufferPointer where Element: FixedWidthInteger {
    /// Writes the values to the front.
    func fill(_ values: [Int]) {
        for (index, value) in values.enumerated() { self[index] = Element(value) }
    }
}
