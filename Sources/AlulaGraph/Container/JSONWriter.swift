/// Builds a JSON text. Only what a safetensors header needs; the caller places brackets and commas.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func append(_ punctuation: StaticString) {
        punctuation.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    package mutating func append(byte: UInt8) { bytes.append(byte) }

    package mutating func append(_ number: Int) { bytes.append(contentsOf: String(number).utf8) }

    /// A string in quotation marks: only what must be escaped is, everything else stays UTF-8.
    package mutating func append(string: String) {
        append(byte: UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0x08: append("\\b")
            case 0x09: append("\\t")
            case 0x0A: append("\\n")
            case 0x0C: append("\\f")
            case 0x0D: append("\\r")
            case 0x00...0x1F:
                append("\\u00")
                append(byte: JSONWriter.hexadecimal(byte >> 4))
                append(byte: JSONWriter.hexadecimal(byte & 15))
            default: append(byte: byte)
            }
        }
        append(byte: UInt8(ascii: "\""))
    }

    /// A list of strings in brackets, as for `alula.labels`.
    package mutating func append(strings: [String]) {
        append("[")
        for (index, string) in strings.enumerated() {
            if index > 0 { append(",") }
            append(string: string)
        }
        append("]")
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8 {
        digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
}
