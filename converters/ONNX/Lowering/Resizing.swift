import AlulaGraph

// Resize, as ONNX defines it from opset 10 to 23, axis by axis.
extension Importer {
    private struct ResizedAxis {
        var axis, size: Int
        /// Output over input size, where the model states it.
        var scale: Double?
    }

    mutating func resizing(_ node: NodeContext) throws -> [ImportedValue] {
        var x = try view(node.input(0))
        let mode = try node.string("mode", default: "nearest")
        let coordinates = try node.string(
            "coordinate_transformation_mode",
            default: node.op == "Upsample" || node.opset < 11 ? "asymmetric" : "half_pixel")
        let regions = try regionOfInterest(node, coordinates, rank: x.rank)
        for target in try targets(node, x.shape) {
            let isIdentity = target.size == x.shape[target.axis] && (target.scale ?? 1) == 1
            if isIdentity, coordinates != "tf_crop_and_resize" { continue }
            let places = try self.coordinates(coordinates, regions[target.axis])
            switch mode {
            case "nearest": x = try nearest(node, x, target, places)
            case "linear": x = try interpolated(node, x, target, places, .linear)
            case "cubic":
                let a = Double(try node.float("cubic_coeff_a", default: -0.75))
                x = try interpolated(node, x, target, places, .cubic(a))
            default: throw LoweringProblem.unsupported(needed: "mode \(mode.quotedForMessage)")
            }
            if coordinates == "tf_crop_and_resize" { x = try extrapolated(node, x, target, places) }
        }
        return [.view(x)]
    }

    // MARK: Sizes

    private func targets(_ node: NodeContext, _ shape: [Int]) throws -> [ResizedAxis] {
        let axes = try node.axes(node.ints("axes") ?? Array(shape.indices), rank: shape.count)
        let (scaleInput, sizeInput) = node.op == "Upsample" || node.opset < 11 ? (1, 4) : (2, 3)
        var scales =
            try node.has("scales") ? node.floats("scales")?.map { Double($0) } : node.host(scaleInput, "scales")?.reals
        if scales?.isEmpty == true { scales = nil }
        if let scales {
            guard scales.count == axes.count, scales.allSatisfy({ $0 > 0 && $0 < 1_048_576 }) else {
                throw LoweringProblem.invalid("scales do not fit \(axes.count) axes")
            }
            return try zip(axes, scales).map { axis, scale in
                let size = (Double(shape[axis]) * scale).rounded(.down)
                return ResizedAxis(axis: axis, size: try checked(Int(size)), scale: scale)
            }
        }
        guard let sizes = try node.integers(sizeInput, "sizes"), sizes.count == axes.count,
            sizes.allSatisfy({ (1...1 << 24).contains($0) })
        else { throw LoweringProblem.invalid("neither scales nor sizes fit") }
        let policy = try node.string("keep_aspect_ratio_policy", default: "stretch")
        guard policy != "stretch" else { return zip(axes, sizes).map { ResizedAxis(axis: $0, size: $1, scale: nil) } }
        let ratios = zip(axes, sizes).map { Double($1) / Double(shape[$0]) }
        let scale = policy == "not_larger" ? ratios.min()! : ratios.max()!
        return try axes.map { axis in
            let size = (Double(shape[axis]) * scale).rounded(.toNearestOrAwayFromZero)
            return ResizedAxis(axis: axis, size: try checked(Int(size)), scale: scale)
        }
    }

    private func checked(_ size: Int) throws -> Int {
        guard (1...1 << 24).contains(size) else {
            throw LoweringProblem.unsupported(needed: "a result of size \(size)")
        }
        return size
    }

    /// Start and end of each axis, between 0 and 1.
    private func regionOfInterest(_ node: NodeContext, _ coordinates: String, rank: Int) throws -> [(Double, Double)] {
        let whole = [(Double, Double)](repeating: (0, 1), count: rank)
        guard coordinates == "tf_crop_and_resize" else { return whole }
        guard let region = try node.host(1, "its region")?.reals else { throw LoweringProblem.invalid("no region") }
        let axes = try node.axes(node.ints("axes") ?? Array(0..<rank), rank: rank)
        guard region.count == 2 * axes.count else {
            throw LoweringProblem.invalid("the region is not for \(axes.count) axes")
        }
        var result = whole
        for (index, axis) in axes.enumerated() { result[axis] = (region[index], region[index + axes.count]) }
        return result
    }

    private func coordinates(_ name: String, _ region: (Double, Double)) throws -> ResampleTable.Coordinates {
        switch name {
        case "half_pixel": return .halfPixel
        case "pytorch_half_pixel": return .pytorchHalfPixel
        case "half_pixel_symmetric": return .halfPixelSymmetric
        case "asymmetric": return .asymmetric
        case "align_corners": return .alignCorners
        case "tf_crop_and_resize": return .crop(start: region.0, end: region.1)
        default: throw LoweringProblem.unsupported(needed: "coordinates \(name.quotedForMessage)")
        }
    }

    // MARK: Elements

    private mutating func nearest(
        _ node: NodeContext, _ x: View, _ target: ResizedAxis, _ coordinates: ResampleTable.Coordinates
    ) throws -> View {
        let name = try node.string(
            "nearest_mode", default: node.op == "Upsample" || node.opset < 11 ? "floor" : "round_prefer_floor")
        let modes: [String: ResampleTable.Rounding] = [
            "round_prefer_floor": .preferFloor, "round_prefer_ceil": .preferCeil, "floor": .floor, "ceil": .ceil,
        ]
        guard let rounding = modes[name] else {
            throw LoweringProblem.unsupported(needed: "nearest_mode \(name.quotedForMessage)")
        }
        let indices = ResampleTable.nearest(
            from: x.shape[target.axis], to: target.size, scale: target.scale, coordinates: coordinates,
            rounding: rounding)
        return try gathered(x, axis: target.axis, indices.map { Int($0) })
    }

    private mutating func interpolated(
        _ node: NodeContext, _ x: View, _ target: ResizedAxis, _ coordinates: ResampleTable.Coordinates,
        _ kernel: ResampleTable.Kernel
    ) throws -> View {
        let table = ResampleTable(
            kernel, from: x.shape[target.axis], to: target.size, scale: target.scale, coordinates: coordinates,
            excludesOutside: try node.flag("exclude_outside"), antialiases: try node.flag("antialias"))
        let shape = [target.size, table.taps]
        let indices = try addConstant(TensorData(elements: table.indices), .i32, shape)
        let weights = try addFloats(table.weights, shape)
        let id = try emit(.resample(Resample(axis: x.storedAxis(target.axis))), [x.id, indices, weights])
        var result = x.shape
        result[target.axis] = target.size
        return View(id, result, order: x.order, type: x.type)
    }

    /// Positions outside of the input get a value of their own.
    private mutating func extrapolated(
        _ node: NodeContext, _ x: View, _ target: ResizedAxis, _ coordinates: ResampleTable.Coordinates
    ) throws -> View {
        let size = try node.shape(0)[target.axis]
        let isInside = (0..<target.size).map { index -> Double in
            let position = coordinates.position(index, size, target.size, target.scale)
            return position >= 0 && position <= Double(size - 1) ? 1 : 0
        }
        guard isInside.contains(0) else { return x }
        var column = [Int](repeating: 1, count: x.rank)
        column[target.axis] = target.size
        let value = Double(try node.float("extrapolation_value", default: 0))
        return try view(select(.host(HostTensor(.f32, column, reals: isInside)), .view(x), number(value)))
    }
}
