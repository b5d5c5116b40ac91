import AlulaGraph

/// A float model as the files of the framework that it came from hold it.
public struct ModelExport: Sendable {
    public var architecture: String
    /// Under the framework's names, in its layouts, in the order in which its library writes them.
    public var tensors: [CheckpointTensor]
    /// The contents of `config.json`.
    public var configuration: [UInt8]
    /// What a person should know.
    public var notes: [String]

    /// - Parameters:
    ///   - graph: the graph to be exported.
    ///   - rebuilt: the graph that a builder makes of `weights`: it must be the same, or the export would compute something else.
    ///   - integers: the numbers of tables that follow from the configuration.
    package init(
        _ graph: Graph, rebuilt: Graph, weights: Checkpoint, _ specifications: [TensorSpecification],
        architecture: String, configuration: [UInt8], name: (String) -> String = { $0 },
        integers: (TensorSpecification, _ index: Int) -> Int = { _, _ in 0 }
    ) throws(ModelError) {
        guard graph.text == rebuilt.text else { throw .notPlain(architecture: architecture) }
        (self.architecture, self.configuration, notes) = (architecture, configuration, [])
        var tensors: [CheckpointTensor] = []
        for tensor in specifications {
            let stored = name(tensor.name)
            if tensor.kind.isNeeded {
                guard let found = weights[tensor.name] else { throw .tensors(missing: [tensor.name], misshapen: []) }
                tensors.append(CheckpointTensor(stored, found.dataType, found.shape, found.data))
            } else {
                let elements = (0..<tensor.elementCount).map { Int64(integers(tensor, $0)) }
                tensors.append(CheckpointTensor(stored, .i64, tensor.shape, TensorData(elements: elements)))
            }
        }
        // As the safetensors library orders them: wide elements first, then by name.
        self.tensors = tensors.sorted { ($1.dataType.size, $0.name) < ($0.dataType.size, $1.name) }
    }
}

extension Checkpoint {
    /// The constants of an unfused float graph under their names, in PyTorch's layouts.
    package init(constantsOf graph: Graph) throws(ModelError) {
        self.init()
        var roles: [ValueID: Operator] = [:]
        for node in graph.nodes {
            switch node.op {
            case .conv2D, .convTranspose2D: roles[node.input(WeightedOperand.weight)] = node.op
            default: break
            }
        }
        for id in graph.constants {
            let value = graph[id]
            // Positions follow from the configuration.
            if value.type.dataType == .i32 { continue }
            guard value.constant?.layout == .plain, value.type.dataType == .f32, let data = value.constant?.data else {
                throw .invalidTensor(name: value.name, problem: "is not stored as plain f32")
            }
            var tensor = CheckpointTensor(value.name, .f32, value.type.shape.dimensions, data)
            switch roles[id] {
            case .conv2D: tensor = tensor.channelsFirst
            case .convTranspose2D: tensor = tensor.channelsFirst
            default: break
            }
            do { try add(tensor) } catch { throw .invalidTensor(name: value.name, problem: error.message) }
        }
    }
}

extension CheckpointTensor {
    /// [out, height, width, in] as [out, in, height, width]; the inverse of what `LayerBuilder` does.
    fileprivate var channelsFirst: CheckpointTensor {
        let (outputs, height, width, inputs) = (shape[0], shape[1], shape[2], shape[3])
        let taps = height * width
        let moved =
            taps == 1 || inputs == 1
            ? data
            : data.aligned(to: 4).withElements(of: Float.self) { source in
                TensorData(count: data.count) { bytes in
                    let target = bytes.assumingMemoryBound(to: Float.self)
                    for row in 0..<outputs * inputs {
                        let (output, input) = (row / inputs, row % inputs)
                        for tap in 0..<taps {
                            target[row * taps + tap] = source[(output * taps + tap) * inputs + input]
                        }
                    }
                }
            }
        return CheckpointTensor(name, dataType, [outputs, inputs, height, width], moved)
    }

    /// Without the axis of height 1 that a convolution along the width has.
    package var overWidth: CheckpointTensor {
        shape.count == 4 && shape[2] == 1
            ? CheckpointTensor(name, dataType, [shape[0], shape[1], shape[3]], data) : self
    }
}
