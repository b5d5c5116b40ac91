import AlulaGraph

/// Why safetensors weights cannot be imported. `message` says it in one line and names the file.
public enum SafetensorsImportError: Error, Equatable, Sendable {
    /// The folder holds neither `model.safetensors` nor an index of shards.
    case noWeights(folder: String)
    /// The file, or a shard, is not readable as safetensors.
    case file(path: String, SafetensorsError)
    case tensor(path: String, CheckpointError)
    case invalidIndex(path: String, problem: String)
    /// The index names something else than a file of its own folder.
    case shardOutsideFolder(shard: String, index: String)
    case missingShard(shard: String, index: String)
    /// The index says that the shard holds the tensor, but it does not.
    case missingTensor(name: String, shard: String)
    case duplicateTensor(name: String, shards: [String])

    public var message: String {
        switch self {
        case .noWeights(let folder):
            "\(folder): holds neither \(SafetensorsImporter.singleFileName) nor \(SafetensorsImporter.indexFileName)"
        case .file(let path, let error): "\(path): \(error.message)"
        case .tensor(let path, let error): "\(path): \(error.message)"
        case .invalidIndex(let path, let problem): "\(path): \(problem)"
        case .shardOutsideFolder(let shard, let index):
            "\(index): shard \(shard.quotedForMessage) is not a file of the same folder"
        case .missingShard(let shard, let index): "\(index): shard \(shard.quotedForMessage) does not exist"
        case .missingTensor(let name, let shard):
            "tensor \(name.quotedForMessage) is listed for shard \(shard.quotedForMessage), which does not hold it"
        case .duplicateTensor(let name, let shards):
            "tensor \(name.quotedForMessage) occurs in \(shards.map(\.quotedForMessage).joined(separator: " and "))"
        }
    }
}
