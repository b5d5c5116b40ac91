import AlulaGraph

/// What became of a checkpoint's tensors, and how large the model is.
public struct ModelReport: Sendable, Equatable {
    /// A tensor that was recognized and not needed.
    public struct IgnoredTensor: Sendable, Equatable {
        /// As in the checkpoint.
        public var name: String
        public var reason: String
    }

    /// The published architecture, such as `efficientformer-l1`, or the family's name.
    public var architecture: String
    /// Who named the checkpoint's tensors.
    public var naming: String
    /// Tensors whose numbers are in the graph.
    public var usedCount: Int
    public var ignored: [IgnoredTensor]
    /// Tensors that the configuration does not ask for.
    public var unused: [String]
    /// Trained numbers: all used tensors but running statistics.
    public var parameters: Int
    /// Multiply-adds of one run.
    public var macs: Int
    /// Names of the classes; empty where unknown.
    public var labels: [String]
    /// What a person should know, such as assumptions.
    public var notes: [String]

    /// The account of a finished builder.
    package init<Name: ParameterName>(
        architecture: String, naming: String, _ layers: LayerBuilder<Name>, labels: [String], notes: [String]
    ) {
        let needed = layers.weights.specifications.filter(\.kind.isNeeded)
        (self.architecture, self.naming, self.labels, self.notes) = (architecture, naming, labels, notes)
        (ignored, unused) = (layers.weights.ignored, layers.weights.unused)
        usedCount = needed.count
        parameters = needed.filter(\.kind.isParameter).reduce(0) { $0 + $1.elementCount }
        macs = layers.graph.macs
    }
}

/// One family of architectures, as a program that converts and creates models of any needs to know it.
public struct ModelFamily: Sendable {
    public enum Input: Sendable {
        /// `[1,height,width,channels]`, normalized.
        case image
        /// `[1,1,samples,leads]`.
        case signal
    }

    /// What a fresh model is to be like; nil for the architecture's own.
    public struct Request: Sendable {
        public var architecture: String
        public var classes: Int?
        /// Height and width of an image, leads and samples of a signal.
        public var input: (Int, Int)?
        /// Samples a second of a signal; nil: those that the architecture's defaults are for.
        public var rate: Double?
        /// Values of the family's `settings` that differ from the architecture's.
        package var settings: [String: ConfigurationValue] = [:]
        public var seed: UInt64

        public init(architecture: String, classes: Int?, input: (Int, Int)?, rate: Double? = nil, seed: UInt64) {
            (self.architecture, self.classes, self.input, self.seed) = (architecture, classes, input, seed)
            self.rate = rate
        }

        /// The request as a `config.json` says it: the architecture, and what differs from it.
        package var keys: ConfigurationKeys {
            ConfigurationKeys(members: settings.merging(["architecture": .string(architecture)]) { $1 })
        }
    }

    public typealias Model = (graph: Graph, report: ModelReport)

    /// In lower case, as `architecture` or `model_type` of a configuration may say it.
    public var name: String
    /// Names of the published architectures.
    public var architectures: [String]
    public var input: Input
    /// Keys of `config.json` that a fresh model can be given other values for.
    public var settings: [String]
    /// Whether the tensor names are the family's.
    public var recognizes: @Sendable (Checkpoint) -> Bool
    /// The float graph of a checkpoint, with its `config.json` or an architecture where these are known.
    public var convert:
        @Sendable (_ json: [UInt8]?, _ architecture: String?, _ checkpoint: Checkpoint) throws(ModelError) -> Model
    /// A float graph with weights drawn as the architecture's paper starts training.
    public var create: @Sendable (Request) throws(ModelError) -> Model
    /// Whether a graph's constants are the family's.
    public var recognizesGraph: @Sendable (Graph) -> Bool
    /// The tensors and the configuration of an unfused float graph, as the family's checkpoints have them.
    public var export: @Sendable (_ graph: Graph, _ labels: [String]) throws(ModelError) -> ModelExport

    public init(
        name: String, architectures: [String], input: Input, settings: [String] = [],
        recognizes: @escaping @Sendable (Checkpoint) -> Bool,
        convert: @escaping @Sendable ([UInt8]?, String?, Checkpoint) throws(ModelError) -> Model,
        create: @escaping @Sendable (Request) throws(ModelError) -> Model,
        recognizesGraph: @escaping @Sendable (Graph) -> Bool,
        export: @escaping @Sendable (_ graph: Graph, _ labels: [String]) throws(ModelError) -> ModelExport
    ) {
        (self.name, self.architectures, self.input, self.settings) = (name, architectures, input, settings)
        (self.recognizes, self.convert, self.create) = (recognizes, convert, create)
        (self.recognizesGraph, self.export) = (recognizesGraph, export)
    }
}

/// As the names of architectures are written: in lower case, with hyphens.
package func hyphenated(_ name: String) -> String { String(name.lowercased().map { $0 == "_" ? "-" : $0 }) }
