import AlulaGraph

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What the caller decides about an import.
public struct ONNXImportOptions: Sendable {
    /// The size of first axes that the model leaves open; nil means 1.
    public var batch: Int?
    /// Whole shapes of inputs, by name.
    public var shapes: [String: [Int]] = [:]
    /// Whether inputs `[N,3,H,W]` become pictures `[N,H,W,3]`, as everything here that reads pictures gives them.
    public var takesImages = true
    /// Inputs that are known already and become constants of the graph.
    public var constants: [String: CheckpointTensor] = [:]

    public init() {}
}

/// An input or output of the model.
public struct ONNXPort: Sendable {
    public var name: String
    /// As ONNX has it.
    public var shape: [Int]
    /// Axis i of the graph's input is axis `order[i]` of the model's; nil for outputs, which lie as in the model.
    public var order: [Int]?
    /// ONNX's element type; the graph holds f32.
    public var type: DataType
}

/// A converted model.
public struct ONNXImport: Sendable {
    public var graph: Graph
    public var inputs: [ONNXPort]
    public var outputs: [ONNXPort]
    /// Outputs that depend on nothing.
    let foldedOutputs: [String: HostTensor]
    /// How many nodes the model has of each operator, by name.
    public var operators: [(name: String, count: Int)]
    public var notes: [String]

    /// The numbers of an output that depends on nothing: integers exactly, whatever the graph's f32 can hold.
    public func foldedOutput(_ name: String) -> (type: DataType, shape: [Int], values: [Double])? {
        foldedOutputs[name].map { ($0.type, $0.shape, $0.reals) }
    }
}

extension ONNXModel {
    /// Maps and parses a model file. Weights stay in the file, and external data may lie in its folder or below it.
    public init(contentsOf path: String, limits: ONNXLimits = .default) throws(ONNXError) {
        let bytes: Bytes
        do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { throw .system(error) }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        self = try ONNXReader.read(bytes, folder: folder, limits: limits)
    }

    /// A model in memory, which may not have external data.
    public init(bytes: Bytes, limits: ONNXLimits = .default) throws(ONNXError) {
        self = try ONNXReader.read(bytes, folder: nil, limits: limits)
    }

    /// The float graph of the model.
    ///
    /// - Throws: `ONNXError.unsupported` with every node that has no counterpart, or what else is wrong.
    public func imported(_ options: ONNXImportOptions = .init()) throws(ONNXError) -> ONNXImport {
        var importer = Importer(self, options)
        return try importer.run()
    }
}

extension CheckpointTensor {
    /// A tensor as ONNX's test data store it: a file that holds one serialized TensorProto.
    package init(onnxTensor path: String) throws(ONNXError) {
        let bytes: Bytes
        do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { throw .system(error) }
        let (name, tensor) = try ONNXReader.tensor(bytes)
        self.init(name, tensor.type, tensor.shape, tensor.nativeData)
    }
}

// MARK: Questions about models and the importer

extension ONNXModel {
    /// The operators that can be imported, those of other domains with the domain in front.
    public static var operatorNames: [String] { LoweringFamily.byOperator.keys.sorted() }

    /// The same by kind, for the documentation.
    public static var operatorFamilies: [(name: String, operators: [String])] {
        LoweringFamily.allCases.map { family in
            (family.rawValue, operatorNames.filter { LoweringFamily.byOperator[$0] == family })
        }
    }

    /// The model's own operators, each once, in order of appearance.
    public var operatorNames: [String] {
        var seen: Set<String> = []
        return (nodes + functions.flatMap(\.nodes)).map(\.qualifiedOp).filter { seen.insert($0).inserted }
    }

    /// Without initializers.
    public var inputNames: [String] {
        let constants = Set(initializers.map(\.name))
        return inputs.map(\.name).filter { !constants.contains($0) }
    }
    public var outputNames: [String] { outputs.map(\.name) }
}
