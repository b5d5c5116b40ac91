import AlulaGraph
import AlulaRuntime

/// Why compilation failed.
public enum CompilerError: Error, Equatable {
    case graph(GraphError)
    case runtime(RuntimeError)
    /// No observation of a value that must be quantized: the calibration ran on another graph.
    case notCalibrated(value: String)
    /// A value was NaN or infinite while calibrating.
    case notFinite(value: String)
    /// `--after` names no pass.
    case unknownPass(name: String, known: [String])
    /// Calibration needs at least one sample.
    case noSamples
    /// The graph has no convolution that could take bytes of pictures.
    case noPixels(problem: String)

    public var message: String {
        switch self {
        case .graph(let error): error.message
        case .runtime(let error): error.message
        case .notCalibrated(let value): "value %\(value) was not seen while calibrating"
        case .notFinite(let value): "value %\(value) is NaN or infinite on the calibration data"
        case .unknownPass(let name, let known):
            "no pass is called \(name); the passes are \(known.joined(separator: ", "))"
        case .noSamples: "no calibration samples"
        case .noPixels(let problem): problem
        }
    }
}

/// A named step from graph to graph. `alula inspect --after NAME` shows the graph behind each.
public struct Pass: Sendable {
    public let name: String
    package let run: @Sendable (Graph) throws(CompilerError) -> Graph

    /// The float passes, in order. What they give is what calibration observes.
    public static let folding: [Pass] = [
        Pass(name: "fold-constants", run: foldConstants),
        Pass(name: "simplify-arithmetic", run: simplifyArithmetic),
        Pass(name: "fuse-functions", run: fuseFunctions),
        Pass(name: "fuse-layer-norm", run: fuseLayerNorm),
        Pass(name: "cancel-moves", run: simplifyLayout),
        Pass(name: "fold-affine", run: foldAffine),
        Pass(name: "fuse-pool-mixer", run: fusePoolMixer),
        Pass(name: "fold-parallel-linear", run: foldParallelLinear),
        Pass(name: "fold-scale", run: foldAffine),
        Pass(name: "fuse-attention", run: fuseAttention),
        Pass(name: "raise-transposes", run: raiseTransposes),
        Pass(name: "layout", run: simplifyLayout),
        Pass(name: "fuse-quantized", run: fuseQuantized),
        Pass(name: "fuse-residual", run: fuseResidual),
        Pass(name: "name-results", run: { (graph) throws(CompilerError) in graph.withNamedResults() }),
    ]

    /// What a float graph gets on top before it runs. The quantizer fuses activations itself, since it needs the range before them.
    public static let floatOnly: [Pass] = [
        Pass(name: "fuse-activation", run: fuseActivation),
        Pass(name: "pack", run: packWeights),
    ]

    /// Runs passes in order, verifying the graph after each.
    public static func run(_ passes: [Pass], on graph: Graph, after last: String? = nil) throws(CompilerError) -> Graph
    {
        if let last, !passes.contains(where: { $0.name == last }) {
            throw .unknownPass(name: last, known: passes.map(\.name))
        }
        var result = graph
        for pass in passes {
            result = try pass.run(result)
            do throws(GraphError) { try result.verify() } catch { throw .graph(error) }
            if pass.name == last { break }
        }
        return result
    }
}
