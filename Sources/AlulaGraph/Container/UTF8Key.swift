/// A string compared byte by byte. `String` itself holds "é" and "e" + accent for equal; names in a file are bytes.
struct UTF8Key: Hashable, Sendable {
    var string: String

    init(_ string: String) {
        self.string = string
        self.string.makeContiguousUTF8()
    }

    static func == (left: UTF8Key, right: UTF8Key) -> Bool {
        left.string.utf8.count == right.string.utf8.count && left.string.utf8.elementsEqual(right.string.utf8)
    }

    /// All bytes at once: one by one they took a third of the time in which a header is read.
    func hash(into hasher: inout Hasher) {
        string.utf8.withContiguousStorageIfAvailable { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension String {
    /// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates.
    static func isValidUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            let lead = bytes[index]
            let length: Int
            var second: ClosedRange<UInt8> = 0x80...0xBF
            switch lead {
            case 0x00...0x7F: length = 1
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: length = 3
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: length = 4
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: return false
            }
            guard length <= bytes.count - index else { return false }
            if length > 1, !second.contains(bytes[index + 1]) { return false }
            if length > 2, bytes[index + 2] & 0xC0 != 0x80 { return false }
            if length > 3, bytes[index + 3] & 0xC0 != 0x80 { return false }
            index += length
        }
        return true
    }

    /// For messages: in quotation marks, on one line, and cut when long. What a file names is not trusted to be printable.
    package var quotedForMessage: String {
        var result = "\""
        var length = 0
        for scalar in unicodeScalars {
            if length == 100 { return result + "…\"" }
            length += 1
            switch scalar.value {
            case 0x22, 0x5C:
                result += "\\"
                result.unicodeScalars.append(scalar)
            case 0x00...0x1F, 0x7F...0x9F, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF:
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default:
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
