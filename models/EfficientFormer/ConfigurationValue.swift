import AlulaGraph
import Foundation

/// A parsed JSON value of a configuration, with numbers told apart from truth values.
enum ConfigurationValue: Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([ConfigurationValue])
    case object([String: ConfigurationValue])

    /// The object that a document holds.
    static func object(parsing document: [UInt8]) throws(EfficientFormerError) -> [String: ConfigurationValue] {
        guard case .object(let members)? = try? JSONDecoder().decode(ConfigurationValue.self, from: Data(document))
        else {
            throw .notJSON
        }
        return members
    }

    /// For messages: as in JSON, cut when long.
    var excerpt: String {
        let text =
            switch self {
            case .null: "null"
            case .bool(let value): "\(value)"
            case .number(let value): Int(exactly: value).map { "\($0)" } ?? "\(value)"
            case .string(let value): value.quotedForMessage
            case .array(let values): "[" + values.prefix(20).map(\.excerpt).joined(separator: ", ") + "]"
            case .object(let members): "an object of \(members.count) keys"
            }
        return text.count > 100 ? text.prefix(100) + "…" : text
    }
}

extension ConfigurationValue: Decodable {
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let values = try? container.decode([ConfigurationValue].self) {
            self = .array(values)
        } else {
            self = .object(try container.decode([String: ConfigurationValue].self))
        }
    }
}

/// Typed access to a configuration's keys: nil for a missing key, an error for a value of another type.
struct ConfigurationKeys {
    let members: [String: ConfigurationValue]

    func has(_ key: String) -> Bool { members[key] != nil }

    /// Whether the key is missing or null.
    func isAbsent(_ key: String) -> Bool { members[key] == nil || members[key] == .null }

    private func read<Value>(
        _ key: String, _ expected: String, _ convert: (ConfigurationValue) -> Value?
    ) throws(EfficientFormerError) -> Value? {
        guard let found = members[key] else { return nil }
        guard let value = convert(found) else {
            throw .configuration(key: key, value: found.excerpt, problem: "is not \(expected)")
        }
        return value
    }

    func integer(_ key: String) throws(EfficientFormerError) -> Int? {
        try read(key, "a whole number") { ConfigurationKeys.integer($0) }
    }

    func number(_ key: String) throws(EfficientFormerError) -> Double? {
        try read(key, "a number") { if case .number(let value) = $0 { value } else { nil } }
    }

    func bool(_ key: String) throws(EfficientFormerError) -> Bool? {
        try read(key, "true or false") { if case .bool(let value) = $0 { value } else { nil } }
    }

    func string(_ key: String) throws(EfficientFormerError) -> String? {
        try read(key, "a string") { if case .string(let value) = $0 { value } else { nil } }
    }

    func object(_ key: String) throws(EfficientFormerError) -> [String: ConfigurationValue]? {
        try read(key, "an object") { if case .object(let members) = $0 { members } else { nil } }
    }

    func integers(_ key: String) throws(EfficientFormerError) -> [Int]? {
        try read(key, "a list of whole numbers") { list($0, ConfigurationKeys.integer) }
    }

    func bools(_ key: String) throws(EfficientFormerError) -> [Bool]? {
        try read(key, "a list of true and false") { list($0) { if case .bool(let value) = $0 { value } else { nil } } }
    }

    func strings(_ key: String) throws(EfficientFormerError) -> [String]? {
        try read(key, "a list of strings") { list($0) { if case .string(let value) = $0 { value } else { nil } } }
    }

    private static func integer(_ value: ConfigurationValue) -> Int? {
        if case .number(let number) = value { Int(exactly: number) } else { nil }
    }

    private func list<Value>(_ value: ConfigurationValue, _ convert: (ConfigurationValue) -> Value?) -> [Value]? {
        guard case .array(let values) = value else { return nil }
        let converted = values.compactMap(convert)
        return converted.count == values.count ? converted : nil
    }
}
