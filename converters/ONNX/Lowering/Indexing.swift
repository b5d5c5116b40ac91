import AlulaGraph

// Operators that pick or replace elements at places that are known while importing.
extension Importer {
    static let indexingOperators = [
        "Gather", "GatherElements", "GatherND", "ScatterElements", "Scatter", "ScatterND", "Compress",
    ]

    mutating func indexing(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "Gather": return [.view(try gather(node))]
        case "GatherElements": return [.view(try gatherElements(node))]
        case "GatherND": return [.view(try gatherND(node))]
        case "Compress": return [.view(try compress(node))]
        case "ScatterND": return [.view(try scatterND(node))]
        default: return [.view(try scatterElements(node))]
        }
    }

    private func indices(_ node: NodeContext) throws -> HostTensor {
        guard let indices = try node.host(1, "its indices") else {
            throw LoweringProblem.invalid("indices are missing")
        }
        guard indices.count > 0, indices.count <= model.limits.constantElements else {
            throw LoweringProblem.unsupported(needed: "\(indices.count) indices")
        }
        return indices
    }

    /// Indices may count from the end.
    private func wrapped(_ index: Int, _ size: Int) throws -> Int {
        let place = index < 0 ? index + size : index
        guard place >= 0, place < size else { throw LoweringProblem.invalid("index \(index) is outside of \(size)") }
        return place
    }

    private mutating func gather(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let indices = try indices(node)
        let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
        let picked = try gathered(x, axis: axis, indices.integers.map { try wrapped($0, x.shape[axis]) })
        // The indices' axes take the place of the one they index.
        return try reshaped(picked, to: Array(x.shape[..<axis]) + indices.shape + Array(x.shape[(axis + 1)...]))
    }

    /// The view as one row of its elements in ONNX's order.
    private mutating func flat(_ value: ImportedValue) throws -> View {
        let view = try view(value)
        return try reshaped(view, to: [view.shape.reduce(1, *)])
    }

    private mutating func gatherElements(_ node: NodeContext) throws -> View {
        let x = try node.input(0)
        let indices = try indices(node)
        let places = try elementPlaces(node, node.shape(0), indices)
        return try reshaped(gathered(flat(x), axis: 0, places), to: indices.shape)
    }

    /// For GatherElements and ScatterElements: which element of the flat tensor each index means.
    private func elementPlaces(_ node: NodeContext, _ shape: [Int], _ indices: HostTensor) throws -> [Int] {
        let axis = try node.axis(node.int("axis", default: 0), rank: shape.count)
        guard indices.shape.count == shape.count,
            shape.indices.allSatisfy({ $0 == axis || indices.shape[$0] <= shape[$0] })
        else { throw LoweringProblem.invalid("indices\(Shape(indices.shape).description) do not fit") }
        let (strides, own) = (Shape(shape).strides, Shape(indices.shape).strides)
        return try indices.integers.enumerated().map { position, index in
            try shape.indices.reduce(0) { sum, at in
                let place = at == axis ? try wrapped(index, shape[axis]) : position / own[at] % indices.shape[at]
                return sum + place * strides[at]
            }
        }
    }

    /// For GatherND and ScatterND: which block of the inner axes each row of indices means.
    private func blocks(_ shape: [Int], _ indices: HostTensor, batchAxes: Int) throws -> [Int] {
        let depth = indices.shape.last ?? 0
        guard depth >= 1, batchAxes >= 0, batchAxes + depth <= shape.count, batchAxes < indices.shape.count,
            Array(indices.shape[..<batchAxes]) == Array(shape[..<batchAxes])
        else { throw LoweringProblem.invalid("indices\(Shape(indices.shape).description) do not fit") }
        let numbers = indices.integers
        let rows = numbers.count / depth
        let rowsPerBatch = rows / max(shape[..<batchAxes].reduce(1, *), 1)
        return try (0..<rows).map { row in
            try (0..<depth).reduce(row / max(rowsPerBatch, 1)) { sum, at in
                sum * shape[batchAxes + at] + (try wrapped(numbers[row * depth + at], shape[batchAxes + at]))
            }
        }
    }

    private mutating func gatherND(_ node: NodeContext) throws -> View {
        let x = try view(node.input(0))
        let indices = try indices(node)
        let batchAxes = try node.int("batch_dims", default: 0)
        let places = try blocks(x.shape, indices, batchAxes: batchAxes)
        let inner = Array(x.shape[(batchAxes + indices.shape.last!)...])
        let count = inner.reduce(1, *)
        let rows = try reshaped(x, to: [x.shape.reduce(1, *) / count, count])
        return try reshaped(gathered(rows, axis: 0, places), to: Array(indices.shape.dropLast()) + inner)
    }

    private mutating func compress(_ node: NodeContext) throws -> View {
        guard let condition = try node.host(1, "its condition") else { throw LoweringProblem.invalid("no condition") }
        var x = try view(node.input(0))
        if !node.has("axis") { x = try flat(.view(x)) }
        let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
        let places = condition.integers.enumerated().filter { $0.element != 0 && $0.offset < x.shape[axis] }.map(
            \.offset)
        guard !places.isEmpty else { throw LoweringProblem.unsupported(needed: "tensors without elements") }
        return try gathered(x, axis: axis, places)
    }

    // MARK: Replacing

    private mutating func scatterElements(_ node: NodeContext) throws -> View {
        let indices = try indices(node)
        let shape = try node.shape(0)
        let places = try elementPlaces(node, shape, indices)
        return try scattered(node, shape, blockSize: 1, places)
    }

    private mutating func scatterND(_ node: NodeContext) throws -> View {
        let indices = try indices(node)
        let shape = try node.shape(0)
        let places = try blocks(shape, indices, batchAxes: 0)
        return try scattered(node, shape, blockSize: shape[indices.shape.last!...].reduce(1, *), places)
    }

    /// Each block comes from the data or from the updates, which are gathered from both laid one behind the other. Where several updates
    /// of a place are combined, each round of them is combined with what the rounds before gave.
    private mutating func scattered(_ node: NodeContext, _ shape: [Int], blockSize: Int, _ places: [Int]) throws -> View
    {
        let count = shape.reduce(1, *) / blockSize
        guard count <= model.limits.constantElements else {
            throw LoweringProblem.unsupported(needed: "\(count) places")
        }
        let data = try reshaped(view(node.input(0)), to: [count, blockSize])
        let updates = try reshaped(view(node.input(2)), to: [places.count, blockSize])
        let reduction = try node.string("reduction", default: "none")
        let kinds: [String: (Binary.Kind, Double)] = [
            "add": (.add, 0), "mul": (.mul, 1), "max": (.max, -.infinity), "min": (.min, .infinity),
        ]
        guard reduction != "none" else {
            var sources = Array(0..<count)
            for (update, place) in places.enumerated() { sources[place] = count + update }
            let both = try view(concatenated([.view(data), .view(updates)], axis: 0))
            return try reshaped(gathered(both, axis: 0, sources), to: shape)
        }
        guard let (kind, neutral) = kinds[reduction] else {
            throw LoweringProblem.unsupported(needed: "reduction \(reduction.quotedForMessage)")
        }
        // The last block changes nothing.
        let nothing = HostTensor(.f32, [1, blockSize], reals: [Double](repeating: neutral, count: blockSize))
        let both = try view(concatenated([.view(updates), .host(nothing)], axis: 0))
        var rounds: [[Int]] = []
        var used = [Int](repeating: 0, count: count)
        for (update, place) in places.enumerated() {
            if used[place] == rounds.count { rounds.append([Int](repeating: places.count, count: count)) }
            guard rounds.count <= 64 else {
                throw LoweringProblem.unsupported(needed: "more than 64 updates of a place")
            }
            rounds[used[place]][place] = update
            used[place] += 1
        }
        var result = ImportedValue.view(data)
        for sources in rounds { result = try binary(kind, result, .view(gathered(both, axis: 0, sources))) }
        return try reshaped(view(result), to: shape)
    }
}
