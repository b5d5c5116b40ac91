// Operators that move elements without computing.

/// The same elements in row-major order under another shape.
public struct Reshape: Sendable, Equatable {
    public var shape: Shape
    public init(_ shape: Shape) { self.shape = shape }
}

extension Reshape: OperatorRule {
    package var name: String { "reshape" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("shape", shape.dimensions) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        shape = Shape(try attributes.requiredIntegers("shape"))
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard shape.isValid, shape.elementCount == x.elementCount else {
            throw ShapeProblem("\(x.description) does not reshape to \(shape.description)")
        }
        return [shape]
    }
}

/// Axis i of the result is axis `permutation[i]` of the operand.
public struct Transpose: Sendable, Equatable {
    public var permutation: [Int]
    public init(_ permutation: [Int]) { self.permutation = permutation }
}

extension Transpose: OperatorRule {
    package var name: String { "transpose" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("perm", permutation) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        permutation = try attributes.requiredIntegers("perm")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard permutation.sorted() == Array(0..<x.rank) else {
            throw ShapeProblem("perm is not a permutation of the axes of \(x.description)")
        }
        return [Shape(permutation.map { x[$0] })]
    }
}

/// Elements begin, begin + step, … below end along one axis.
public struct Slice: Sendable, Equatable {
    public var axis, begin, end, step: Int
    public init(axis: Int, begin: Int, end: Int, step: Int = 1) {
        (self.axis, self.begin, self.end, self.step) = (axis, begin, end, step)
    }
}

extension Slice: OperatorRule {
    package var name: String { "slice" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("axis", axis)
        attributes.add("begin", begin)
        attributes.add("end", end)
        attributes.add("step", step, default: 1)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
        begin = try attributes.requiredInteger("begin")
        end = try attributes.requiredInteger("end")
        step = try attributes.integer("step", default: 1)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        var x = operands[0]!.shape
        try checkAxis(axis, x)
        guard begin >= 0, begin < end, end <= x[axis], step >= 1 else {
            throw ShapeProblem("\(begin)..<\(end) step \(step) is not within axis \(axis) of \(x.description)")
        }
        x[axis] = (end - begin + step - 1) / step
        return [x]
    }
}

/// The operands one after another along an axis.
public struct Concat: Sendable, Equatable {
    public var axis: Int
    public init(axis: Int) { self.axis = axis }
}

extension Concat: OperatorRule {
    package var name: String { "concat" }
    package var operands: [Operand] { [.required("x")] }
    package var isVariadic: Bool { true }
    package var numericRule: NumericRule { .movement }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("axis", axis) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        var result = operands[0]!.shape
        try checkAxis(axis, result)
        for operand in operands.dropFirst() {
            guard var shape = operand?.shape, shape.rank == result.rank else {
                throw ShapeProblem("operands differ in rank")
            }
            let size = shape[axis]
            shape[axis] = result[axis]
            guard shape == result else { throw ShapeProblem("operands differ in an axis other than \(axis)") }
            result[axis] += size
        }
        return [result]
    }
}

/// The operand cut into consecutive parts along an axis: the one operator with several results.
public struct Split: Sendable, Equatable {
    public var axis: Int
    public var sizes: [Int]
    public init(axis: Int, sizes: [Int]) { (self.axis, self.sizes) = (axis, sizes) }
}

extension Split: OperatorRule {
    package var name: String { "split" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("axis", axis)
        attributes.add("sizes", sizes)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
        sizes = try attributes.requiredIntegers("sizes")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        try checkAxis(axis, x)
        guard !sizes.isEmpty, sizes.allSatisfy({ $0 > 0 && $0 <= x[axis] }), sizes.reduce(0, +) == x[axis] else {
            throw ShapeProblem("sizes do not add up to axis \(axis) of \(x.description)")
        }
        return sizes.map { size in
            var shape = x
            shape[axis] = size
            return shape
        }
    }
}

/// Picks indices along an axis; `indices` is a constant i32 vector.
public struct Gather: Sendable, Equatable {
    public var axis: Int
    public init(axis: Int) { self.axis = axis }
}

extension Gather: OperatorRule {
    package var name: String { "gather" }
    package var operands: [Operand] { [.required("x"), .required("indices")] }
    package var numericRule: NumericRule { .movement }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("axis", axis) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        var x = operands[0]!.shape
        try checkAxis(axis, x)
        guard operands[1]!.shape.rank == 1, operands[1]!.dataType == .i32 else {
            throw ShapeProblem("indices is not a vector of i32")
        }
        x[axis] = operands[1]!.shape[0]
        return [x]
    }
}

/// Cyclic shift: element i moves to (i + shift) mod size along an axis.
public struct Roll: Sendable, Equatable {
    public var axis, shift: Int
    public init(axis: Int, shift: Int) { (self.axis, self.shift) = (axis, shift) }
}

extension Roll: OperatorRule {
    package var name: String { "roll" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("axis", axis)
        attributes.add("shift", shift)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
        shift = try attributes.requiredInteger("shift")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        try checkAxis(axis, operands[0]!.shape)
        return [operands[0]!.shape]
    }
}

/// Adds elements of one value before and after each axis. int8: the value is real and is quantized with the operand's parameters.
public struct Pad: Sendable, Equatable {
    public var before, after: [Int]
    public var value: Float
    public init(before: [Int], after: [Int], value: Float = 0) {
        (self.before, self.after, self.value) = (before, after, value)
    }
}

extension Pad: OperatorRule {
    package var name: String { "pad" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }

    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("before", before)
        attributes.add("after", after)
        attributes.add("value", value, default: 0)
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        before = try attributes.requiredIntegers("before")
        after = try attributes.requiredIntegers("after")
        value = try attributes.float("value", default: 0)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        var x = operands[0]!.shape
        guard before.count == x.rank, after.count == x.rank, (before + after).allSatisfy({ $0 >= 0 }) else {
            throw ShapeProblem("before and after need one size of at least 0 for each axis of \(x.description)")
        }
        for axis in 0..<x.rank { x[axis] += before[axis] + after[axis] }
        return [x]
    }
}

/// Repeats axes of size 1 up to `shape`.
public struct Expand: Sendable, Equatable {
    public var shape: Shape
    public init(_ shape: Shape) { self.shape = shape }
}

extension Expand: OperatorRule {
    package var name: String { "expand" }
    package var operands: [Operand] { [.required("x")] }
    package var numericRule: NumericRule { .movement }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("shape", shape.dimensions) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        shape = Shape(try attributes.requiredIntegers("shape"))
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        guard shape.isValid, try broadcast(operands[0]!.shape, shape) == shape else {
            throw ShapeProblem("\(operands[0]!.shape.description) does not expand to \(shape.description)")
        }
        return [shape]
    }
}
