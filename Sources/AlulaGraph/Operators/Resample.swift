/// Weighted sums along one axis: element j of the result is `Σ weights[j,t] · x[indices[j,t]]`, summed in order of t. One such operator for
/// each axis interpolates an image; `ResampleTable` makes the constants. `indices` is i32, `weights` f32, both `[size, taps]`.
public struct Resample: Sendable, Equatable {
    public var axis: Int
    public init(axis: Int) { self.axis = axis }
}

extension Resample: OperatorRule {
    package var name: String { "resample" }
    package var operands: [Operand] { [.required("x"), .required("indices"), .required("weights")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("axis", axis) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        var x = operands[0]!.shape
        try checkAxis(axis, x)
        let (indices, weights) = (operands[1]!.shape, operands[2]!.shape)
        guard indices.rank == 2, indices == weights else {
            throw ShapeProblem(
                "indices\(indices.description) and weights\(weights.description) are not two equal tables [size,taps]")
        }
        x[axis] = indices[0]
        return [x]
    }
}

/// Where the elements of a resized axis come from, for every way that the frameworks know. The formulas are those of ONNX's Resize (opset 19).
public struct ResampleTable: Sendable, Equatable {
    /// The position in the input of output element i, counted from the centre of the first element.
    public enum Coordinates: Sendable, Equatable {
        /// `(i + 1/2) / scale − 1/2`.
        case halfPixel
        /// As `halfPixel`, but 0 for a single output element.
        case pytorchHalfPixel
        /// As `halfPixel`, with the middle of a fractional output size on the input's middle.
        case halfPixelSymmetric
        /// `i / scale`.
        case asymmetric
        /// First on first, last on last.
        case alignCorners
        /// The part of the input from `start` to `end`, both between 0 and 1, its corners aligned: TensorFlow's crop and resize.
        case crop(start: Double, end: Double)
    }

    public enum Kernel: Sendable, Equatable {
        case linear
        /// Keys' cubic convolution with its coefficient a: −0.75 in ONNX and PyTorch, −0.5 elsewhere.
        case cubic(Double)
    }

    /// How a position between two elements is rounded to the nearest one.
    public enum Rounding: Sendable, Equatable { case preferFloor, preferCeil, floor, ceil }

    /// Taps of each output element.
    public let taps: Int
    /// `[size, taps]`, all within the input.
    public let indices: [Int32]
    /// `[size, taps]`.
    public let weights: [Float]

    /// - Parameters:
    ///   - input: elements along the axis, at least 1.
    ///   - output: elements afterwards, at least 1.
    ///   - scale: output over input size if it is not exactly `output / input`, as when ONNX states scales.
    ///   - excludesOutside: taps beyond the ends count nothing, and the others more; otherwise the first and the last element repeat.
    ///   - antialiases: widens the kernel when shrinking.
    public init(
        _ kernel: Kernel, from input: Int, to output: Int, scale: Double? = nil, coordinates: Coordinates,
        excludesOutside: Bool = false, antialiases: Bool = false
    ) {
        let shrink = antialiases ? min(scale ?? Double(output) / Double(input), 1) : 1
        let radius: Double = kernel == .linear ? 1 : 2
        let first = floorOf(-radius / shrink) + 1
        taps = 2 - 2 * first
        var (indices, weights): ([Int32], [Float]) = ([], [])
        for index in 0..<output {
            let position = coordinates.position(index, input, output, scale)
            let base = floorOf(position)
            var row: [Double] = []
            for tap in first..<first + taps {
                let isOutside = base + tap < 0 || base + tap >= input
                let distance = (Double(base) - position + Double(tap)) * shrink
                row.append(isOutside && excludesOutside ? 0 : kernel.weight(distance.magnitude))
                indices.append(Int32(min(max(base + tap, 0), input - 1)))
            }
            let sum = row.reduce(0, +)
            let factor = (antialiases || excludesOutside) && sum != 0 ? 1 / sum : 1
            weights += row.map { Float($0 * factor) }
        }
        (self.indices, self.weights) = (indices, weights)
    }

    /// The nearest input element of each output element: the indices of a `Gather`.
    public static func nearest(
        from input: Int, to output: Int, scale: Double? = nil, coordinates: Coordinates, rounding: Rounding
    ) -> [Int32] {
        (0..<output).map { index in
            let position = coordinates.position(index, input, output, scale)
            let below = floorOf(position)
            let fraction = position - Double(below)
            let goesUp =
                switch rounding {
                case .floor: false
                case .ceil: fraction > 0
                case .preferFloor: fraction > 0.5
                case .preferCeil: fraction >= 0.5
                }
            return Int32(min(max(below + (goesUp ? 1 : 0), 0), input - 1))
        }
    }
}

extension ResampleTable.Coordinates {
    /// The position of output element `index`.
    public func position(_ index: Int, _ input: Int, _ output: Int, _ scale: Double?) -> Double {
        let (i, size) = (Double(index), Double(input))
        // Dividing last keeps positions that are whole numbers exact.
        let unscaled = { (x: Double) in scale.map { x / $0 } ?? x * size / Double(output) }
        let length = scale.map { $0 * size } ?? Double(output)
        switch self {
        case .asymmetric: return unscaled(i)
        case .halfPixel: return unscaled(i + 0.5) - 0.5
        case .pytorchHalfPixel: return output == 1 ? 0 : unscaled(i + 0.5) - 0.5
        case .halfPixelSymmetric: return size / 2 * (1 - Double(output) / length) + unscaled(i + 0.5) - 0.5
        case .alignCorners: return output == 1 ? 0 : i * (size - 1) / (length - 1)
        case .crop(let start, let end):
            guard output > 1 else { return (start + end) * (size - 1) / 2 }
            return start * (size - 1) + i * (end - start) * (size - 1) / (length - 1)
        }
    }
}

extension ResampleTable.Kernel {
    fileprivate func weight(_ x: Double) -> Double {
        switch self {
        case .linear: return max(1 - x, 0)
        case .cubic(let a):
            if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
            return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0
        }
    }
}

/// The largest integer that is not above `x`, within the range of positions.
private func floorOf(_ x: Double) -> Int {
    let bounded = min(max(x, -1e15), 1e15)
    let whole = Int(bounded)
    return Double(whole) > bounded ? whole - 1 : whole
}
