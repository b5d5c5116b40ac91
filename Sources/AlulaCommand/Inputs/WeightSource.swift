import AlulaData
import AlulaGraph
import HDF5Converter
import PyTorchConverter
import SafetensorsConverter

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What `alula convert` reads: weights, told apart by content, and the configuration files beside them.
struct WeightSource {
    /// The file that holds the weights, or the folder of several.
    let weights: String
    /// `config.json` of a folder, or the file that `--config` names.
    let configuration: String?
    /// `preprocessor_config.json` of a folder.
    let preprocessor: String?
    /// Every file read.
    let files: [String]
    private let format: Format

    /// As a report names it.
    private enum Format: String { case safetensors, hdf5, pytorch, onnx }

    /// Weight files of a folder, in the order in which they are preferred.
    private static let weightNames = [
        "model.safetensors", "model.safetensors.index.json", "tf_model.h5", "pytorch_model.bin", "model.onnx",
    ]

    init(_ path: String, configuration override: String?) throws {
        let isFolder = isDirectory(path)
        let folder = isFolder ? path : path.contains("/") ? String(path[..<path.lastIndex(of: "/")!]) : "."
        let present = { (name: String) -> String? in
            let file = folder + "/" + name
            return FileManager.default.fileExists(atPath: file) ? file : nil
        }
        guard isFolder else {
            format = try WeightSource.format(path)
            weights = path
            // A file of a Hugging Face folder is known by its name; what lies beside any other may belong to anything.
            let isOfFolder = format != .onnx && WeightSource.weightNames.contains(lastComponent(path))
            configuration = override ?? (isOfFolder ? present("config.json") : nil)
            preprocessor = isOfFolder ? present("preprocessor_config.json") : nil
            files = [path] + [configuration, preprocessor].compactMap { $0 }
            return
        }
        guard let found = WeightSource.weightNames.lazy.compactMap(present).first else {
            throw Failure(path, "holds none of \(WeightSource.weightNames.joined(separator: ", "))")
        }
        format = try WeightSource.format(found)
        weights = found
        configuration = override ?? present("config.json")
        preprocessor = present("preprocessor_config.json")
        files = [found] + [configuration, preprocessor].compactMap { $0 }
    }

    /// Whether the source is a graph and not weights for an architecture.
    var isONNX: Bool { format == .onnx }

    /// The format, by what the file holds and not by its name.
    private static func format(_ path: String) throws -> Format {
        if path.hasSuffix(".safetensors.index.json") { return .safetensors }
        let bytes: Bytes
        do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { throw Failure(path, error.message) }
        let kind = FileKind(bytes)
        switch kind {
        case .safetensors: return .safetensors
        case .hdf5: return .hdf5
        case .zip, .pickle: return .pytorch
        case .onnx: return .onnx
        case .unknown where bytes.count < 9:
            throw Failure(path, "has \(bytes.count) bytes, too few for weights")
        case .unknown where path.hasSuffix(".safetensors"):
            // Let the reader say what is wrong with it.
            return .safetensors
        default: throw Failure(path, "is \(kind.description), not weights")
        }
    }

    /// The tensors, and what a person should know about how they were found.
    func checkpoint() throws -> (checkpoint: Checkpoint, notes: [String]) {
        // The messages name the file already.
        do {
            switch format {
            case .safetensors: return (try SafetensorsImporter.checkpoint(at: weights), [])
            case .hdf5: return (try HDF5Importer.checkpoint(at: weights), [])
            case .pytorch: return try PyTorchImporter.checkpoint(at: weights)
            case .onnx: throw Failure(weights, "is a graph, not weights")
            }
        } catch let error as SafetensorsImportError {
            throw Failure(nil, error.message)
        } catch let error as HDF5ImportError {
            throw Failure(nil, error.message)
        } catch let error as PyTorchImportError {
            throw Failure(nil, error.message)
        }
    }

    /// Every file read, without its folder, and its SHA-256.
    func record(and others: [String] = []) throws -> JSON {
        let entries = try (files + others).map { path -> JSON in
            .object([
                ("name", .string(lastComponent(path))),
                ("sha256", .string(try naming(path) { try SHA256.hexadecimal(ofFile: path) })),
            ])
        }
        return .object([("files", .array(entries)), ("format", .string(format.rawValue))])
    }
}

/// The part of a path behind its last slash.
func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}
