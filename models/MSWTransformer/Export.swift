import AlulaGraph
import ModelBuilding

extension MSWTransformer {
    /// Whether the graph's constants carry the names that `build` gives.
    static func recognizes(_ graph: Graph) -> Bool {
        let names = Set(graph.constants.map { graph[$0].name })
        return names.contains("patch_embed.proj.weight") && names.contains("fusion.proj.0.weight")
    }

    /// The checkpoint and `config.json` of an unfused float graph.
    static func export(_ graph: Graph, labels: [String]) throws(ModelError) -> ModelExport {
        var weights = Checkpoint()
        let constants = try Checkpoint(constantsOf: graph)
        for tensor in constants.tensors {
            let own = tensor.name == "patch_embed.proj.weight" ? tensor.overWidth : tensor
            do { try weights.add(own) } catch { throw .invalidTensor(name: tensor.name, problem: error.message) }
        }
        var configuration = try MSWTransformerConfiguration(inferringFrom: weights)
        let signal = graph.shape(graph.inputs[0])
        if signal.rank == 4 { configuration.length = signal[2] }
        (configuration.notes, configuration.labels) = ([], labels)
        configuration.classes = weights["head.weight"]?.shape[0]
        // Shift and mask show in no tensor: whichever gives this graph is the one.
        for shift in MSWTransformerConfiguration.Shift.allCases {
            for masksWrapped in [true, false] {
                (configuration.shift, configuration.masksWrapped) = (shift, masksWrapped)
                let (rebuilt, report) = try build(configuration, weights)
                guard rebuilt.text == graph.text else { continue }
                return try ModelExport(
                    graph, rebuilt: rebuilt, weights: weights, outline(configuration).tensors,
                    architecture: report.architecture, configuration: configurationJSON(configuration))
            }
        }
        throw .notPlain(architecture: configuration.architecture)
    }

    private static func configurationJSON(_ configuration: MSWTransformerConfiguration) -> [UInt8] {
        var members: [String: Any] = [
            "abs_pos": configuration.usesPositions,
            "architecture": configuration.architecture,
            "dim": configuration.dim,
            "dropout": configuration.dropout,
            "fusion": configuration.fusion.rawValue,
            "heads": configuration.heads,
            "layers": configuration.layers,
            "leads": configuration.leads,
            "length": configuration.length,
            "mask": configuration.masksWrapped,
            "mlp_ratio": configuration.mlpRatio,
            "norm_eps": Double(configuration.normEpsilon.description)!,
            "num_classes": configuration.classes ?? defaultClasses,
            "patch": configuration.patch,
            "qkv_bias": configuration.hasQKVBias,
            "rel_bias": configuration.usesRelativeBias,
            "share": configuration.sharesScales,
            "shift": configuration.shift.rawValue,
            "windows": configuration.windows,
        ]
        if !configuration.labels.isEmpty { members["label_names"] = configuration.labels }
        return configurationDocument(members)
    }
}
