import AlulaGraph

/// Windows along the spatial axes, as the attributes of convolutions and pools describe them.
struct WindowGeometry {
    var kernel: [Int]
    var stride: [Int]
    var dilation: [Int]
    var before: [Int]
    var after: [Int]

    var rank: Int { kernel.count }
    var hasEvenPadding: Bool { before == after }

    /// - Parameter spatial: sizes of the input's spatial axes.
    init(_ node: NodeContext, kernel: [Int], spatial: [Int]) throws {
        self.kernel = kernel
        let rank = spatial.count
        let ones = [Int](repeating: 1, count: rank)
        stride = try node.ints("strides") ?? ones
        dilation = try node.ints("dilations") ?? ones
        let pads = try node.ints("pads") ?? [Int](repeating: 0, count: 2 * rank)
        guard kernel.count == rank, stride.count == rank, dilation.count == rank, pads.count == 2 * rank else {
            throw LoweringProblem.invalid("its attributes are not for \(rank) spatial axes")
        }
        let limit = 1 << 20
        guard (kernel + stride + dilation).allSatisfy({ (1...limit).contains($0) }),
            pads.allSatisfy({ (-limit...limit).contains($0) })
        else { throw LoweringProblem.invalid("kernel, strides, dilations or pads are out of range") }
        (before, after) = (Array(pads[..<rank]), Array(pads[rank...]))
        let mode = try node.string("auto_pad", default: "NOTSET")
        guard mode != "NOTSET", !mode.isEmpty else { return }
        for axis in 0..<rank {
            var total = 0
            if mode != "VALID" {
                let outputs = (spatial[axis] + stride[axis] - 1) / stride[axis]
                total = max((outputs - 1) * stride[axis] + span(axis) - spatial[axis], 0)
            }
            before[axis] = mode == "SAME_LOWER" ? (total + 1) / 2 : total / 2
            after[axis] = total - before[axis]
        }
    }

    func span(_ axis: Int) -> Int { dilation[axis] * (kernel[axis] - 1) + 1 }

    /// With an axis of size 1 in front, for operators on images that stand for one-dimensional ones.
    var asImage: WindowGeometry {
        var result = self
        guard rank == 1 else { return result }
        result.kernel.insert(1, at: 0)
        result.stride.insert(1, at: 0)
        result.dilation.insert(1, at: 0)
        result.before.insert(0, at: 0)
        result.after.insert(0, at: 0)
        return result
    }

    var strides: Pair { Pair(stride[0], stride[1]) }
    var dilations: Pair { Pair(dilation[0], dilation[1]) }
    var kernelPair: Pair { Pair(kernel[0], kernel[1]) }

    func padding() throws -> Padding {
        guard (before + after).allSatisfy({ $0 >= 0 }) else {
            throw LoweringProblem.unsupported(needed: "negative pads")
        }
        return Padding(top: before[0], left: before[1], bottom: after[0], right: after[1])
    }
}

extension Importer {
    mutating func convolution(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "Conv": return [.view(try convolve(node))]
        case "FusedConv":
            var result = try convolve(node)
            let name = try node.string("activation", default: "")
            let functions: [String: UnaryFunction] = [
                "Relu": .relu, "Sigmoid": .sigmoid, "Tanh": .tanh, "HardSwish": .hardSwish,
            ]
            guard let function = functions[name] else {
                throw LoweringProblem.unsupported(needed: "activation \(name.quotedForMessage)")
            }
            result = try unary(function, result)
            return [.view(result)]
        case "Col2Im": return [try imageOfColumns(node)]
        default: return [.view(try transposedConvolution(node))]
        }
    }

    /// An image `[N,C,H,W]` or signal `[N,C,L]` as the graph's operators take it, `[N,H,W,C]` or `[N,1,L,C]`.
    mutating func image(_ view: View) throws -> ValueID {
        let id = try stored(view, as: channelsLast(view.rank))
        guard view.rank == 3 else { return id }
        return try reshape(id, [view.shape[0], 1, view.shape[2], view.shape[1]])
    }

    /// The view of what `image` describes.
    mutating func fromImage(_ id: ValueID, rank: Int) throws -> View {
        let size = graph.shape(id)
        guard rank == 3 else { return View(id, [size[0], size[3], size[1], size[2]], order: channelsLast(4)) }
        return View(
            try reshape(id, [size[0], size[2], size[3]]), [size[0], size[3], size[2]], order: channelsLast(3))
    }

    private func checkSpatialRank(_ x: [Int], _ weight: [Int]) throws {
        guard x.count == weight.count, x.count >= 3 else {
            throw LoweringProblem.invalid("weights of \(weight.count) axes for an input of \(x.count)")
        }
    }

    /// A constant in the wanted order of axes, with an axis of size 1 for the missing height of one-dimensional weights.
    private mutating func weights(_ node: NodeContext, order: [Int]) throws -> ValueID {
        let weight = try view(node.input(1))
        guard isConstant(weight) else { throw LoweringProblem.wantsConstant(input: 1, what: "its weights") }
        let id = try stored(weight, as: weight.rank == 3 ? order.filter { $0 != 2 }.map { $0 > 2 ? 2 : $0 } : order)
        guard weight.rank == 3 else { return id }
        let shape = order.map { $0 == 2 ? 1 : $0 == 3 ? weight.shape[2] : weight.shape[$0] }
        return try reshape(id, shape)
    }

    private mutating func bias(_ node: NodeContext) throws -> ValueID {
        guard let bias = node.optional(2) else { return .none }
        let view = try view(bias)
        guard isConstant(view) else { throw LoweringProblem.wantsConstant(input: 2, what: "its bias") }
        return view.id
    }

    private mutating func convolve(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let weight = try node.shape(1)
        try checkSpatialRank(x.shape, weight)
        var geometry = try WindowGeometry(
            node, kernel: Array(weight.dropFirst(2)), spatial: Array(x.shape.dropFirst(2)))
        let groups = try node.int("group", default: 1)
        if x.rank == 5 {
            return try volumeConvolution(x, view(node.input(1)), bias: bias(node), geometry, groups: groups)
        }
        guard x.rank <= 4 else { throw LoweringProblem.unsupported(needed: "\(x.rank - 2) spatial axes") }
        geometry = geometry.asImage
        let op = Conv2D(
            stride: geometry.strides, padding: try geometry.padding(), dilation: geometry.dilations,
            groups: groups)
        // From [O, C/groups, kh, kw].
        let operands = [try image(x), try weights(node, order: [0, 2, 3, 1]), try bias(node)]
        return try fromImage(emit(.conv2D(op), operands), rank: x.rank)
    }

    private mutating func transposedConvolution(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let weight = try node.shape(1)
        try checkSpatialRank(x.shape, weight)
        guard x.rank <= 4 else { throw LoweringProblem.unsupported(needed: "\(x.rank - 2) spatial axes") }
        let spatial = Array(x.shape.dropFirst(2))
        var geometry = try WindowGeometry(node, kernel: Array(weight.dropFirst(2)), spatial: spatial)
        var extra = try node.ints("output_padding") ?? [Int](repeating: 0, count: spatial.count)
        guard extra.count == spatial.count, extra.allSatisfy({ (0..<1 << 20).contains($0) }) else {
            throw LoweringProblem.invalid("output_padding is not for \(spatial.count) spatial axes")
        }
        let mode = try node.string("auto_pad", default: "NOTSET")
        let sizes = try node.ints("output_shape")?.suffix(spatial.count).map { $0 }
        if sizes != nil || mode.hasPrefix("SAME") {
            // The sizes of the result are given, the padding follows from them.
            for axis in spatial.indices {
                let full = geometry.stride[axis] * (spatial[axis] - 1) + extra[axis] + geometry.span(axis)
                let wanted = sizes?[axis] ?? spatial[axis] * geometry.stride[axis]
                let total = full - wanted
                // A result larger than all windows gets rows of zeros at its end.
                let excess = max(-total, 0)
                extra[axis] += excess
                let (half, rest) = (max(total, 0) / 2, max(total, 0) - max(total, 0) / 2)
                (geometry.before[axis], geometry.after[axis]) = mode == "SAME_UPPER" ? (half, rest) : (rest, half)
            }
        }
        if spatial.count == 1 { extra.insert(0, at: 0) }
        geometry = geometry.asImage
        let op = ConvTranspose2D(
            stride: geometry.strides, padding: try geometry.padding(), outputPadding: Pair(extra[0], extra[1]),
            dilation: geometry.dilations, groups: try node.int("group", default: 1))
        // From [C, O/groups, kh, kw].
        let operands = [try image(x), try weights(node, order: [0, 2, 3, 1]), try bias(node)]
        return try fromImage(emit(.convTranspose2D(op), operands), rank: x.rank)
    }
}
