/// One trainable tensor while it is trained: its numbers and their gradient, both in place.
///
/// The memory belongs to whoever made it, and must outlive the buffers.
package struct ParameterBuffer {
    package let name: String
    package let shape: [Int]
    package let values: UnsafeMutableBufferPointer<Float>
    package let gradient: UnsafeMutableBufferPointer<Float>

    package init(
        name: String, shape: [Int], values: UnsafeMutableBufferPointer<Float>,
        gradient: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(values.count == gradient.count, "a gradient of another size")
        (self.name, self.shape, self.values, self.gradient) = (name, shape, values, gradient)
    }

    /// Whether weight decay shrinks it: matrices and filters do, but not biases, norms and scales, which have one axis that is not 1.
    package var decays: Bool { shape.filter { $0 > 1 }.count > 1 }
}

extension TrainingSession {
    /// The parameters that the loss depends on, as optimizers take them; the session keeps their memory.
    package var parameterBuffers: [ParameterBuffer] {
        parameters.filter(\.hasGradient).map { parameter in
            ParameterBuffer(
                name: parameter.name, shape: parameter.shape.dimensions,
                values: UnsafeMutableBufferPointer(rebasing: values[parameter.range]),
                gradient: UnsafeMutableBufferPointer(rebasing: gradients[parameter.range]))
        }
    }
}

/// How much of the base rate each parameter gets.
package enum LayerDecay {
    /// `decay` to the power of the layers behind the parameter's own, as in BEiT and MAE: the last layer learns at the full rate.
    ///
    /// A layer is a block of the network as names tell: everything up to the last whole number among a name's parts, so that
    /// `stages.1.blocks.2.mlp.fc1.weight` belongs to `stages.1.blocks.2`; without a number up to its last part.
    ///
    /// - Parameter names: in the order in which the network uses them.
    package static func scales(names: [String], decay: Float) -> [Float] {
        var order: [String: Int] = [:]
        let layers = names.map { name in
            let block = LayerDecay.block(name)
            let place = order[block] ?? order.count
            order[block] = place
            return place
        }
        return layers.map { power(decay, order.count - 1 - $0) }
    }

    private static func block(_ name: String) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        let last = parts.lastIndex { Int($0) != nil } ?? max(0, parts.count - 2)
        return parts[...last].joined(separator: ".")
    }

    private static func power(_ base: Float, _ exponent: Int) -> Float {
        (0..<exponent).reduce(1) { result, _ in result * base }
    }
}
