import AlulaGraph
import ModelBuilding

extension EdgeViT {
    /// Whether the graph's constants carry the names that `build` gives.
    static func recognizes(_ graph: Graph) -> Bool {
        graph.constants.contains { graph[$0].name == "patch_embed1.proj.weight" }
            && graph.constants.contains { graph[$0].name.contains(".SelfAttn.") }
    }

    /// The checkpoint of an unfused float graph under the release's names, and a `config.json` with its constructor's arguments.
    static func export(_ graph: Graph, labels: [String]) throws(ModelError) -> ModelExport {
        let weights = try Checkpoint(constantsOf: graph)
        var configuration = try EdgeViTConfiguration(inferringFrom: weights)
        let image = graph.shape(graph.inputs[0])
        if image.rank == 4 { (configuration.height, configuration.width) = (image[1], image[2]) }
        for node in graph.nodes {
            guard case .attention(let op) = node.op else { continue }
            configuration.headDim = op.keyDim
            break
        }
        (configuration.notes, configuration.labels) = ([], labels)
        configuration.classes = weights["head.weight"]?.shape[0]
        let (rebuilt, report) = try build(configuration, weights)
        return try ModelExport(
            graph, rebuilt: rebuilt, weights: weights, outline(configuration).tensors,
            architecture: report.architecture, configuration: configurationJSON(configuration))
    }

    private static func configurationJSON(_ configuration: EdgeViTConfiguration) -> [UInt8] {
        var members: [String: Any] = [
            "architecture": configuration.architecture,
            "depth": configuration.depths,
            "embed_dim": configuration.widths,
            "head_dim": configuration.headDim,
            "image_size": [configuration.height, configuration.width],
            "in_chans": configuration.channels,
            "mlp_ratio": configuration.mlpRatios,
            "num_classes": configuration.classes ?? 1000,
            "patch_size": configuration.patch,
            "sr_ratios": configuration.rates,
        ]
        if !configuration.labels.isEmpty { members["label_names"] = configuration.labels }
        return configurationDocument(members)
    }
}
