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
        "kernel": "weight", "depthwise_kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
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
        guard let colon = name.lastIndex(of: ":"), name[name.index(after: colon)...].allSatisfy(\.isNumber) else { return name }
        return String(name[..<colon])
    }

    /// The tensor under its PyTorch name and in PyTorch's layout.
    static func tensor(_ keras: String, _ type: DataType, _ shape: [Int], _ data: TensorData) -> CheckpointTensor {
        let name = name(keras)
        switch (variable(keras.split(separator: "/").last.map(String.init) ?? keras), shape.count) {
        case ("kernel", 2...5):
            let (inputs, outputs) = (shape[shape.count - 2], shape[shape.count - 1])
            let taps = Array(shape.dropLast(2))
            return CheckpointTensor(
                name, type, [outputs, inputs] + taps,
                transposed(data, taps: taps.reduce(1, *), inputs: inputs, outputs: outputs, type))
        case ("depthwise_kernel", 4):
            let (taps, outputs) = (shape[0] * shape[1], shape[2] * shape[3])
            return CheckpointTensor(
                name, type, [outputs, 1, shape[0], shape[1]],
                transposed(data, taps: taps, inputs: 1, outputs: outputs, type))
        default: return CheckpointTensor(name, type, shape, data)
        }
    }

    /// From [taps, in, out] to [out, in, taps].
    private static func transposed(
        _ data: TensorData, taps: Int, inputs: Int, outputs: Int, _ type: DataType
    ) -> TensorData {
        // Either order of two axes is the same where one of them has one place.
        if outputs == 1 && (taps == 1 || inputs == 1) || taps * inputs == 1 { return data }
        return switch type.size {
        case 1: moved(data, taps, inputs, outputs, as: UInt8.self)
        case 2: moved(data, taps, inputs, outputs, as: UInt16.self)
        case 4: moved(data, taps, inputs, outputs, as: UInt32.self)
        default: moved(data, taps, inputs, outputs, as: UInt64.self)
        }
    }

    /// In blocks, so that both sides stay in the cache.
    private static func moved<Element: BitwiseCopyable>(
        _ data: TensorData, _ taps: Int, _ inputs: Int, _ outputs: Int, as type: Element.Type
    ) -> TensorData {
        let block = 32
        return data.withElements(of: Element.self) { source in
            TensorData(count: data.count) { bytes in
                let target = bytes.assumingMemoryBound(to: Element.self)
                for firstOutput in stride(from: 0, to: outputs, by: block) {
                    for firstInput in stride(from: 0, to: inputs, by: block) {
                        for output in firstOutput..<min(outputs, firstOutput + block) {
                            for input in firstInput..<min(inputs, firstInput + block) {
                                for tap in 0..<taps {
                                    target[(output * inputs + input) * taps + tap] = source[(tap * inputs + input) * outputs + output]
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
