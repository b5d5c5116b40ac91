import AlulaGraph
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
    /// Every file read, for the record of where a model came from.
    let files: [String]

    /// Weight files of a folder, in the order in which they are preferred.
    private static let weightNames = [
        "model.safetensors", "model.safetensors.index.json", "tf_model.h5", "pytorch_model.bin", "model.onnx",
    ]

    init(_ path: String, configuration override: String?) throws {
        guard isDirectory(path) else {
            try WeightSource.checkFormat(path)
            (weights, configuration, preprocessor) = (path, override, nil)
            files = [path] + [override].compactMap { $0 }
            return
        }
        let present = { (name: String) -> String? in
            let file = path + "/" + name
            return FileManager.default.fileExists(atPath: file) ? file : nil
        }
        guard let found = WeightSource.weightNames.lazy.compactMap(present).first else {
            throw Failure(path, "holds none of \(WeightSource.weightNames.joined(separator: ", "))")
        }
        if !found.hasSuffix(".json") { try WeightSource.checkFormat(found) }
        weights = found
        configuration = override ?? present("config.json")
        preprocessor = present("preprocessor_config.json")
        files = [found] + [configuration, preprocessor].compactMap { $0 }
    }

    /// Whether the source is a graph and not weights for an architecture.
    var isONNX: Bool {
        guard let bytes = try? Bytes(mapping: weights) else { return false }
        return FileKind(bytes) == .onnx
    }

    /// Refuses what is not read yet, by what the file holds and not by its name.
    private static func checkFormat(_ path: String) throws {
        let bytes: Bytes
        do throws(SystemError) { bytes = try Bytes(mapping: path) } catch { throw Failure(path, error.message) }
        let kind = FileKind(bytes)
        switch kind {
        case .safetensors, .onnx: return
        case .hdf5, .zip, .pickle:
            throw Failure(path, "is \(kind.description), a format that is not supported yet")
        case .unknown where bytes.count < 9:
            throw Failure(path, "has \(bytes.count) bytes, too few for weights")
        case .unknown where path.hasSuffix(".safetensors"):
            // Let the reader say what is wrong with it.
            return
        default: throw Failure(path, "is \(kind.description), not weights")
        }
    }

    func checkpoint() throws -> Checkpoint {
        do throws(SafetensorsImportError) {
            return try SafetensorsImporter.checkpoint(at: weights)
        } catch {
            // The message names the file already.
            throw Failure(nil, error.message)
        }
    }

    /// JSON for `alula.source`: names without folders, format, SHA-256 of each file.
    func record(format: String, and others: [String] = []) throws -> String {
        let entries = try (files + others).map { path -> JSON in
            let digest = try naming(path) { try Bytes(mapping: path).withUnsafeBytes { SHA256.hexadecimal($0) } }
            return .object([("name", .string(lastComponent(path))), ("sha256", .string(digest))])
        }
        return JSON.object([("files", .array(entries)), ("format", .string(format))]).text
    }
}

/// The part of a path behind its last slash.
func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}
