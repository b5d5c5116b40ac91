/// The elements along some axes brought to one: their mean, sum, product, largest or smallest.
///
/// int8 knows mean and sum over neighbouring axes.
public struct Reduce: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case mean, sum
        case product = "prod"
        case maximum = "reduce_max"
        case minimum = "reduce_min"
    }

    public var kind: Kind
    /// In ascending order.
    public var axes: [Int]
    /// Whether reduced axes stay, with size 1.
    public var keepsAxes: Bool

    public init(_ kind: Kind, axes: [Int], keepsAxes: Bool = false) {
        (self.kind, self.axes, self.keepsAxes) = (kind, axes, keepsAxes)
    }

    /// Whether nothing lies between the axes.
    package var hasNeighbouringAxes: Bool { axes.last.map { $0 - axes[0] == axes.count - 1 } ?? false }
    /// Whether there is an int8 form.
    package var isSummation: Bool { kind == .mean || kind == .sum }
}

extension Reduce: OperatorRule {
    package var name: String { kind.rawValue }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { isSummation ? .arithmetic(f32Result: true) : .float }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("axes", axes)
        attributes.add("keep", flag: keepsAxes)
    }

    package init(_ kind: Kind, _ attributes: inout AttributeReader) throws(ShapeProblem) {
        self.kind = kind
        axes = try attributes.requiredIntegers("axes")
        keepsAxes = try attributes.flag("keep")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard !axes.isEmpty, zip(axes, axes.dropFirst()).allSatisfy({ $0 < $1 }),
            axes.allSatisfy({ x.dimensions.indices.contains($0) })
        else { throw ShapeProblem("axes are not axes of \(x.description) in ascending order") }
        var result: [Int] = []
        for axis in 0..<x.rank {
            if !axes.contains(axis) { result.append(x[axis]) } else if keepsAxes { result.append(1) }
        }
        return [Shape(result)]
    }
}

/// The `count` largest or smallest elements along an axis, best first, and their indices (i32). Among equal elements the one
/// with the smaller index comes first, or the one with the larger index if `prefersLast`.
public struct TopK: Sendable, Equatable {
    public var count: Int
    public var axis: Int
    public var isLargest: Bool
    public var prefersLast: Bool

    public init(count: Int, axis: Int, isLargest: Bool = true, prefersLast: Bool = false) {
        (self.count, self.axis, self.isLargest, self.prefersLast) = (count, axis, isLargest, prefersLast)
    }
}

extension TopK: OperatorRule {
    package var name: String { "top_k" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .ranking }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("k", count)
        attributes.add("axis", axis)
        attributes.add("smallest", flag: !isLargest)
        attributes.add("last", flag: prefersLast)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        count = try attributes.requiredInteger("k")
        axis = try attributes.requiredInteger("axis")
        isLargest = !(try attributes.flag("smallest"))
        prefersLast = try attributes.flag("last")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        var x = operands[0]!.shape
        try checkAxis(axis, x)
        guard (1...x[axis]).contains(count) else {
            throw ShapeProblem("k \(count) is not within axis \(axis) of \(x.description)")
        }
        x[axis] = count
        return [x, x]
    }
}
