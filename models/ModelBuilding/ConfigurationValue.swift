import AlulaGraph
import Foundation

/// A parsed JSON value of a configuration, with numbers told apart from truth values.
package enum ConfigurationValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([ConfigurationValue])
    case object([String: ConfigurationValue])

    /// The object that a document holds.
    package static func object(parsing document: [UInt8]) throws(ModelError) -> [String: ConfigurationValue] {
        guard case .object(let members)? = try? JSONDecoder().decode(ConfigurationValue.self, from: Data(document))
        else {
            throw .notJSON
        }
        return members
    }

    /// For messages: as in JSON, cut when long.
    package var excerpt: String {
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
    package init(from decoder: any Decoder) throws {
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
package struct ConfigurationKeys {
    package let members: [String: ConfigurationValue]

    package init(members: [String: ConfigurationValue]) { self.members = members }

    /// The keys of a `config.json`.
    package init(json document: [UInt8]) throws(ModelError) {
        members = try ConfigurationValue.object(parsing: document)
    }

    package func has(_ key: String) -> Bool { members[key] != nil }

    /// Whether the key is missing or null.
    package func isAbsent(_ key: String) -> Bool { members[key] == nil || members[key] == .null }

    private func read<Value>(
        _ key: String, _ expected: String, _ convert: (ConfigurationValue) -> Value?
    ) throws(ModelError) -> Value? {
        guard let found = members[key] else { return nil }
        guard let value = convert(found) else {
            throw .configuration(key: key, value: found.excerpt, problem: "is not \(expected)")
        }
        return value
    }

    package func integer(_ key: String) throws(ModelError) -> Int? {
        try read(key, "a whole number") { ConfigurationKeys.integer($0) }
    }

    package func number(_ key: String) throws(ModelError) -> Double? {
        try read(key, "a number") { if case .number(let value) = $0 { value } else { nil } }
    }

    package func bool(_ key: String) throws(ModelError) -> Bool? {
        try read(key, "true or false") { if case .bool(let value) = $0 { value } else { nil } }
    }

    package func string(_ key: String) throws(ModelError) -> String? {
        try read(key, "a string") { if case .string(let value) = $0 { value } else { nil } }
    }

    package func object(_ key: String) throws(ModelError) -> [String: ConfigurationValue]? {
        try read(key, "an object") { if case .object(let members) = $0 { members } else { nil } }
    }

    package func integers(_ key: String) throws(ModelError) -> [Int]? {
        try read(key, "a list of whole numbers") { list($0, ConfigurationKeys.integer) }
    }

    package func numbers(_ key: String) throws(ModelError) -> [Double]? {
        try read(key, "a list of numbers") { list($0) { if case .number(let value) = $0 { value } else { nil } } }
    }

    package func bools(_ key: String) throws(ModelError) -> [Bool]? {
        try read(key, "a list of true and false") { list($0) { if case .bool(let value) = $0 { value } else { nil } } }
    }

    package func strings(_ key: String) throws(ModelError) -> [String]? {
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

/// The bytes of a `config.json`: keys sorted, so that the same values always give the same file.
package func configurationDocument(_ members: [String: Any]) -> [UInt8] {
    let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys]
    guard let data = try? JSONSerialization.data(withJSONObject: members, options: options) else {
        preconditionFailure("only numbers, strings, lists and objects are written")
    }
    return Array(data) + Array("\n".utf8)
}
