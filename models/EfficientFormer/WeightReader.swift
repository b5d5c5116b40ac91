import AlulaGraph

/// One tensor that a configuration asks for.
public struct TensorSpecification: Equatable, Sendable {
    /// What the numbers are for: decides initial values, and whether they are trained.
    public enum Kind: Sendable, Equatable {
        case convolutionWeight, linearWeight, bias, normGamma, normBeta, layerScale, attentionBiases
        case runningMean, runningVariance
        /// Carries no information of its own: it is checked or skipped, never needed.
        case batchCount, attentionBiasIndices

        /// Counted as parameters in every publication.
        public var isParameter: Bool {
            switch self {
            case .runningMean, .runningVariance, .batchCount, .attentionBiasIndices: false
            default: true
            }
        }
    }

    /// Hugging Face's name.
    public var name: String
    public var kind: Kind
    /// In PyTorch's layout: convolutions are [out, in, height, width].
    public var shape: [Int]
}

/// Hands out a checkpoint's tensors by name and keeps account of all that are missing, misshapen or unusable, so that one error can
/// list them. Without a checkpoint it only writes down what is asked for.
struct WeightReader {
    private var checkpoint: Checkpoint?
    private let names: CheckpointNames
    private(set) var specifications: [TensorSpecification] = []
    private(set) var ignored: [EfficientFormerReport.IgnoredTensor] = []
    private var missing: [String] = []
    private var misshapen: [MisshapenTensor] = []
    /// Reported only when nothing is missing or misshapen.
    private var firstInvalid: EfficientFormerError?

    init(_ checkpoint: Checkpoint, _ names: CheckpointNames) { (self.checkpoint, self.names) = (checkpoint, names) }

    /// For writing down what is asked for.
    init() { names = CheckpointNames(.huggingFace) }

    /// A needed tensor's numbers; nil if something is wrong with it, which `finish` throws.
    mutating func floats(_ name: TensorName, _ kind: TensorSpecification.Kind, _ shape: [Int]) -> TensorData? {
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
    mutating func ignore(_ name: TensorName, _ kind: TensorSpecification.Kind, _ shape: [Int], reason: String) {
        guard let tensor = take(name, kind, shape, isOptional: true) else { return }
        ignored.append(EfficientFormerReport.IgnoredTensor(name: tensor.name, reason: reason))
    }

    /// The index table of the attention biases, which must be what the resolution gives.
    mutating func checkAttentionBiasIndices(_ name: TensorName, side: Int) {
        let tokens = side * side
        guard let tensor = take(name, .attentionBiasIndices, [tokens, tokens], isOptional: true) else { return }
        guard let indices = try? tensor.integers() else {
            return reject(tensor.name, "has the type \(tensor.dataType.name), where an integer type is needed")
        }
        let wrong = indices.indices.first { indices[$0] != attentionBiasIndex($0 / tokens, $0 % tokens, side: side) }
        if let wrong {
            reject(
                tensor.name,
                "holds \(indices[wrong]) at [\(wrong / tokens),\(wrong % tokens)], which is not |dy| * \(side) + |dx|")
        }
        ignored.append(
            EfficientFormerReport.IgnoredTensor(
                name: tensor.name, reason: "follows from the resolution; its values were checked"))
    }

    /// Whether the checkpoint has the tensor; true without a checkpoint.
    func has(_ name: TensorName) -> Bool { checkpoint.map { $0[names(name)] != nil } ?? true }

    func shape(_ name: TensorName) -> [Int]? { checkpoint?[names(name)]?.shape }

    var unused: [String] { checkpoint?.unusedNames ?? [] }

    /// Throws what was found wrong, everything that is missing or misshapen first.
    func finish() throws(EfficientFormerError) {
        guard missing.isEmpty, misshapen.isEmpty else { throw .tensors(missing: missing, misshapen: misshapen) }
        if let firstInvalid { throw firstInvalid }
    }

    private mutating func take(
        _ name: TensorName, _ kind: TensorSpecification.Kind, _ shape: [Int], isOptional: Bool
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

/// The column of an attention bias table for two tokens of a side x side grid: |dy| * side + |dx|.
func attentionBiasIndex(_ first: Int, _ second: Int, side: Int) -> Int {
    abs(first / side - second / side) * side + abs(first % side - second % side)
}
