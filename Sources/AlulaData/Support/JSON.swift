/// A JSON value to be printed; objects keep the order in which they are written.
package indirect enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])

    package static func strings(_ values: some Sequence<String>) -> JSON { .array(values.map { .string($0) }) }
    package static func integers(_ values: some Sequence<Int>) -> JSON { .array(values.map { .integer($0) }) }

    /// f32 numbers as the shortest decimals that read back the same; what JSON cannot say becomes null.
    package static func floats(_ values: some Sequence<Float>) -> JSON {
        .array(values.map { $0.isFinite ? .number(Double("\($0)") ?? Double($0)) : .null })
    }

    /// A number rounded to `digits` after the point, as measurements are.
    package static func rounded(_ value: Double, _ digits: Int) -> JSON {
        guard value.isFinite else { return .null }
        var factor = 1.0
        for _ in 0..<digits { factor *= 10 }
        return .number((value * factor).rounded() / factor)
    }

    package static func optional(_ value: Int?) -> JSON { value.map { .integer($0) } ?? .null }
    package static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    package var text: String {
        var result = ""
        append(to: &result)
        return result
    }

    private func append(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += value.isFinite ? JSON.decimal(value) : "null"
        case .string(let value): JSON.append(value, to: &text)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.append(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { text += "," }
                JSON.append(member.0, to: &text)
                text += ":"
                member.1.append(to: &text)
            }
            text += "}"
        }
    }

    /// Swift's shortest form, but for whole numbers, which need no fraction.
    private static func decimal(_ value: Double) -> String {
        if let whole = Int(exactly: value), abs(whole) < 1 << 53 { return String(whole) }
        return "\(value)"
    }

    private static func append(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\0"..<" ":
                let code = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - code.count) + code
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
