/// Why a model file cannot be read or written.
public enum ModelFileError: Error, Equatable, Sendable {
    case container(SafetensorsError)
    case writing(SafetensorsWriteError)
    case graph(GraphError)
    /// The file is a safetensors file without `alula.graph`: weights, not a frozen model.
    case notAModel
    /// The file's format is newer than this library, or damaged.
    case unknownVersion(String)
    /// A constant's tensor has another element type or shape than the graph declares.
    case tensorMismatch(name: String, declared: String, stored: String)

    /// One line for a person, without the file's name.
    public var message: String {
        switch self {
        case .container(let error): error.message
        case .writing(let error): error.message
        case .graph(let error): error.message
        case .notAModel:
            "not a frozen Alula model: the safetensors metadata have no alula.graph (use 'alula convert' on weights)"
        case .unknownVersion(let version):
            "format version \(version) is not known to this program, which reads version \(ModelFile.version)"
        case .tensorMismatch(let name, let declared, let stored):
            "tensor \(name) is stored as \(stored), but the graph declares \(declared)"
        }
    }
}

/// A frozen model: the graph with its weights in place in a mapped file, and what belongs to it. `docs/format.md` is the specification.
public struct ModelFile: Sendable {
    public static let version = "1"
    /// The value of `Key.task` for models whose classes are decided one by one.
    public static let multiLabelTask = "multilabel"

    /// Keys of the file's metadata.
    public enum Key {
        public static let version = "alula.version"
        public static let graph = "alula.graph"
        /// JSON: how to make the input from an image or a recording.
        public static let preprocess = "alula.preprocess"
        /// JSON array of strings: the names of the classes, by index.
        public static let labels = "alula.labels"
        /// `multilabel` where every class is decided on its own; absent where one class is picked.
        public static let task = "alula.task"
        /// JSON array of numbers: what a class's probability must reach, by index; for models with `multilabel`.
        public static let thresholds = "alula.thresholds"
        /// JSON: what the model was converted from, with SHA-256.
        public static let source = "alula.source"
        /// JSON: the data, recipe and epoch of the training that gave the weights.
        public static let trained = "alula.trained"
        /// JSON: exact bytes of working memory that a run needs, per thread count.
        public static let arena = "alula.arena"
        /// JSON: the seed of the golden input; its outputs are tensors `alula.golden.0`, ….
        public static let golden = "alula.golden"
    }

    public var graph: Graph
    /// Everything in the metadata but version and graph, by key.
    public var metadata: [String: String]
    /// Tensors that are not constants of the graph: golden outputs.
    public var extras: [(name: String, type: TensorType, data: TensorData)] = []

    public init(graph: Graph, metadata: [String: String] = [:]) {
        self.graph = graph
        self.metadata = metadata
    }

    /// Maps the file and checks it wholly; weights are not copied, and stay mapped as long as the graph or its constants live.
    public init(contentsOf path: String, limits: SafetensorsLimits = .default) throws(ModelFileError) {
        let file: SafetensorsFile
        do throws(SafetensorsError) { file = try SafetensorsFile(mapping: path, limits: limits) } catch {
            throw .container(error)
        }
        try self.init(file)
    }

    /// A model in memory, for devices without files.
    public init(bytes: Bytes, limits: SafetensorsLimits = .default) throws(ModelFileError) {
        let file: SafetensorsFile
        do throws(SafetensorsError) { file = try SafetensorsFile(bytes: bytes, limits: limits) } catch {
            throw .container(error)
        }
        try self.init(file)
    }

    private init(_ file: SafetensorsFile) throws(ModelFileError) {
        guard let text = file.metadata(Key.graph) else { throw .notAModel }
        let version = file.metadata(Key.version) ?? "missing"
        guard version == ModelFile.version else { throw .unknownVersion(version) }
        do throws(GraphError) { graph = try Graph(unverified: text) } catch { throw .graph(error) }
        metadata = [:]
        for (key, value) in file.metadata where key != Key.graph && key != Key.version { metadata[key] = value }

        var used: Set<String> = []
        for id in graph.constants {
            let name = graph[id].name
            guard let entry = file.entry(named: name) else {
                throw .graph(.invalidConstant(name: name, problem: "has no tensor in the file"))
            }
            let type = graph.type(id)
            guard entry.dataType == type.dataType,
                graph[id].constant?.layout != .plain || entry.shape == type.shape.dimensions
            else {
                throw .tensorMismatch(
                    name: name, declared: type.text, stored: entry.dataType.name + Shape(entry.shape).description)
            }
            graph[id].constant?.data = file.data(of: entry)
            used.insert(name)
        }
        do throws(GraphError) { try graph.verify() } catch { throw .graph(error) }
        for entry in file.tensors where !used.contains(entry.name) {
            let type = TensorType(entry.dataType, Shape(entry.shape))
            if type.shape.isValid { extras.append((entry.name, type, file.data(of: entry))) }
        }
    }

    /// Writes the file: it appears whole or not at all.
    public func write(to path: String) throws(ModelFileError) {
        do throws(SafetensorsWriteError) { try writer().write(to: path) } catch { throw .writing(error) }
    }

    /// The file's bytes.
    package func serialized() throws(ModelFileError) -> [UInt8] {
        do throws(SafetensorsWriteError) { return try writer().serialized() } catch { throw .writing(error) }
    }

    private func writer() throws(SafetensorsWriteError) -> SafetensorsWriter {
        var writer = SafetensorsWriter()
        try writer.addMetadata(Key.version, ModelFile.version)
        try writer.addMetadata(Key.graph, graph.text)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { try writer.addMetadata(key, value) }
        for id in graph.constants {
            let value = graph[id]
            guard let constant = value.constant, let data = constant.data else { continue }
            let shape =
                constant.layout == .plain
                ? value.type.shape : constant.layout.storedShape(value.type.shape, groups: groups(of: id))
            try writer.add(value.name, value.type.dataType, shape.dimensions, data)
        }
        for extra in extras { try writer.add(extra.name, extra.type.dataType, extra.type.shape.dimensions, extra.data) }
        return writer
    }

    private func groups(of weight: ValueID) -> Int {
        graph.nodes.first { $0.input(WeightedOperand.weight) == weight }?.op.weightGroups ?? 1
    }
}
