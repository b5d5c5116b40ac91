import AlulaGraph
import Foundation
import ModelBuilding

// A small model of the project's own, for tests and demonstrations without any download.

extension EfficientFormer {
    /// The sample's classes.
    package static let sampleLabels = [
        "avocet", "bittern", "curlew", "dunlin", "egret", "fulmar", "goshawk", "hoopoe", "ibis", "jay",
    ]

    /// A few percent of L1: 64 x 64 pixels, ten classes, pooling and attention in the last stage, two heads.
    package static var sampleConfiguration: EfficientFormerConfiguration {
        var configuration = EfficientFormerConfiguration()
        configuration.depths = [1, 1, 2, 2]
        configuration.widths = [16, 24, 32, 48]
        configuration.attentionBlocks = 1
        configuration.heads = 4
        configuration.keyDim = 16
        configuration.valueDim = 32
        configuration.resolution = 2
        configuration.layerNormEpsilon = 1e-12
        configuration.head = .classifierAndDistillation
        configuration.labels = sampleLabels
        configuration.classes = sampleLabels.count
        return configuration
    }

    /// Writes `config.json`, `model.safetensors` and `preprocessor_config.json` of a model with drawn weights into a folder, as
    /// Hugging Face's library would. The same seed gives the same files, byte for byte.
    package static func writeSample(to folder: URL, seed: UInt64 = 1) throws(ModelError) {
        let configuration = sampleConfiguration
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw .writing(path: folder.path, problem: error.localizedDescription)
        }
        try write(configurationJSON(configuration), to: folder.appendingPathComponent("config.json"))
        try write(
            preprocessorJSON(side: configuration.inputSide),
            to: folder.appendingPathComponent("preprocessor_config.json"))
        let path = folder.appendingPathComponent("model.safetensors").path
        let weights = try checkpoint(configuration, .sample, seed: seed)
        var writer = SafetensorsWriter(padding: false)
        do throws(SafetensorsWriteError) {
            try writer.addMetadata("format", "pt")
            for tensor in weights.tensors {
                try writer.add(tensor.name, tensor.dataType, tensor.shape, tensor.data)
            }
            try writer.write(to: path)
        } catch {
            throw .writing(path: path, problem: error.message)
        }
    }

    /// The `config.json` that Hugging Face's library writes for a configuration, without the keys that no code reads.
    package static func configurationJSON(_ configuration: EfficientFormerConfiguration) -> [UInt8] {
        let names = [
            "EfficientFormerForImageClassificationWithTeacher", "EfficientFormerForImageClassification",
            "EfficientFormerModel",
        ]
        let name =
            switch configuration.head ?? .classifierAndDistillation {
            case .classifierAndDistillation: names[0]
            case .classifier: names[1]
            case .none: names[2]
            }
        let activations: [UnaryFunction: String] = [.geluTanh: "gelu_new"]
        var members: [String: Any] = [
            "architectures": [name],
            "attention_ratio": Double(configuration.valueDim) / Double(configuration.keyDim),
            "batch_norm_eps": Double(configuration.batchNormEpsilon.description)!,
            "depths": configuration.depths,
            "dim": configuration.widths[configuration.stageCount - 1],
            "downsample_pad": configuration.downsamplePadding,
            "downsample_patch_size": configuration.downsampleKernel,
            "downsample_stride": configuration.downsampleStride,
            // The class reads an entry for the last stage too, and ignores it.
            "downsamples": configuration.downsamples + [true],
            "hidden_act": activations[configuration.activation] ?? configuration.activation.rawValue,
            "hidden_size": configuration.widths[configuration.stageCount - 1],
            "hidden_sizes": configuration.widths,
            "image_size": configuration.inputSide,
            "key_dim": configuration.keyDim,
            "layer_norm_eps": Double((configuration.layerNormEpsilon ?? 1e-12).description)!,
            "mlp_expansion_ratio": configuration.mlpRatio,
            "model_type": "efficientformer",
            "num_attention_heads": configuration.heads,
            "num_channels": configuration.channels,
            "num_meta3d_blocks": configuration.attentionBlocks,
            "pool_size": configuration.poolSize,
            "resolution": configuration.resolution,
            "use_layer_scale": configuration.usesLayerScale,
        ]
        if !configuration.labels.isEmpty {
            let labels = configuration.labels.enumerated()
            members["id2label"] = Dictionary(uniqueKeysWithValues: labels.map { (String($0.offset), $0.element) })
            members["label2id"] = Dictionary(labels.map { ($0.element, $0.offset) }) { first, _ in first }
        }
        return json(members)
    }

    /// The preprocessing that was published with the weights (resize the short side to 256, crop 224), in Hugging Face's form and for
    /// another input size in proportion. For checkpoints that come without a file of their own; early revisions of L3 and L7 differed.
    public static func preprocessorJSON(side: Int) -> [UInt8] {
        let bicubic = 3
        return json([
            "crop_size": ["height": side, "width": side],
            "do_center_crop": true,
            "do_normalize": true,
            "do_rescale": true,
            "do_resize": true,
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "EfficientFormerImageProcessor",
            "image_std": [0.229, 0.224, 0.225],
            "resample": bicubic,
            "rescale_factor": 1.0 / 255,
            "size": ["shortest_edge": side * 256 / 224],
        ])
    }

    private static func json(_ members: [String: Any]) -> [UInt8] {
        let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys]
        guard let data = try? JSONSerialization.data(withJSONObject: members, options: options) else {
            preconditionFailure("only numbers, strings, lists and objects are written")
        }
        return Array(data) + Array("\n".utf8)
    }

    private static func write(_ bytes: [UInt8], to url: URL) throws(ModelError) {
        do { try Data(bytes).write(to: url, options: .atomic) } catch {
            throw .writing(path: url.path, problem: error.localizedDescription)
        }
    }
}
