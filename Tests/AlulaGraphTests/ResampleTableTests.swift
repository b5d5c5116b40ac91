import AlulaGraph
import Testing

/// Against what the reference implementation of ONNX's Resize (onnx 1.19.1) gives for one axis.
@Suite struct ResampleTableTests {
    private static let data: [Double] = [3, 1, 4, 1, 5, 9, 2, 6]

    struct Case: Sendable {
        var kernel: ResampleTable.Kernel
        var size: Int
        var scale: Double?
        var coordinates: ResampleTable.Coordinates
        var excludesOutside = false
        var antialiases = false
        var expected: [Double]
    }

    private static let cases = [
        Case(kernel: .linear, size: 5, coordinates: .halfPixel, expected: [2.4, 3.7, 3, 8.3, 4.8]),
        Case(
            kernel: .linear, size: 11, coordinates: .alignCorners,
            expected: [3, 1.6, 2.2, 3.7, 1.6, 3, 5.8, 8.6, 4.8, 3.2, 6]),
        Case(
            kernel: .linear, size: 6, scale: 0.8, coordinates: .alignCorners,
            expected: [3, 1.888889, 2.222222, 4.555556, 7.703704, 3.925926]),
        Case(
            kernel: .linear, size: 6, scale: 0.8, coordinates: .halfPixelSymmetric,
            expected: [2.25, 2.875, 1.375, 5.5, 6.375, 4.5]),
        Case(
            kernel: .linear, size: 12, coordinates: .asymmetric,
            expected: [3, 1.666667, 2, 4, 2, 2.333333, 5, 7.666667, 6.666667, 2, 4.666667, 6]),
        Case(kernel: .linear, size: 1, coordinates: .pytorchHalfPixel, expected: [3]),
        Case(
            kernel: .linear, size: 4, coordinates: .crop(start: 0.2, end: 0.7), expected: [2.2, 2.3, 3.933333, 8.6]),
        Case(
            kernel: .linear, size: 3, coordinates: .halfPixel, antialiases: true,
            expected: [2.372093, 4.095238, 5.162791]),
        Case(
            kernel: .linear, size: 5, scale: 0.7, coordinates: .halfPixel, antialiases: true,
            expected: [2.37931, 2.666667, 2.387097, 7, 4.225806]),
        Case(
            kernel: .cubic(-0.75), size: 5, coordinates: .halfPixel,
            expected: [2.30025, 3.92275, 2.34375, 8.642, 4.55325]),
        Case(
            kernel: .cubic(-0.75), size: 3, coordinates: .halfPixel, antialiases: true,
            expected: [2.120767, 4.101894, 5.441835]),
        Case(
            kernel: .cubic(-0.5), size: 12, coordinates: .halfPixel, excludesOutside: true,
            expected: [
                3.131579, 1.882353, 1.280093, 3.789352, 2.4375, 1.261574, 4.252315, 7.6875, 8.342593, 2.657407,
                3.705882, 6.263158,
            ]),
    ]

    @Test(arguments: cases) func interpolatesAsTheReferenceDoes(test: Case) {
        let table = ResampleTable(
            test.kernel, from: 8, to: test.size, scale: test.scale, coordinates: test.coordinates,
            excludesOutside: test.excludesOutside, antialiases: test.antialiases)
        #expect(table.indices.count == test.size * table.taps)
        #expect(table.indices.allSatisfy { (0..<8).contains($0) })
        for index in 0..<test.size {
            let value = (index * table.taps..<(index + 1) * table.taps).reduce(0.0) {
                $0 + Double(table.weights[$1]) * Self.data[Int(table.indices[$1])]
            }
            #expect(abs(value - test.expected[index]) < 2e-6, "element \(index)")
        }
    }

    @Test(arguments: [
        (ResampleTable.Rounding.preferFloor, ResampleTable.Coordinates.halfPixel, [3.0, 4, 1, 9, 6]),
        (.preferFloor, .asymmetric, [3, 4, 1, 9, 2]), (.preferFloor, .alignCorners, [3, 4, 1, 9, 6]),
        (.preferCeil, .halfPixel, [3, 4, 5, 9, 6]), (.preferCeil, .alignCorners, [3, 4, 5, 9, 6]),
        (.floor, .halfPixel, [3, 1, 1, 9, 2]), (.floor, .asymmetric, [3, 1, 1, 5, 2]),
        (.ceil, .halfPixel, [1, 4, 5, 2, 6]), (.ceil, .asymmetric, [3, 4, 5, 9, 6]),
        (.preferFloor, .asymmetric, [3, 1, 1, 4, 1, 1, 5, 9, 9, 2, 6, 6]),
        (.ceil, .halfPixel, [3, 1, 4, 4, 1, 5, 5, 9, 2, 2, 6, 6]),
    ])
    func roundsPositionsAsTheReferenceDoes(
        rounding: ResampleTable.Rounding, coordinates: ResampleTable.Coordinates, expected: [Double]
    ) {
        let indices = ResampleTable.nearest(
            from: 8, to: expected.count, coordinates: coordinates, rounding: rounding)
        #expect(indices.map { Self.data[Int($0)] } == expected)
    }
}
