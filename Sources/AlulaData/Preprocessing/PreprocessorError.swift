/// Why a preprocessing configuration could not be used. The file's name is the caller's to add.
public enum PreprocessorError: Error, Equatable {
    /// The text is no JSON object.
    case notJSON
    /// A key's value is of the wrong kind or out of range.
    case invalidValue(key: String, found: String, expected: String)
    /// A key is missing whose default is not known; `context` says of what.
    case missingKey(String, context: String)
    /// The configuration asks for a step that Alula does not have.
    case unsupported(key: String, found: String)
    /// A recording that no input can be made of.
    case unusableRecording(String)
}

extension PreprocessorError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notJSON: "the preprocessing configuration is no JSON object"
        case .invalidValue(let key, let found, let expected): "'\(key)' is \(found), expected \(expected)"
        case .missingKey(let key, let context): "'\(key)' is missing in \(context)"
        case .unsupported(let key, let found): "'\(key)' is \(found), which is not supported"
        case .unusableRecording(let reason): "cannot be used: \(reason)"
        }
    }
}

extension JSONValue {
    /// The value as a message shows it, cut where it is long.
    package var excerpt: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value): compactNumber(value)
        case .string(let value): "\"\(value.prefix(60))\""
        case .array(let values): "a list of \(values.count)"
        case .object(let members): "an object with \(members.keys.sorted().prefix(8).joined(separator: ", "))"
        }
    }
}

/// The shortest decimal that reads back as the same number; whole numbers without a fraction.
func compactNumber(_ value: Double) -> String {
    Int(exactly: value).map(String.init) ?? "\(value)"
}
