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

    /// The preprocessing that was published with the weights (resize the short side to 256, crop 224), in Hugging Face's form and for
    /// another input size in proportion. For checkpoints that come without a file of their own; early revisions of L3 and L7 differed.
    public static func preprocessorJSON(side: Int) -> [UInt8] {
        let bicubic = 3
        return configurationDocument([
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

    private static func write(_ bytes: [UInt8], to url: URL) throws(ModelError) {
        do { try Data(bytes).write(to: url, options: .atomic) } catch {
            throw .writing(path: url.path, problem: error.localizedDescription)
        }
    }
}
