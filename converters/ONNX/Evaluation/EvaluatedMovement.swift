import AlulaGraph

// Constants cut, joined, repeated and reduced.
extension Evaluator {
    func rearranged(_ inputs: [HostTensor?]) throws -> [HostTensor]? {
        guard context.node.domain.isEmpty, let first = inputs.first, let x = first else { return nil }
        switch context.op {
        case "Transpose":
            let permutation = try context.ints("perm") ?? x.shape.indices.reversed()
            guard permutation.sorted() == Array(x.shape.indices) else {
                throw LoweringProblem.invalid("perm is no permutation of \(x.shape.count) axes")
            }
            let strides = Shape(x.shape).strides
            let shape = permutation.map { x.shape[$0] }
            return [x.picked(shape) { at in zip(at, permutation).reduce(0) { $0 + $1.0 * strides[$1.1] } }]
        case "Concat": return [try concat(inputs.compactMap { $0 })]
        case "Gather": return [try gather(x, inputs.count > 1 ? inputs[1] : nil)]
        case "Slice": return [try slice(x)]
        case "Split":
            let axis = try context.axis(context.int("axis", default: 0), rank: x.shape.count)
            var begin = 0
            return try Importer.splitSizes(context, x.shape[axis]).map { size in
                defer { begin += size }
                return x.taken(Importer.AxisRange(axis: axis, begin: begin, step: 1, count: size))
            }
        case "Expand":
            guard inputs.count > 1, let wanted = inputs[1]?.integers else { return nil }
            let shape = try broadcastShape([x.shape, wanted])
            try check(shape)
            let places = Places(x.shape, shape)
            return [x.picked((0..<shape.reduce(1, *)).map { places[$0] }, shape)]
        case "Tile":
            guard inputs.count > 1, let repeats = inputs[1]?.integers, repeats.count == x.shape.count,
                repeats.allSatisfy({ $0 >= 0 && $0 <= limit })
            else { throw LoweringProblem.invalid("repeats do not fit") }
            let shape = zip(x.shape, repeats).map { $0 * $1 }
            try check(shape)
            let strides = Shape(x.shape).strides
            return [x.picked(shape) { at in at.indices.reduce(0) { $0 + at[$1] % x.shape[$1] * strides[$1] } }]
        case "Trilu":
            guard x.shape.count >= 2 else { throw LoweringProblem.invalid("\(x.shape.count) axes, where 2 are needed") }
            let offset = inputs.count > 1 ? inputs[1]?.integers.first ?? 0 : 0
            let isUpper = try context.flag("upper", default: true)
            let (rows, columns) = (x.shape[x.shape.count - 2], x.shape[x.shape.count - 1])
            guard abs(offset) <= limit else { throw LoweringProblem.invalid("diagonal \(offset)") }
            let keeps = (0..<x.count).map { place in
                let distance = place % columns - place / columns % rows
                return isUpper ? distance >= offset : distance <= offset
            }
            return [
                x.type.isFloat
                    ? HostTensor(x.type, x.shape, reals: zip(x.reals, keeps).map { $1 ? $0 : 0 })
                    : HostTensor(x.type, x.shape, integers: zip(x.integers, keeps).map { $1 ? $0 : 0 })
            ]
        case "NonZero":
            let places = x.reals.indices.filter { x.reals[$0] != 0 }
            let strides = Shape(x.shape).strides
            let result = x.shape.indices.flatMap { axis in places.map { $0 / strides[axis] % x.shape[axis] } }
            return [HostTensor(.i64, [x.shape.count, places.count], integers: result)]
        case "CumSum": return [try cumulativeSum(x, inputs.count > 1 ? inputs[1] : nil)]
        case "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean": return [try reduce(x)]
        default: return nil
        }
    }

    private func concat(_ parts: [HostTensor]) throws -> HostTensor {
        let rank = parts[0].shape.count
        let axis = try context.axis(context.int("axis", default: 1), rank: rank)
        var shape = parts[0].shape
        for part in parts.dropFirst() {
            var other = part.shape
            guard other.count == rank else { throw LoweringProblem.invalid("its inputs differ in rank") }
            other[axis] = shape[axis]
            guard other == shape else {
                throw LoweringProblem.invalid("its inputs differ in an axis other than \(axis)")
            }
            shape[axis] += part.shape[axis]
        }
        try check(shape)
        let outer = shape[..<axis].reduce(1, *)
        let blocks = parts.map { $0.count / max(outer, 1) }
        let type = parts[0].type
        func joined<T>(_ values: [[T]]) -> [T] {
            (0..<outer).flatMap { row in
                zip(values, blocks).flatMap { $0[row * $1..<(row + 1) * $1] }
            }
        }
        return type.isFloat
            ? HostTensor(type, shape, reals: joined(parts.map(\.reals)))
            : HostTensor(type, shape, integers: joined(parts.map(\.integers)))
    }

    private func gather(_ x: HostTensor, _ indices: HostTensor?) throws -> HostTensor {
        guard let indices else { throw LoweringProblem.invalid("indices are missing") }
        let axis = try context.axis(context.int("axis", default: 0), rank: x.shape.count)
        let (size, inner) = (x.shape[axis], x.shape[(axis + 1)...].reduce(1, *))
        let outer = x.shape[..<axis].reduce(1, *)
        let places = try indices.integers.map { index in
            let place = index < 0 ? index + size : index
            guard place >= 0, place < size else {
                throw LoweringProblem.invalid("index \(index) is outside of \(size)")
            }
            return place
        }
        let shape = Array(x.shape[..<axis]) + indices.shape + Array(x.shape[(axis + 1)...])
        try check(shape)
        var result: [Int] = []
        for row in 0..<outer {
            for place in places { for column in 0..<inner { result.append((row * size + place) * inner + column) } }
        }
        return x.picked(result, shape)
    }

    private func slice(_ x: HostTensor) throws -> HostTensor {
        var result = x
        for range in try Importer.sliceRanges(context, x.shape) { result = result.taken(range) }
        return result
    }

    private func cumulativeSum(_ x: HostTensor, _ axis: HostTensor?) throws -> HostTensor {
        guard let axis = axis?.integers.first else { throw LoweringProblem.invalid("the axis is missing") }
        let place = try context.axis(axis, rank: x.shape.count)
        let (exclusive, backwards) = (try context.flag("exclusive"), try context.flag("reverse"))
        let (size, inner) = (x.shape[place], x.shape[(place + 1)...].reduce(1, *))
        var values = x.reals
        for line in 0..<(size == 0 ? 0 : x.count / size) {
            let start = line / inner * size * inner + line % inner
            var sum = 0.0
            for step in 0..<size {
                let at = start + (backwards ? size - 1 - step : step) * inner
                let value = values[at]
                values[at] = exclusive ? sum : sum + value
                sum += value
            }
        }
        return x.type.isFloat
            ? HostTensor(x.type, x.shape, reals: values)
            : HostTensor(x.type, x.shape, integers: values.map { Int(clamping: $0) })
    }

    private func reduce(_ x: HostTensor) throws -> HostTensor {
        let named = try context.integers(attribute: "axes", orInput: 1) ?? []
        if named.isEmpty, try context.flag("noop_with_empty_axes") { return x }
        let axes = try named.isEmpty ? Array(x.shape.indices) : context.axes(named, rank: x.shape.count)
        var kept = x.shape
        for axis in axes { kept[axis] = 1 }
        let keeps = try context.flag("keepdims", default: true)
        let shape = keeps ? kept : x.shape.indices.filter { !axes.contains($0) }.map { x.shape[$0] }
        let places = Places(kept, x.shape)
        let start: Double =
            switch context.op {
            case "ReduceMax": -.infinity
            case "ReduceMin": .infinity
            case "ReduceProd": 1
            default: 0
            }
        var result = [Double](repeating: start, count: kept.reduce(1, *))
        for (index, value) in x.reals.enumerated() {
            let place = places[index]
            switch context.op {
            case "ReduceMax": result[place] = max(result[place], value)
            case "ReduceMin": result[place] = min(result[place], value)
            case "ReduceProd": result[place] *= value
            default: result[place] += value
            }
        }
        if context.op == "ReduceMean", !result.isEmpty {
            let count = Double(x.count) / Double(result.count)
            result = result.map { $0 / count }
        }
        return x.type.isFloat
            ? HostTensor(x.type, shape, reals: result)
            : HostTensor(x.type, shape, integers: result.map { Int(clamping: $0) })
    }
}

extension HostTensor {
    /// The elements at the given places, under a shape.
    func picked(_ places: [Int], _ shape: [Int]) -> HostTensor {
        if type.isFloat {
            let values = reals
            return HostTensor(type, shape, reals: places.map { values[$0] })
        }
        let values = integers
        return HostTensor(type, shape, integers: places.map { values[$0] })
    }

    func picked(_ shape: [Int], _ place: ([Int]) -> Int) -> HostTensor {
        var at = [Int](repeating: 0, count: shape.count)
        var places: [Int] = []
        for _ in 0..<shape.reduce(1, *) {
            places.append(place(at))
            for axis in shape.indices.reversed() {
                at[axis] += 1
                if at[axis] < shape[axis] { break }
                at[axis] = 0
            }
        }
        return picked(places, shape)
    }

    func taken(_ range: Importer.AxisRange) -> HostTensor {
        var result = shape
        result[range.axis] = range.count
        let strides = Shape(shape).strides
        return picked(result) { at in
            at.indices.reduce(0) {
                $0 + strides[$1] * ($1 == range.axis ? range.begin + at[$1] * range.step : at[$1])
            }
        }
    }
}
