import AlulaGraph
import AlulaRuntime
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A frozen model, opened from a `.alula` file and ready to run.
///
///     let model = try Model(contentsOf: URL(fileURLWithPath: "efficientformer-l1.alula"))
///     let prediction = try model.predict(Tensor(shape: [1, 224, 224, 3], values: pixels))
///     print(prediction.top(1)[0].label)
///
/// A model may be used from several threads at once. Each call then has working memory of its own, which is kept for later calls;
/// the weights stay in the mapped file and are shared.
public final class Model: Sendable {
    /// How a model runs.
    public struct Options: Sendable, Equatable {
        /// Threads that share the work of one prediction; 0 means one for each physical core.
        public var threads = 1
        /// The most bytes that one prediction may need, weights included. Opening fails when it needs more.
        public var memoryLimit: Int?

        public init(threads: Int = 1, memoryLimit: Int? = nil) {
            self.threads = threads
            self.memoryLimit = memoryLimit
        }
    }

    public let inputs: [TensorDescription]
    public let outputs: [TensorDescription]
    /// The names of the classes by index; empty where the model has none.
    public let labels: [String]
    /// Bytes of working memory of one prediction, weights not included.
    public let workingMemory: Int

    private let graph: Graph
    private let options: SessionOptions
    private let idle: Mutex<[IdleSession]>

    /// Opens a model file.
    public convenience init(contentsOf url: URL, options: Options = Options()) throws(AlulaError) {
        try self.init(path: url.path, options: options)
    }

    /// Opens a model file by its path.
    public convenience init(path: String, options: Options = Options()) throws(AlulaError) {
        let file: ModelFile
        do throws(ModelFileError) { file = try ModelFile(contentsOf: path) } catch { throw .file(path: path, error) }
        try self.init(file, options)
    }

    /// A model in memory.
    public convenience init(bytes: [UInt8], options: Options = Options()) throws(AlulaError) {
        let file: ModelFile
        do throws(ModelFileError) {
            file = try ModelFile(bytes: bytes.withUnsafeBytes { Bytes(copying: $0) })
        } catch { throw .file(path: "model", error) }
        try self.init(file, options)
    }

    private init(_ file: ModelFile, _ options: Options) throws(AlulaError) {
        graph = file.graph
        self.options = SessionOptions(threads: options.threads, memoryLimit: options.memoryLimit)
        do throws(JSONError) { labels = try file.labels() } catch { throw .labels(problem: error.message) }
        inputs = file.graph.inputs.map { TensorDescription(file.graph, $0) }
        outputs = file.graph.outputs.map { TensorDescription(file.graph, $0) }
        // One session now: whatever is wrong shows on opening, not at the first prediction.
        let first = try Model.session(file.graph, self.options)
        workingMemory = first.memory.total - first.memory.weights
        idle = Mutex([IdleSession(session: first)])
    }

    /// Runs a model that has one input.
    ///
    /// - Parameter input: of the shape that `inputs` says; a leading axis of size 1 may be left out.
    public func predict(_ input: Tensor) throws(AlulaError) -> Prediction { try predict([input]) }

    /// Runs the model on one tensor for each of `inputs`.
    public func predict(_ tensors: [Tensor]) throws(AlulaError) -> Prediction {
        guard tensors.count == inputs.count else { throw .inputCount(expected: inputs.count, given: tensors.count) }
        for (tensor, input) in zip(tensors, inputs) {
            let fits =
                tensor.shape == input.shape
                || (input.shape.first == 1 && tensor.shape == Array(input.shape.dropFirst()))
            guard fits, tensor.values.count == input.count else {
                throw .inputShape(
                    name: input.name, expected: input.shape, given: tensor.shape, values: tensor.values.count)
            }
        }
        let taken = idle.withLock { $0.popLast() }
        let session = if let taken { taken.session } else { try Model.session(graph, options) }
        defer { idle.withLock { $0.append(IdleSession(session: session)) } }
        do throws(RuntimeError) {
            for (index, tensor) in tensors.enumerated() { try session.setInput(index, floats: tensor.values) }
        } catch { throw .runtime(error) }
        session.run()
        var results: [(name: String, tensor: Tensor)] = []
        do throws(RuntimeError) {
            for (index, output) in outputs.enumerated() {
                results.append((output.name, Tensor(shape: output.shape, values: try session.outputFloats(index))))
            }
        } catch { throw .runtime(error) }
        return Prediction(outputs: results, labels: labels)
    }

    private static func session(_ graph: Graph, _ options: SessionOptions) throws(AlulaError) -> Session {
        do throws(RuntimeError) { return try Session(graph, options: options) } catch { throw .runtime(error) }
    }
}

/// A session that nobody uses. Only one thread takes it out of the pool, so that it may pass between threads.
private struct IdleSession: @unchecked Sendable {
    let session: Session
}

extension TensorDescription {
    fileprivate init(_ graph: Graph, _ id: ValueID) {
        self.init(
            name: graph.displayName(id), shape: graph.shape(id).dimensions, isQuantized: graph.type(id).dataType == .u8)
    }
}
