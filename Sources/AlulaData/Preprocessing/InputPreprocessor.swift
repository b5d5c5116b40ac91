/// How a model's input is made from a file, whatever its kind: what the metadata key `alula.preprocess` says.
public enum InputPreprocessor: Sendable, Equatable {
    case image(ImagePreprocessor)
    case signal(SignalPreprocessor)

    /// Reads the JSON of either kind, which its key `kind` tells.
    public init(json: String) throws(PreprocessorError) {
        switch try ConfigurationReader(Array(json.utf8)).optionalString("kind") {
        case "ecg": self = .signal(try SignalPreprocessor(json: json))
        default: self = .image(try ImagePreprocessor(json: json))
        }
    }
}

extension ConfigurationReader {
    func required<Value>(_ value: Value?, _ key: String) throws(PreprocessorError) -> Value {
        guard let value else { throw .missingKey(key, context: "the model's preprocessing") }
        return value
    }

    /// The document is of this kind, of version 1, and has no other keys.
    func check(kind: String, keys: Set<String>) throws(PreprocessorError) {
        if let key = members.keys.sorted().first(where: { !keys.contains($0) }) {
            throw .unsupported(key: key, found: members[key]?.excerpt ?? "")
        }
        let found = try required(optionalString("kind"), "kind")
        guard found == kind else { throw .unsupported(key: "kind", found: found) }
        let version = try required(optionalInteger("version"), "version")
        guard version == 1 else { throw .unsupported(key: "version", found: "\(version)") }
    }
}
