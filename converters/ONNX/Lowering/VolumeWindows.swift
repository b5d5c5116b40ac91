import AlulaGraph

// Convolutions and pools with three spatial axes: the first one is taken apart into windows on images, whose results add up.
extension Importer {
    /// The images that tap `tap` of the first spatial axis sees, `[N · outputs, C, H, W]`.
    private mutating func slices(_ x: View, tap: Int, _ geometry: WindowGeometry, outputs: Int) throws -> View {
        let range = AxisRange(
            axis: 2, begin: tap * geometry.dilation[0], step: geometry.stride[0], count: outputs)
        let part = try taken(x, range).transposed([0, 2, 1, 3, 4])
        return try reshaped(part, to: [x.shape[0] * outputs, x.shape[1], x.shape[3], x.shape[4]])
    }

    /// Back from images to `[N,C,D,H,W]`.
    private mutating func volume(_ images: View, batch: Int) throws -> View {
        let shape = images.shape
        return try reshaped(images, to: [batch, shape[0] / batch] + shape.dropFirst()).transposed([0, 2, 1, 3, 4])
    }

    private func outputCount(_ size: Int, _ geometry: WindowGeometry, axis: Int) throws -> Int {
        guard size >= geometry.span(axis) else {
            throw LoweringProblem.invalid("a kernel larger than its padded input")
        }
        return (size - geometry.span(axis)) / geometry.stride[axis] + 1
    }

    /// - Parameter weight: constant, `[O,C/groups,kd,kh,kw]`.
    mutating func volumeConvolution(
        _ input: View, _ weight: View, bias: ValueID, _ geometry: WindowGeometry, groups: Int
    )
        throws -> View
    {
        let pads = geometry.spatialPadding(onlyFirst: true)
        let x = try padded(input, pads.before, pads.after, value: 0)
        let outputs = try outputCount(x.shape[2], geometry, axis: 0)
        let plane = geometry.withoutFirstAxis
        let op = Conv2D(
            stride: plane.strides, padding: try plane.padding(), dilation: plane.dilations, groups: groups)
        guard let data = graph[weight.id].constant?.data, weight.order == Array(0..<5) else {
            throw LoweringProblem.wantsConstant(input: 1, what: "its weights")
        }
        let taps = permute(data, weight.shape, [2, 0, 3, 4, 1], elementBytes: 4)
        let shape = [weight.shape[0], weight.shape[3], weight.shape[4], weight.shape[1]]
        let bytes = shape.reduce(4, *)
        var sum: ImportedValue?
        for tap in 0..<geometry.kernel[0] {
            let part = taps.withUnsafeBytes {
                TensorData(copying: UnsafeRawBufferPointer(rebasing: $0[tap * bytes..<(tap + 1) * bytes]))
            }
            let kernel = try addConstant(part, .f32, shape, name: graph[weight.id].name)
            let images = try image(slices(x, tap: tap, geometry, outputs: outputs))
            let result = try fromImage(emit(.conv2D(op), [images, kernel, tap == 0 ? bias : .none]), rank: 4)
            sum = try sum.map { try binary(.add, $0, .view(result)) } ?? .view(result)
        }
        return try volume(view(sum!), batch: x.shape[0])
    }

    mutating func volumePool(_ node: NodeContext, _ input: View, _ geometry: WindowGeometry) throws -> View {
        let spatial = Array(input.shape.dropFirst(2))
        var full = geometry
        if try node.flag("ceil_mode") {
            for axis in 0..<3 { full.after[axis] += geometry.excess(spatial[axis], axis) }
        }
        let isMaximum = node.op == "MaxPool"
        let pads = full.spatialPadding(onlyFirst: false)
        let x = try padded(input, pads.before, pads.after, value: isMaximum ? -Float.greatestFiniteMagnitude : 0)
        let sizes = try (0..<3).map { try outputCount(x.shape[2 + $0], full, axis: $0) }
        let plane = full.withoutFirstAxis
        let op = Pool(
            isMaximum ? .maximum : .average, kernel: plane.kernelPair, stride: plane.strides, dilation: plane.dilations)
        var sum: ImportedValue?
        for tap in 0..<full.kernel[0] {
            let images = try image(slices(x, tap: tap, full, outputs: sizes[0]))
            let result = try fromImage(emit(.pool(op), [images]), rank: 4)
            sum = try sum.map { try binary(isMaximum ? .max : .add, $0, .view(result)) } ?? .view(result)
        }
        let result = try volume(view(sum!), batch: x.shape[0])
        guard !isMaximum else { return result }
        // Each result is the sum of the window's planes' averages.
        let area = Double(plane.kernel.reduce(1, *))
        let counts = try tapCounts(geometry, spatial, sizes, countsPadding: node.flag("count_include_pad"))
        let factors = HostTensor(.f32, sizes, reals: counts.map { area / Double($0) })
        return try view(binary(.mul, .view(result), .host(factors)))
    }

    /// How many taps of each window count.
    private func tapCounts(_ geometry: WindowGeometry, _ spatial: [Int], _ sizes: [Int], countsPadding: Bool) throws
        -> [Int]
    {
        let perAxis = (0..<3).map { axis in
            (0..<sizes[axis]).map { place in
                (0..<geometry.kernel[axis]).count { tap in
                    let at = place * geometry.stride[axis] + tap * geometry.dilation[axis] - geometry.before[axis]
                    return countsPadding
                        ? at < spatial[axis] + geometry.after[axis] : at >= 0 && at < spatial[axis]
                }
            }
        }
        let result = perAxis[0].flatMap { d in perAxis[1].flatMap { h in perAxis[2].map { w in d * h * w } } }
        guard result.allSatisfy({ $0 > 0 }) else { throw LoweringProblem.invalid("a window holds padding only") }
        return result
    }
}

extension WindowGeometry {
    /// What lies behind the first spatial axis.
    var withoutFirstAxis: WindowGeometry {
        var result = self
        result.kernel.removeFirst()
        result.stride.removeFirst()
        result.dilation.removeFirst()
        result.before.removeFirst()
        result.after.removeFirst()
        return result
    }

    /// Padding for every axis of `[N,C,D,H,W]`.
    func spatialPadding(onlyFirst: Bool) -> (before: [Int], after: [Int]) {
        let keep = { (values: [Int]) in
            [0, 0] + values.enumerated().map { $0.offset == 0 || !onlyFirst ? $0.element : 0 }
        }
        return (keep(before), keep(after))
    }

    /// Rows that a last window, which begins inside of the input, reaches beyond the padding.
    func excess(_ size: Int, _ axis: Int) -> Int {
        let rest = (size + before[axis] + after[axis] - span(axis)) % stride[axis]
        guard rest > 0 else { return 0 }
        let last = (size + before[axis] + after[axis] - span(axis)) / stride[axis] + 1
        return last * stride[axis] < size + before[axis] ? stride[axis] - rest : 0
    }
}
