import AlulaGraph

/// A graph value in another order of axes.
struct StoredOrder: Hashable {
    var id: ValueID
    var permutation: [Int]
}

// How imported values become operands of graph operators.
extension Importer {
    /// Appends an operator with one result.
    mutating func emit(_ op: Operator, _ operands: [ValueID]) throws -> ValueID { try graph.add(op, operands) }

    /// A new constant. What its name belongs to is the current node, unless it has a name of its own.
    mutating func addConstant(_ data: TensorData, _ type: DataType, _ shape: [Int], name: String? = nil) throws
        -> ValueID
    {
        guard Shape(shape).isValid else {
            throw LoweringProblem.unsupported(needed: "a constant of shape \(Shape(shape).description)")
        }
        let base = name ?? currentName
        // The model file keeps this prefix for itself.
        let stem = base.isEmpty ? "constant" : base.hasPrefix("alula.") ? "onnx." + base : base
        var unique = stem
        var suffix = constantNames.contains(stem) ? nextSuffix[stem, default: 1] : 0
        while !constantNames.insert(unique).inserted {
            unique = "\(stem).\(suffix)"
            suffix += 1
        }
        nextSuffix[stem] = suffix
        return graph.addConstant(unique, TensorType(type, Shape(shape)), data)
    }

    mutating func addFloats(_ values: [Float], _ shape: [Int], name: String? = nil) throws -> ValueID {
        try addConstant(TensorData(elements: values), .f32, shape, name: name)
    }

    mutating func addIndices(_ values: [Int]) throws -> ValueID {
        try addConstant(TensorData(elements: values.map { Int32(clamping: $0) }), .i32, [values.count])
    }

    /// A value of the graph; what is known becomes a constant, once for each value that the model names.
    mutating func view(_ value: ImportedValue) throws -> View {
        switch value {
        case .view(let view): return view
        case .unknown: throw LoweringProblem.unsupported(needed: "its input is not supported")
        case .unreadable(_, _, let elements):
            throw LoweringProblem.unsupported(needed: "\(elements) that are known at run time only")
        case .host(let tensor):
            let key = tensor.identity
            if let key, let id = hostConstants[key] { return View(id, tensor.shape, type: tensor.type) }
            guard !tensor.exceedsFloat else {
                throw LoweringProblem.unsupported(needed: "f64 numbers beyond the range of f32")
            }
            let id = try addConstant(tensor.floatData, .f32, tensor.shape, name: tensor.name)
            if let key { hostConstants[key] = id }
            return View(id, tensor.shape, type: tensor.type)
        }
    }

    /// The value with its axes as ONNX has them.
    mutating func plain(_ value: ImportedValue) throws -> ValueID {
        let view = try view(value)
        return try stored(view, as: Array(view.shape.indices))
    }

    /// The value with its axes in the wanted order. Constants are permuted now, everything else at run time.
    mutating func stored(_ view: View, as wanted: [Int]) throws -> ValueID {
        guard view.order != wanted else { return view.id }
        let permutation = wanted.map { view.storedAxis($0) }
        let shape = wanted.map { view.shape[$0] }
        let key = StoredOrder(id: view.id, permutation: permutation)
        if let known = storedOrders[key] { return known }
        let result: ValueID
        if let data = graph[view.id].constant?.data {
            let keeps = view.isStored(as: wanted)
            let permuted =
                keeps
                ? data : permute(data, view.storedShape, permutation, elementBytes: graph.type(view.id).dataType.size)
            // Weights stay in the file, and what is rearranged is in memory once and not twice.
            if !keeps { data.releasePages() }
            result = try addConstant(permuted, graph.type(view.id).dataType, shape, name: graph[view.id].name)
        } else if view.isStored(as: wanted) {
            // Only axes of size 1 move.
            result = try emit(.reshape(Reshape(Shape(shape))), [view.id])
        } else {
            result = try emit(.transpose(Transpose(permutation)), [view.id])
        }
        storedOrders[key] = result
        return result
    }

    /// A value of the graph under another shape with the same elements in the same order.
    mutating func reshape(_ id: ValueID, _ shape: [Int]) throws -> ValueID {
        guard graph.shape(id) != Shape(shape) else { return id }
        if let data = graph[id].constant?.data {
            return try addConstant(data, graph.type(id).dataType, shape, name: graph[id].name)
        }
        return try emit(.reshape(Reshape(Shape(shape))), [id])
    }

    /// Whether the view's numbers lie in a constant of the graph.
    func isConstant(_ view: View) -> Bool { graph[view.id].constant != nil }

    // MARK: Broadcasting

    /// Operands whose axes lie in one common order, so that an elementwise operator can combine them.
    struct Aligned {
        var ids: [ValueID]
        /// ONNX's shape of the result.
        var shape: [Int]
        var order: [Int]
    }

    /// Brings values into the order of the largest one that is computed at run time.
    mutating func align(_ values: [ImportedValue]) throws -> Aligned {
        let views = try values.map { try view($0) }
        let rank = views.map(\.rank).max() ?? 0
        let extended = views.map { $0.extended(to: rank) }
        let shape = try broadcastShape(views.map(\.shape))
        var leader: View?
        for view in extended where !isConstant(view) {
            if leader == nil || view.shape.reduce(1, *) > leader!.shape.reduce(1, *) { leader = view }
        }
        let order = leader?.order ?? Array(0..<rank)
        var ids: [ValueID] = []
        for (original, view) in zip(views, extended) {
            // Axes of size 1 in front are left out again: they broadcast by themselves.
            let dimensions = Array(order.map { view.shape[$0] }.drop { $0 == 1 })
            if view.isStored(as: order) {
                let keeps = original.rank == rank && view.order == order
                ids.append(keeps && !isConstant(view) ? view.id : try reshape(view.id, dimensions))
            } else {
                let added = rank - original.rank
                let wanted = order.filter { $0 >= added }.map { $0 - added }
                ids.append(try reshape(try stored(original, as: wanted), dimensions))
            }
        }
        return Aligned(ids: ids, shape: shape, order: order)
    }
}

/// NumPy's rule: trailing axes aligned, sizes equal or 1.
func broadcastShape(_ shapes: [[Int]]) throws -> [Int] {
    let rank = shapes.map(\.count).max() ?? 0
    var result = [Int](repeating: 1, count: rank)
    for shape in shapes {
        for (axis, size) in shape.enumerated() {
            let place = axis + rank - shape.count
            guard size == result[place] || size == 1 || result[place] == 1 else {
                let texts = shapes.map { Shape($0).description }.joined(separator: " and ")
                throw LoweringProblem.invalid("\(texts) do not broadcast")
            }
            if size != 1 { result[place] = size }
        }
    }
    return result
}

/// Elements in another order of axes: axis i of the result is axis `permutation[i]` of a tensor of the given shape.
func permute(_ data: TensorData, _ shape: [Int], _ permutation: [Int], elementBytes: Int) -> TensorData {
    let strides = Shape(shape).strides
    let sizes = permutation.map { shape[$0] }
    let steps = permutation.map { strides[$0] }
    let (inner, step) = (sizes.last ?? 1, steps.last ?? 1)
    return data.withUnsafeBytes { source in
        TensorData(count: data.count) { target in
            var index = [Int](repeating: 0, count: max(sizes.count - 1, 0))
            var base = 0
            for row in 0..<(inner == 0 ? 0 : data.count / elementBytes / inner) {
                let start = row * inner
                if elementBytes == 4 {
                    for column in 0..<inner {
                        let value = source.loadUnaligned(fromByteOffset: (base + column * step) * 4, as: UInt32.self)
                        target.storeBytes(of: value, toByteOffset: (start + column) * 4, as: UInt32.self)
                    }
                } else {
                    for byte in 0..<inner * elementBytes {
                        let (column, part) = (byte / elementBytes, byte % elementBytes)
                        target[start * elementBytes + byte] = source[(base + column * step) * elementBytes + part]
                    }
                }
                var axis = index.count - 1
                while axis >= 0 {
                    index[axis] += 1
                    base += steps[axis]
                    if index[axis] < sizes[axis] { break }
                    base -= sizes[axis] * steps[axis]
                    index[axis] = 0
                    axis -= 1
                }
            }
        }
    }
}
