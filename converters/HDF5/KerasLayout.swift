import AlulaGraph

/// From Keras's names and layouts to PyTorch's. Nothing here knows an architecture.
///
/// | Keras | PyTorch | layout |
/// |---|---|---|
/// | `kernel` of a convolution | `weight` | `[…taps, in, out]` → `[out, in, …taps]` |
/// | `kernel` of a dense layer | `weight` | `[in, out]` → `[out, in]` |
/// | `depthwise_kernel` | `weight` | `[height, width, in, multiplier]` → `[in * multiplier, 1, height, width]` |
/// | `gamma`, `beta` | `weight`, `bias` | |
/// | `moving_mean`, `moving_variance` | `running_mean`, `running_var` | |
/// | `embeddings` | `weight` | |
enum KerasLayout {
    private static let variables = [
        "kernel": "weight", "depthwise_kernel": "weight", "gamma": "weight", "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var", "embeddings": "weight",
    ]

    /// A weight's name, its parts separated by slashes, as PyTorch writes it. TensorFlow adds a colon and the number of an output.
    static func name(_ keras: String) -> String {
        var parts = keras.split(separator: "/").map(String.init)
        guard let last = parts.popLast() else { return keras }
        parts.append(variables[variable(last)] ?? variable(last))
        return parts.joined(separator: ".")
    }

    /// Without the `:0` at its end.
    private static func variable(_ name: String) -> String {
        guard let colon = name.lastIndex(of: ":"), name[name.index(after: colon)...].allSatisfy(\.isNumber) else {
            return name
        }
        return String(name[..<colon])
    }

    /// A tensor's name and shape for PyTorch, and the order of its numbers.
    struct Target {
        var name: String
        var shape: [Int]
        /// nil: the numbers stay where they are.
        var order: Order?
    }

    /// From [taps, in, out] to [out, in, taps].
    struct Order {
        var taps, inputs, outputs: Int
        /// Whether both orders are the same.
        var isTrivial: Bool { outputs == 1 && (taps == 1 || inputs == 1) || taps * inputs == 1 }
    }

    static func target(_ keras: String, _ shape: [Int]) -> Target {
        var target = Target(name: name(keras), shape: shape)
        switch (variable(keras.split(separator: "/").last.map(String.init) ?? keras), shape.count) {
        case ("kernel", 2...5):
            let (inputs, outputs) = (shape[shape.count - 2], shape[shape.count - 1])
            let taps = Array(shape.dropLast(2))
            target.shape = [outputs, inputs] + taps
            target.order = Order(taps: taps.reduce(1, *), inputs: inputs, outputs: outputs)
        case ("depthwise_kernel", 4):
            target.shape = [shape[2] * shape[3], 1, shape[0], shape[1]]
            target.order = Order(taps: shape[0] * shape[1], inputs: 1, outputs: shape[2] * shape[3])
        default: break
        }
        if target.order?.isTrivial == true { target.order = nil }
        return target
    }

    /// The numbers in the other order.
    static func moved(_ source: UnsafeRawBufferPointer, _ order: Order, _ type: DataType) -> TensorData {
        switch type.size {
        case 1: moved(source, order, as: UInt8.self)
        case 2: moved(source, order, as: UInt16.self)
        case 4: moved(source, order, as: UInt32.self)
        default: moved(source, order, as: UInt64.self)
        }
    }

    /// In blocks, so that both sides stay in the cache.
    private static func moved<Element: BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer, _ order: Order, as type: Element.Type
    ) -> TensorData {
        let (taps, inputs, outputs) = (order.taps, order.inputs, order.outputs)
        let block = 32
        let source = bytes.assumingMemoryBound(to: Element.self)
        return TensorData(count: bytes.count) { memory in
            let target = memory.assumingMemoryBound(to: Element.self)
            for firstOutput in stride(from: 0, to: outputs, by: block) {
                for firstInput in stride(from: 0, to: inputs, by: block) {
                    for output in firstOutput..<min(outputs, firstOutput + block) {
                        for input in firstInput..<min(inputs, firstInput + block) {
                            for tap in 0..<taps {
                                target[(output * inputs + input) * taps + tap] =
                                    source[(tap * inputs + input) * outputs + output]
                            }
                        }
                    }
                }
            }
        }
    }
}
