import AlulaGraph
import AlulaRuntime
import TestSupport
import Testing

@Suite struct PackingTests {
    private static let geometries = [
        WeightGeometry(groups: 1, outputs: 16, taps: 1, inputs: 4), WeightGeometry(groups: 1, outputs: 17, taps: 9, inputs: 3),
        WeightGeometry(groups: 3, outputs: 5, taps: 4, inputs: 6), WeightGeometry(groups: 7, outputs: 1, taps: 9, inputs: 1),
    ]

    @Test(arguments: geometries) func unpackingRestoresPackedWeights(geometry: WeightGeometry) throws {
        var random = RandomNumbers(seed: 1)
        let count = geometry.groups * geometry.outputs * geometry.taps * geometry.inputs
        let weights: [Int8] = random.integers(count, in: -127...127)
        let layout = geometry.packedLayout(.s8)
        var packed = [Int8](repeating: 0, count: try #require(geometry.byteCount(layout, .s8)))
        var unpacked = [Int8](repeating: 0, count: count)
        geometry.pack(weights, as: layout, into: &packed)
        geometry.unpack(packed, from: layout, into: &unpacked)
        #expect(unpacked == weights)
        #expect(packed.reduce(0) { $0 + Int($1) } == weights.reduce(0) { $0 + Int($1) }, "padding is zero")
    }

    /// The layout of `docs/format.md`, written out for one weight of each.
    @Test func positionsFollowTheFormat() {
        let geometry = WeightGeometry(groups: 2, outputs: 20, taps: 3, inputs: 6)
        // Group 1, output 17 = block 1, lane 1; tap 2, input 5: k = 2 · 8 + 5 = 21.
        #expect(geometry.index(.n16k4, group: 1, output: 17, tap: 2, input: 5) == (((1 * 2 + 1) * 6 + 5) * 16 + 1) * 4 + 1)
        #expect(geometry.index(.n16k1, group: 1, output: 17, tap: 2, input: 5) == ((1 * 2 + 1) * 18 + 17) * 16 + 1)
        let depthwise = WeightGeometry(groups: 20, outputs: 1, taps: 3, inputs: 1)
        #expect(depthwise.index(.taps, group: 17, output: 0, tap: 2, input: 0) == 2 * 32 + 17)
    }

    @Test func layoutsThatDoNotFitHaveNoSize() {
        let dense = WeightGeometry(groups: 1, outputs: 8, taps: 1, inputs: 8)
        #expect(dense.byteCount(.taps, .s8) == nil)
        #expect(dense.byteCount(.n16k4, .f32) == nil)
        #expect(dense.byteCount(.n16k1, .s8) == nil)
    }

    @Test(arguments: geometries) func sizesAgreeWithTheFilesShapes(geometry: WeightGeometry) {
        let shape: Shape = [geometry.groups * geometry.outputs, 1, geometry.taps, geometry.inputs]
        for layout in Layout.allCases {
            for type in [DataType.s8, .f32] {
                guard let bytes = geometry.byteCount(layout, type) else { continue }
                #expect(bytes == layout.storedShape(shape, groups: geometry.groups).elementCount * type.size)
            }
        }
    }
}
