import AlulaGraph

/// The sizes of convolution or linear weights, and their orders in memory (`Layout`).
package struct WeightGeometry: Sendable, Equatable {
    package var groups: Int
    /// Output channels of one group.
    package var outputs: Int
    package var taps: Int
    /// Input channels of one group.
    package var inputs: Int

    package init(groups: Int, outputs: Int, taps: Int, inputs: Int) {
        (self.groups, self.outputs, self.taps, self.inputs) = (groups, outputs, taps, inputs)
    }

    /// Weights `[O,kh,kw,I/groups]` of a convolution, or `[N,K]` of a linear layer.
    package init(_ weight: Shape, groups: Int = 1) {
        self.init(
            groups: groups, outputs: weight[0] / groups, taps: weight.rank == 4 ? weight[1] * weight[2] : 1,
            inputs: weight.last)
    }

    /// One input and one output channel in every group, of which there are several.
    package var isDepthwise: Bool { groups > 1 && outputs == 1 && inputs == 1 }

    /// The layout that kernels read, for f32 or s8 weights.
    package func packedLayout(_ type: DataType) -> Layout { isDepthwise ? .taps : type == .f32 ? .n16k1 : .n16k4 }

    /// Bytes in a layout, or nil if the layout does not exist for this element type and geometry.
    package func byteCount(_ layout: Layout, _ type: DataType) -> Int? {
        switch (layout, type) {
        case (.plain, _), (.n16k4, .s8), (.n16k1, .f32): break
        case (.taps, .s8), (.taps, .f32): guard isDepthwise else { return nil }
        default: return nil
        }
        let weight: Shape = [groups * outputs, taps, 1, inputs]
        return layout.storedShape(weight, groups: groups).elementCount * type.size
    }

    /// The position of a weight in a layout, in elements. `tap` counts the kernel's positions row by row.
    package func index(_ layout: Layout, group: Int, output: Int, tap: Int, input: Int) -> Int {
        let block = group * (roundUp(outputs, 16) / 16) + output / 16
        switch layout {
        case .plain:
            return ((group * outputs + output) * taps + tap) * inputs + input
        case .n16k4:
            let depth = taps * roundUp(inputs, 4)
            let k = tap * roundUp(inputs, 4) + input
            return block * depth * 16 + (k / 4 * 16 + output % 16) * 4 + k % 4
        case .n16k1:
            return (block * taps * inputs + tap * inputs + input) * 16 + output % 16
        case .taps:
            return tap * roundUp(groups, 16) + group
        }
    }

    /// Writes plain weights in another layout. `target` must hold zeros: they are the padding.
    package func pack<Element: BitwiseCopyable>(
        _ source: UnsafePointer<Element>, as layout: Layout, into target: UnsafeMutablePointer<Element>
    ) {
        forEachRow(layout) { plain, packed in
            for input in 0..<inputs { target[packed + step(layout, input)] = source[plain + input] }
        }
    }

    /// Writes weights of another layout as plain ones.
    package func unpack<Element: BitwiseCopyable>(
        _ source: UnsafePointer<Element>, from layout: Layout, into target: UnsafeMutablePointer<Element>
    ) {
        forEachRow(layout) { plain, packed in
            for input in 0..<inputs { target[plain + input] = source[packed + step(layout, input)] }
        }
    }

    /// Elements from the first input channel of a tap to another one.
    @inline(__always)
    private func step(_ layout: Layout, _ input: Int) -> Int {
        switch layout {
        case .plain, .taps: input
        case .n16k4: (input & ~3) * 16 + (input & 3)
        case .n16k1: input * 16
        }
    }

    /// Calls `body` with the plain and the other position of each tap's first input channel.
    private func forEachRow(_ layout: Layout, _ body: (_ plain: Int, _ packed: Int) -> Void) {
        for group in 0..<groups {
            for output in 0..<outputs {
                for tap in 0..<taps {
                    body(
                        index(.plain, group: group, output: output, tap: tap, input: 0),
                        index(layout, group: group, output: output, tap: tap, input: 0))
                }
            }
        }
    }
}
