import AlulaData
import AlulaTraining

/// What has to be the same for a checkpoint to be of use.
struct RunIdentity {
    private let members: [(key: String, value: String)]

    init(_ options: Finetune, _ data: TrainingData) throws {
        func digest(_ path: String) throws -> String { try naming(path) { try SHA256.hexadecimal(ofFile: path) } }
        members = [
            ("model", try digest(options.model)), ("teacher", try options.distill.map(digest) ?? ""),
            ("head", options.newHead.map(String.init) ?? ""), ("training examples", String(data.training.count)),
            ("measured examples", String(data.validation?.count ?? 0)),
            ("classes", data.training.classes.joined(separator: ",")), ("seed", String(options.seed)),
        ]
    }

    var text: String { JSON.object(members.map { ($0.key, .string($0.value)) }).text }

    /// Fails where another run wrote the checkpoint.
    func check(_ stored: String, path: String) throws {
        guard let found = JSONValue.object(parsing: Array(stored.utf8)) else {
            throw Failure(path, "does not say which run it is of")
        }
        for member in members where found[member.key]?.string != member.value {
            throw Failure(path, "is of a run with another \(member.key)")
        }
    }
}
