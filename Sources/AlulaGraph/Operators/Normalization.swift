/// Inference batch normalization over the last axis: `(x - mean) / sqrt(variance + epsilon) · gamma + beta` (arXiv 1502.03167).
public struct BatchNorm: Sendable, Equatable {
    public var epsilon: Float
    /// Applied to the result: training keeps the two together, so that what lies between need not be kept.
    public var activation: Activation
    public init(epsilon: Float = 1e-5, activation: Activation = nil) {
        (self.epsilon, self.activation) = (epsilon, activation)
    }
}

extension BatchNorm: OperatorRule {
    package var name: String { "batch_norm" }
    package var operands: [Operand] {
        [.required("x"), .required("gamma"), .required("beta"), .required("mean"), .required("variance")]
    }
    package func write(_ attributes: inout AttributeWriter) {
        attributes.add("eps", epsilon, default: 1e-5)
        writeActivation(activation, nil, &attributes)
    }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        epsilon = try attributes.float("eps", default: 1e-5)
        (activation, _) = try readActivation(&attributes)
        try checkEpsilon(epsilon)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        for (index, operand) in self.operands.enumerated().dropFirst() {
            try checkVector(operands[index], count: x.last, name: operand.name)
        }
        return [x]
    }
}

/// Layer normalization over the last axis (arXiv 1607.06450). int8: gamma and beta are f32, in units of the result's scale.
public struct LayerNorm: Sendable, Equatable {
    public var epsilon: Float
    public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }
}

extension LayerNorm: OperatorRule {
    package var name: String { "layer_norm" }
    package var operands: [Operand] { [.required("x"), .required("gamma"), .required("beta")] }
    package var numericRule: NumericRule { .arithmetic(f32Result: false) }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("eps", epsilon, default: 1e-5) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        epsilon = try attributes.float("eps", default: 1e-5)
        try checkEpsilon(epsilon)
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        guard x.rank >= 1 else { throw ShapeProblem("takes at least one axis") }
        try checkVector(operands[1], count: x.last, name: "gamma")
        try checkVector(operands[2], count: x.last, name: "beta")
        return [x]
    }
}

private func checkEpsilon(_ epsilon: Float) throws(ShapeProblem) {
    guard epsilon.isFinite, epsilon >= 0 else { throw ShapeProblem("eps is negative") }
}

/// exp(x - max) over its sum along one axis.
public struct Softmax: Sendable, Equatable {
    public var axis: Int
    public init(axis: Int) { self.axis = axis }
}

extension Softmax: OperatorRule {
    package var name: String { "softmax" }
    package var operands: [Operand] { [.required("x")] }
    package func write(_ attributes: inout AttributeWriter) { attributes.add("axis", axis) }
    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        axis = try attributes.requiredInteger("axis")
    }

    package func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape] {
        let x = operands[0]!.shape
        try checkAxis(axis, x)
        return [x]
    }
}

func checkAxis(_ axis: Int, _ shape: Shape) throws(ShapeProblem) {
    guard shape.dimensions.indices.contains(axis) else {
        throw ShapeProblem("axis \(axis) is not an axis of \(shape.description)")
    }
}
