import AlulaCompiler
import AlulaData
import AlulaGraph
import ArgumentParser
import ModelBuilding

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// `alula export`: a frozen model becomes files that other frameworks read.
struct Export: ParsableCommand {
    /// Formats that models are exported to.
    enum Target: String, ExpressibleByArgument, CaseIterable {
        case safetensors, onnx
    }

    static let configuration = CommandConfiguration(
        abstract: "Writes a model for other frameworks.",
        discussion: """
            safetensors: a folder with model.safetensors, config.json and preprocessor_config.json. An
            EfficientFormer reloads in Hugging Face's library with the same logits; EdgeViT and MSW-Transformer keep their original
            names. Takes a float model as convert and finetune write it, not a folded or quantized one.

            onnx: one file of operator set 17 with the graph as it is, pictures channels-first. A quantized model becomes QDQ: the same
            s8 weights and scales, each operator between DequantizeLinear and QuantizeLinear. Labels and preprocessing are in its metadata.

            Examples:

              alula export model.alula --to safetensors -o model-hf
              alula export model.int8.alula --to onnx -o model.onnx
            """)

    @Argument(help: "A frozen model.")
    var model: String

    @Option(
        help: ArgumentHelp(
            "The format: \(Target.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "format"))
    var to: Target

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("The folder to write; for onnx, the file.", valueName: "path"))
    var output: String

    @OptionGroup var format: OutputOptions

    func run() throws {
        let file = try Models.open(model)
        switch to {
        case .safetensors: try SafetensorsExport(file, path: model).write(to: output, format)
        case .onnx: try ONNXFileExport(file, path: model).write(to: output, quantized: file.graph.isQuantized, format)
        }
    }
}

/// A model's tensors under their original names, with the configuration files that belong to them.
private struct SafetensorsExport {
    private let export: ModelExport
    private let preprocessor: String?

    init(_ file: ModelFile, path: String) throws {
        let graph = file.graph
        guard !graph.isQuantized, !graph.isPacked else {
            throw Failure(
                path,
                "is \(graph.isQuantized ? "quantized" : "packed"): its weights are no longer the checkpoint's; export the float model"
            )
        }
        let family = Architectures.families.first { $0.recognizesGraph(graph) }
        preprocessor = try naming(path, { try file.inputPreprocessor() }).map { preprocessor in
            switch preprocessor {
            case .image(let image): image.huggingFaceJSON
            case .signal(let signal): signal.json
            }
        }
        guard let family else {
            throw Failure(path, "is of no architecture with original names: its graph was imported as it is")
        }
        let labels = try Models.labels(file, path: path)
        do throws(ModelError) { export = try family.export(graph, labels) } catch { throw Failure(path, error.message) }
    }

    func write(to folder: String, _ format: OutputOptions) throws {
        let files = FileManager.default
        let isNew = !files.fileExists(atPath: folder)
        do {
            try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch { throw Failure(folder, "cannot be made a folder") }
        do {
            // The weights last: a folder with weights is whole.
            try put("config.json", export.configuration, in: folder)
            if let preprocessor { try put("preprocessor_config.json", Array(preprocessor.utf8), in: folder) }
            try writeWeights(to: folder + "/model.safetensors")
        } catch {
            if isNew { try? files.removeItem(atPath: folder) }
            throw error
        }
        let bytes = export.tensors.reduce(0) { $0 + $1.data.count }
        format.print(
            .object([
                ("output", .string(folder)), ("format", .string("safetensors")),
                ("architecture", .string(export.architecture)), ("tensors", .integer(export.tensors.count)),
                ("bytes", .integer(bytes)), ("notes", .strings(export.notes)),
            ]),
            text: "\(folder): \(export.architecture), \(export.tensors.count) tensors, \(Format.bytes(bytes))\n"
                + export.notes.map { "note: \($0)\n" }.joined())
    }

    private func put(_ name: String, _ bytes: [UInt8], in folder: String) throws {
        let path = folder + "/" + name
        try writing(path) { try AtomicFile.write(bytes, to: path) }
    }

    private func writeWeights(to path: String) throws {
        try naming(path) {
            var writer = SafetensorsWriter(padding: false)
            try writer.addMetadata("format", "pt")
            for tensor in export.tensors { try writer.add(tensor.name, tensor.dataType, tensor.shape, tensor.data) }
            try writer.write(to: path)
        }
    }
}
