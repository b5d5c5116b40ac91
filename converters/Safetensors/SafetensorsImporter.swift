import AlulaGraph
import Foundation

/// Reads pretrained weights from safetensors: one file, or a folder as Hugging Face and timm write it.
public enum SafetensorsImporter {
    /// Limits of a sharded checkpoint's index, far above the largest published ones.
    static let maximumIndexBytes = 64 << 20
    static let maximumShards = 4096

    static let singleFileName = "model.safetensors"
    static let indexFileName = "model.safetensors.index.json"

    /// Whether `checkpoint(at:)` would look for safetensors here: a file of the right form, or a folder that holds one.
    public static func recognizes(_ path: String) -> Bool {
        if isFolder(path) { return weightFile(inFolder: path) != nil }
        if path.hasSuffix(indexSuffix) { return true }
        // Eight bytes of length, then a JSON object.
        guard let handle = FileHandle(forReadingAtPath: path), let start = try? handle.read(upToCount: 9) else {
            return false
        }
        return start.count == 9 && start[8] == UInt8(ascii: "{") && start[4..<8].allSatisfy { $0 == 0 }
    }

    /// The tensors of a `.safetensors` file, of a `*.safetensors.index.json` and its shards, or of a folder with either.
    /// Files are mapped, so that nothing is copied before a builder asks for it.
    public static func checkpoint(at path: String) throws(SafetensorsImportError) -> Checkpoint {
        var file = path
        if isFolder(path) {
            guard let found = weightFile(inFolder: path) else { throw .noWeights(folder: path) }
            file = found
        }
        return file.hasSuffix(indexSuffix) ? try sharded(index: file) : try single(file)
    }

    private static let indexSuffix = ".safetensors.index.json"

    private static func isFolder(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }

    private static func weightFile(inFolder folder: String) -> String? {
        let url = URL(fileURLWithPath: folder, isDirectory: true)
        let candidates = [singleFileName, indexFileName].map { url.appendingPathComponent($0).path }
        return candidates.first { FileManager.default.fileExists(atPath: $0) }
    }

    // MARK: One file

    private static func single(_ path: String) throws(SafetensorsImportError) -> Checkpoint {
        let file = try open(path)
        var checkpoint = Checkpoint()
        for entry in file.tensors { try add(entry, of: file, at: path, to: &checkpoint) }
        return checkpoint
    }

    private static func open(_ path: String) throws(SafetensorsImportError) -> SafetensorsFile {
        do { return try SafetensorsFile(mapping: path) } catch { throw .file(path: path, error) }
    }

    private static func add(
        _ entry: SafetensorsEntry, of file: SafetensorsFile, at path: String, to checkpoint: inout Checkpoint
    ) throws(SafetensorsImportError) {
        do {
            try checkpoint.add(CheckpointTensor(entry.name, entry.dataType, entry.shape, file.data(of: entry)))
        } catch { throw .tensor(path: path, error) }
    }

    // MARK: Shards

    private struct ShardIndex: Decodable {
        enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }
        var weightMap: [String: String]
    }

    private static func sharded(index path: String) throws(SafetensorsImportError) -> Checkpoint {
        let weightMap = try weightMap(of: path)
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        let shardNames = Set(weightMap.values).sorted()
        guard shardNames.count <= maximumShards else {
            throw .invalidIndex(path: path, problem: "names \(shardNames.count) shards, the limit is \(maximumShards)")
        }
        var checkpoint = Checkpoint()
        var shardOfTensor: [String: String] = [:]
        for shard in shardNames {
            let shardPath = try resolve(shard, in: folder, index: path)
            let file = try open(shardPath)
            for entry in file.tensors {
                if let other = shardOfTensor.updateValue(shard, forKey: entry.name) {
                    throw .duplicateTensor(name: entry.name, shards: [other, shard])
                }
                try add(entry, of: file, at: shardPath, to: &checkpoint)
            }
        }
        for (name, shard) in weightMap.sorted(by: { $0.key < $1.key }) where shardOfTensor[name] != shard {
            throw .missingTensor(name: name, shard: shard)
        }
        return checkpoint
    }

    private static func weightMap(of path: String) throws(SafetensorsImportError) -> [String: String] {
        let bytes: Bytes
        do { bytes = try Bytes(mapping: path) } catch { throw .file(path: path, .system(error)) }
        guard bytes.count <= maximumIndexBytes else {
            throw .invalidIndex(path: path, problem: "has \(bytes.count) bytes, the limit is \(maximumIndexBytes)")
        }
        let data = bytes.withUnsafeBytes { Data($0) }
        guard let index = try? JSONDecoder().decode(ShardIndex.self, from: data) else {
            throw .invalidIndex(path: path, problem: "is not JSON with an object \"weight_map\" of file names")
        }
        guard !index.weightMap.isEmpty else { throw .invalidIndex(path: path, problem: "lists no tensors") }
        return index.weightMap
    }

    /// The path of a shard, which must be a file of the index's own folder: an index is input like any other and must not reach
    /// elsewhere, neither by its words nor through a link.
    private static func resolve(
        _ shard: String, in folder: URL, index: String
    ) throws(SafetensorsImportError) -> String {
        let isPlainName =
            !shard.isEmpty && shard != "." && shard != ".." && !shard.utf8.contains(0)
            && !shard.contains(where: { $0 == "/" || $0 == "\\" })
        guard isPlainName else { throw .shardOutsideFolder(shard: shard, index: index) }
        let url = folder.appendingPathComponent(shard, isDirectory: false)
        guard FileManager.default.fileExists(atPath: url.path) else { throw .missingShard(shard: shard, index: index) }
        let parent = url.resolvingSymlinksInPath().deletingLastPathComponent().standardizedFileURL.path
        guard parent == folder.resolvingSymlinksInPath().standardizedFileURL.path else {
            throw .shardOutsideFolder(shard: shard, index: index)
        }
        return url.path
    }
}
