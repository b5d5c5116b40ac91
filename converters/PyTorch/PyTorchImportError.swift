import AlulaGraph

/// Why a PyTorch checkpoint cannot be imported. `message` says it in one line and names the file.
public enum PyTorchImportError: Error, Equatable, Sendable {
    case unreadable(path: String, problem: String)
    /// Written before PyTorch 1.6: a bare sequence of pickles.
    case legacy(path: String)
    /// A program, not weights.
    case torchScript(path: String)
    /// A zip archive without `data.pkl`.
    case notACheckpoint(path: String)
    case archive(path: String, entry: String, problem: String)
    case pickle(path: String, PickleError)
    /// Nothing in it looks like a table from names to tensors.
    case noTensors(path: String)
    case tensor(path: String, name: String, problem: String)

    public var message: String {
        switch self {
        case .unreadable(let path, let problem): "\(path): \(problem)"
        case .legacy(let path):
            "\(path): is a PyTorch checkpoint in the form from before version 1.6; re-save it in PyTorch: "
                + "torch.save(torch.load(path, map_location='cpu', weights_only=True), path)"
        case .torchScript(let path):
            "\(path): is a TorchScript program; save its weights in PyTorch: torch.save(torch.jit.load(path).state_dict(), path)"
        case .notACheckpoint(let path): "\(path): is a zip archive, but no PyTorch checkpoint: it holds no data.pkl"
        case .archive(let path, let entry, let problem): "\(path): \(entry.quotedForMessage) \(problem)"
        case .pickle(let path, let error): "\(path): \(error.message)"
        case .noTensors(let path):
            "\(path): holds no state dict, neither at the top nor under " + StateDictionary.keys.joined(separator: ", ")
        case .tensor(let path, let name, let problem): "\(path): tensor \(name.quotedForMessage) \(problem)"
        }
    }
}

/// Why `data.pkl` is refused; offsets count its bytes.
public enum PickleError: Error, Equatable, Sendable {
    case truncated(offset: Int)
    /// An instruction that weights do not need, or that could run code.
    case forbiddenOpcode(UInt8, offset: Int)
    /// A function or class that is not on the list.
    case forbiddenGlobal(module: String, name: String)
    /// An instruction finds something else than it works on.
    case malformed(String, offset: Int)
    case limit(String, Int)

    public var message: String {
        switch self {
        case .truncated(let offset): "data.pkl ends inside of an instruction at byte \(offset)"
        case .forbiddenOpcode(let code, let offset):
            "data.pkl has the instruction 0x\(String(code, radix: 16)) at byte \(offset), which weights do not need"
        case .forbiddenGlobal(let module, let name):
            "refers to \((module + "." + name).quotedForMessage), which is not needed for weights and is not loaded; "
                + "save model.state_dict() instead"
        case .malformed(let problem, let offset): "data.pkl is damaged: \(problem) at byte \(offset)"
        case .limit(let what, let limit): "data.pkl has more than \(limit) \(what)"
        }
    }
}
