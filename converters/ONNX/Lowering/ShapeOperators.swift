import AlulaGraph

// Operators that change a shape and move nothing, or only say how axes are called.
extension Importer {
    mutating func shape(_ node: NodeContext) throws -> [ImportedValue] {
        switch node.op {
        case "Shape":
            let shape = try node.shape(0)
            let bound = { (value: Int) in min(max(value < 0 ? value + shape.count : value, 0), shape.count) }
            let start = bound(try node.int("start", default: 0))
            let end = bound(try node.int("end", default: shape.count))
            return [.host(HostTensor(indices: Array(shape[start..<max(start, end)])))]
        case "Size": return [.host(HostTensor(.i64, [], integers: [try node.shape(0).reduce(1, *)]))]
        case "Transpose":
            let x = try view(node.input(0))
            let permutation = try node.ints("perm") ?? x.shape.indices.reversed()
            guard permutation.sorted() == Array(x.shape.indices) else {
                throw LoweringProblem.invalid("perm is no permutation of \(x.rank) axes")
            }
            return [.view(x.transposed(permutation))]
        default:
            let x = try view(node.input(0))
            return [.view(try reshaped(x, to: Importer.newShape(node, x.shape)))]
        }
    }

    /// The shape that Reshape, Flatten, Squeeze or Unsqueeze gives.
    static func newShape(_ node: NodeContext, _ shape: [Int]) throws -> [Int] {
        switch node.op {
        case "Flatten":
            let axis = try node.axis(node.int("axis", default: 1), rank: shape.count, allowsEnd: true)
            return [shape[..<axis].reduce(1, *), shape[axis...].reduce(1, *)]
        case "Squeeze":
            guard let named = try node.integers(attribute: "axes", orInput: 1) else { return shape.filter { $0 != 1 } }
            let axes = try node.axes(named, rank: shape.count)
            guard axes.allSatisfy({ shape[$0] == 1 }) else {
                throw LoweringProblem.invalid("an axis of \(Shape(shape).description) to be removed is larger than 1")
            }
            return shape.indices.filter { !axes.contains($0) }.map { shape[$0] }
        case "Unsqueeze":
            guard let named = try node.integers(attribute: "axes", orInput: 1) else {
                throw LoweringProblem.invalid("axes are missing")
            }
            let axes = try node.axes(named, rank: shape.count + named.count)
            var rest = shape[...]
            return (0..<shape.count + named.count).map { axes.contains($0) ? 1 : rest.removeFirst() }
        default: return try reshapeTarget(node, shape)
        }
    }

    /// 0 copies a size, and -1 stands for what is left.
    private static func reshapeTarget(_ node: NodeContext, _ shape: [Int]) throws -> [Int] {
        guard var target = try node.integers(attribute: "shape", orInput: 1) else {
            throw LoweringProblem.invalid("the shape is missing")
        }
        guard target.count <= 64 else { throw LoweringProblem.invalid("\(target.count) axes") }
        if try !node.flag("allowzero") {
            for (axis, size) in target.enumerated() where size == 0 {
                guard axis < shape.count else {
                    throw LoweringProblem.invalid("size 0 copies an axis that is not there")
                }
                target[axis] = shape[axis]
            }
        }
        let unknown = target.indices.filter { target[$0] == -1 }
        guard unknown.count <= 1, target.allSatisfy({ $0 >= -1 }),
            let known = product(target.filter { $0 != -1 }), let count = product(shape)
        else {
            throw LoweringProblem.invalid("\(Shape(target).description) is no shape")
        }
        if let axis = unknown.first {
            guard known > 0, count % known == 0 else { throw mismatch(shape, target) }
            target[axis] = count / known
        } else if known != count {
            throw mismatch(shape, target)
        }
        return target
    }

    private static func mismatch(_ shape: [Int], _ target: [Int]) -> LoweringProblem {
        .invalid("\(Shape(shape).description) does not reshape to \(Shape(target).description)")
    }

    /// nil when the product does not fit.
    static func product(_ sizes: [Int]) -> Int? {
        var result = 1
        for size in sizes {
            let (next, overflow) = result.multipliedReportingOverflow(by: size)
            guard !overflow else { return nil }
            result = next
        }
        return result
    }

    // MARK: Reshaping views

    /// The same elements under another shape. Where axes that merge lie together in the graph, its order is kept.
    mutating func reshaped(_ view: View, to shape: [Int]) throws -> View {
        guard
            let (count, wanted) = Importer.product(view.shape).flatMap({ a in Importer.product(shape).map { (a, $0) } }
            ),
            count == wanted
        else { throw Importer.mismatch(view.shape, shape) }
        if let order = Importer.order(of: view, reshapedTo: shape) {
            return View(try reshape(view.id, order.map { shape[$0] }), shape, order: order, type: view.type)
        }
        let id = try stored(view, as: Array(view.shape.indices))
        return View(try reshape(id, shape), shape, type: view.type)
    }

    /// The order of the new axes in the graph, nil when elements would have to move.
    ///
    /// Both shapes are cut into groups of axes with the same product. A group can stay where it is if its old axes lie next to each other,
    /// first to last.
    static func order(of view: View, reshapedTo shape: [Int]) -> [Int]? {
        let old = view.shape.indices.filter { view.shape[$0] != 1 }
        let new = shape.indices.filter { shape[$0] != 1 }
        let places = view.order.filter { view.shape[$0] != 1 }
        var groups: [(place: Int, axes: [Int])] = []
        var (i, j) = (0, 0)
        while i < old.count || j < new.count {
            guard i < old.count, j < new.count else { return nil }
            let (oldStart, newStart) = (i, j)
            var (left, right) = (view.shape[old[i]], shape[new[j]])
            (i, j) = (i + 1, j + 1)
            while left != right {
                if left < right {
                    guard i < old.count else { return nil }
                    left *= view.shape[old[i]]
                    i += 1
                } else {
                    guard j < new.count else { return nil }
                    right *= shape[new[j]]
                    j += 1
                }
            }
            let place = places.firstIndex(of: old[oldStart])!
            guard place + i - oldStart <= places.count,
                Array(places[place..<place + i - oldStart]) == Array(old[oldStart..<i])
            else { return nil }
            groups.append((place, Array(new[newStart..<j])))
        }
        var order = groups.sorted { $0.place < $1.place }.flatMap(\.axes)
        // Axes of size 1 go behind the axis in front of them.
        for axis in shape.indices where shape[axis] == 1 {
            let place = axis == 0 ? 0 : (order.firstIndex(of: axis - 1) ?? -1) + 1
            order.insert(axis, at: shape[..<axis].allSatisfy { $0 == 1 } ? axis : place)
        }
        return order
    }
}
