import AlulaGraph

/// Hands out a checkpoint's tensors by name and keeps account of all that are missing, misshapen or unusable, so that one error can
/// list them. Without a checkpoint it only writes down what is asked for.
package struct WeightReader<Name: ParameterName> {
    private var checkpoint: Checkpoint?
    /// The name in the checkpoint.
    private let names: @Sendable (Name) -> String
    package private(set) var specifications: [TensorSpecification] = []
    package private(set) var ignored: [ModelReport.IgnoredTensor] = []
    private var missing: [String] = []
    private var misshapen: [MisshapenTensor] = []
    /// Reported only when nothing is missing or misshapen.
    private var firstInvalid: ModelError?

    package init(_ checkpoint: Checkpoint, names: @escaping @Sendable (Name) -> String = { $0.canonical }) {
        (self.checkpoint, self.names) = (checkpoint, names)
    }

    /// For writing down what is asked for.
    package init() { names = { $0.canonical } }

    /// A needed tensor's numbers; nil if something is wrong with it, which `finish` throws.
    package mutating func floats(_ name: Name, _ kind: TensorSpecification.Kind, _ shape: [Int]) -> TensorData? {
        guard let tensor = take(name, kind, shape, isOptional: false) else { return nil }
        do throws(CheckpointError) {
            let data = try tensor.floatData()
            if let problem = WeightReader.problem(data, kind) { reject(tensor.name, problem) }
            return data
        } catch {
            reject(tensor.name, "has the type \(tensor.dataType.name), where a floating-point type is needed")
            return nil
        }
    }

    /// A tensor without information of its own: skipped where it exists.
    package mutating func ignore(_ name: Name, _ kind: TensorSpecification.Kind, _ shape: [Int], reason: String) {
        guard let tensor = take(name, kind, shape, isOptional: true) else { return }
        ignored.append(ModelReport.IgnoredTensor(name: tensor.name, reason: reason))
    }

    /// A table of integers that follows from the configuration: checked where it exists. `rule` says what the numbers must be.
    package mutating func check(
        _ name: Name, _ kind: TensorSpecification.Kind, _ shape: [Int], rule: String, reason: String,
        _ expected: (_ index: Int) -> Int
    ) {
        guard let tensor = take(name, kind, shape, isOptional: true) else { return }
        guard let values = try? tensor.integers() else {
            return reject(tensor.name, "has the type \(tensor.dataType.name), where an integer type is needed")
        }
        if let wrong = values.indices.first(where: { values[$0] != expected($0) }) {
            let columns = shape.last ?? 1
            reject(
                tensor.name, "holds \(values[wrong]) at [\(wrong / columns),\(wrong % columns)], which is not \(rule)")
        }
        ignored.append(ModelReport.IgnoredTensor(name: tensor.name, reason: reason))
    }

    /// Whether the checkpoint has the tensor; true without a checkpoint.
    package func has(_ name: Name) -> Bool { checkpoint.map { $0[names(name)] != nil } ?? true }

    package func shape(_ name: Name) -> [Int]? { checkpoint?[names(name)]?.shape }

    package var unused: [String] { checkpoint?.unusedNames ?? [] }

    /// Throws what was found wrong, everything that is missing or misshapen first.
    package func finish() throws(ModelError) {
        guard missing.isEmpty, misshapen.isEmpty else { throw .tensors(missing: missing, misshapen: misshapen) }
        if let firstInvalid { throw firstInvalid }
    }

    private mutating func take(
        _ name: Name, _ kind: TensorSpecification.Kind, _ shape: [Int], isOptional: Bool
    ) -> CheckpointTensor? {
        specifications.append(TensorSpecification(name: name.canonical, kind: kind, shape: shape))
        if checkpoint == nil { return nil }
        let sourceName = names(name)
        guard let tensor = checkpoint?.take(sourceName) else {
            if !isOptional { missing.append(sourceName) }
            return nil
        }
        guard tensor.shape == shape else {
            misshapen.append(MisshapenTensor(name: sourceName, expected: shape, found: tensor.shape))
            return nil
        }
        return tensor
    }

    private mutating func reject(_ name: String, _ problem: String) {
        if firstInvalid == nil { firstInvalid = .invalidTensor(name: name, problem: problem) }
    }

    private static func problem(_ data: TensorData, _ kind: TensorSpecification.Kind) -> String? {
        data.withElements(of: Float.self) { elements in
            if let index = elements.firstIndex(where: { !$0.isFinite }) {
                return "holds \(elements[index]) at element \(index)"
            }
            guard kind == .runningVariance, let index = elements.firstIndex(where: { $0 < 0 }) else { return nil }
            return "holds a negative variance, \(elements[index]) at element \(index)"
        }
    }
}
