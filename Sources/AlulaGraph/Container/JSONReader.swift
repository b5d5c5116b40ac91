/// Why a JSON text was refused, and at which byte.
public struct JSONError: Error, Equatable, Sendable {
    public enum Reason: Equatable, Sendable {
        /// Another token was needed here, for instance "a string" or "',' or '}'".
        case expected(StaticText)
        case unexpectedEnd
        case depthLimit(Int)
        case duplicateKey(String)
        /// A control character inside a string must be escaped.
        case controlCharacter(UInt8)
        case invalidEscape
        /// Half of a surrogate pair.
        case loneSurrogate
        case invalidUTF8
        /// A fraction or an exponent where only an integer makes sense.
        case notAnInteger
        /// More than an `Int` can hold.
        case integerOverflow
        case trailingCharacters
    }

    /// One of the fixed phrases of this reader.
    public enum StaticText: String, Equatable, Sendable {
        case object = "an object"
        case array = "an array"
        case string = "a string"
        case integer = "an integer"
        case key = "a key"
        case colon = "':'"
        case commaOrBrace = "',' or '}'"
        case commaOrBracket = "',' or ']'"
    }

    /// Bytes from the start of the text.
    public var offset: Int
    public var reason: Reason

    package init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    /// One line, without the name of the file.
    public var message: String {
        let what =
            switch reason {
            case .expected(let text): "expected " + text.rawValue
            case .unexpectedEnd: "unexpected end"
            case .depthLimit(let limit): "more than \(limit) levels deep"
            case .duplicateKey(let key): "key \(key.quotedForMessage) occurs twice"
            case .controlCharacter(let byte): "control character \(byte) inside a string"
            case .invalidEscape: "invalid escape"
            case .loneSurrogate: "half of a surrogate pair"
            case .invalidUTF8: "invalid UTF-8"
            case .notAnInteger: "not an integer"
            case .integerOverflow: "integer out of range"
            case .trailingCharacters: "characters after the end"
            }
        return "JSON: \(what) at byte \(offset)"
    }
}

/// Reads a JSON text token by token, as the caller asks: strict RFC 8259 for objects, arrays, strings and integers.
/// Fractions, booleans and null, which nothing in Alula's files needs, are refused where they stand.
///
/// Nothing is allocated that is larger than the text itself, and nothing recurses.
package struct JSONReader {
    private struct Level {
        var isObject: Bool
        var isEmpty = true
        /// Keys so far, to refuse a second one.
        var keys: Set<UTF8Key> = []
    }

    private let bytes: UnsafeRawBufferPointer
    private let depthLimit: Int
    private var levels: [Level] = []
    /// Bytes read so far.
    package private(set) var position = 0

    /// `bytes` must outlive the reader.
    package init(_ bytes: UnsafeRawBufferPointer, depthLimit: Int = 16) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    // MARK: Objects and arrays

    package mutating func beginObject() throws(JSONError) {
        try begin(UInt8(ascii: "{"), .object)
    }

    /// The next key of the innermost object, or nil at its end.
    package mutating func nextKey() throws(JSONError) -> String? {
        precondition(levels.last?.isObject == true, "not inside an object")
        guard try advance(close: UInt8(ascii: "}"), .commaOrBrace) else { return nil }
        guard peek() == UInt8(ascii: "\"") else { throw failure(.expected(.key)) }
        let start = position
        let key = try string()
        guard levels[levels.count - 1].keys.insert(UTF8Key(key)).inserted else {
            throw JSONError(offset: start, reason: .duplicateKey(key))
        }
        skipSpace()
        guard peek() == UInt8(ascii: ":") else { throw failure(.expected(.colon)) }
        position += 1
        return key
    }

    package mutating func beginArray() throws(JSONError) {
        try begin(UInt8(ascii: "["), .array)
    }

    /// Whether the innermost array has another element; false at its end.
    package mutating func nextElement() throws(JSONError) -> Bool {
        precondition(levels.last?.isObject == false, "not inside an array")
        return try advance(close: UInt8(ascii: "]"), .commaOrBracket)
    }

    /// Checks that only white space follows.
    package mutating func finish() throws(JSONError) {
        precondition(levels.isEmpty, "an object or array is still open")
        skipSpace()
        if position < bytes.count { throw failure(.trailingCharacters) }
    }

    private mutating func begin(_ bracket: UInt8, _ expected: JSONError.StaticText) throws(JSONError) {
        skipSpace()
        guard peek() == bracket else { throw failure(.expected(expected)) }
        guard levels.count < depthLimit else { throw failure(.depthLimit(depthLimit)) }
        position += 1
        levels.append(Level(isObject: bracket == UInt8(ascii: "{")))
    }

    /// Steps over a separator to the next item, or over the closing bracket.
    private mutating func advance(close: UInt8, _ expected: JSONError.StaticText) throws(JSONError) -> Bool {
        skipSpace()
        if peek() == close {
            position += 1
            levels.removeLast()
            return false
        }
        if levels[levels.count - 1].isEmpty {
            levels[levels.count - 1].isEmpty = false
            if peek() == nil { throw failure(.unexpectedEnd) }
            return true
        }
        guard peek() == UInt8(ascii: ",") else { throw failure(.expected(expected)) }
        position += 1
        skipSpace()
        if peek() == nil { throw failure(.unexpectedEnd) }
        return true
    }

    // MARK: Integers

    package mutating func integer() throws(JSONError) -> Int {
        skipSpace()
        let start = position
        let isNegative = peek() == UInt8(ascii: "-")
        if isNegative { position += 1 }
        guard let first = digit() else {
            position = start
            throw failure(.expected(.integer))
        }
        var value = isNegative ? -first : first
        position += 1
        while let next = digit() {
            // JSON has no leading zeros.
            guard first != 0 else { throw failure(.notAnInteger) }
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(isNegative ? -next : next)
            guard !overflow, !carry else { throw JSONError(offset: start, reason: .integerOverflow) }
            value = sum
            position += 1
        }
        if let byte = peek(), byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e") {
            throw failure(.notAnInteger)
        }
        return value
    }

    private func digit() -> Int? {
        guard let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        return Int(byte - UInt8(ascii: "0"))
    }

    // MARK: Strings

    package mutating func string() throws(JSONError) -> String {
        skipSpace()
        guard peek() == UInt8(ascii: "\"") else { throw failure(.expected(.string)) }
        position += 1
        let start = position
        try skipPlain()
        if bytes[position] == UInt8(ascii: "\"") {
            let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
            position += 1
            return try decode(slice, at: start)
        }
        return try escapedString(from: start)
    }

    /// Steps to the next quotation mark or backslash.
    private mutating func skipPlain() throws(JSONError) {
        while let byte = peek() {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return }
            if byte < 0x20 { throw failure(.controlCharacter(byte)) }
            position += 1
        }
        throw failure(.unexpectedEnd)
    }

    /// The position is at the string's first backslash.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var text = [UInt8](bytes[start..<position])
        while bytes[position] == UInt8(ascii: "\\") {
            try appendEscape(to: &text)
            let plain = position
            try skipPlain()
            text.append(contentsOf: bytes[plain..<position])
        }
        position += 1
        guard text.withUnsafeBytes({ String.isValidUTF8($0) }) else {
            throw JSONError(offset: start, reason: .invalidUTF8)
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func decode(_ slice: UnsafeRawBufferPointer, at start: Int) throws(JSONError) -> String {
        guard String.isValidUTF8(slice) else { throw JSONError(offset: start, reason: .invalidUTF8) }
        return String(decoding: slice, as: UTF8.self)
    }

    private mutating func appendEscape(to text: inout [UInt8]) throws(JSONError) {
        let start = position
        position += 1
        guard let kind = peek() else { throw failure(.unexpectedEnd) }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var value = try hexadecimal()
            if (0xD800...0xDBFF).contains(value) {
                guard peek() == UInt8(ascii: "\\") else { throw JSONError(offset: start, reason: .loneSurrogate) }
                position += 1
                guard peek() == UInt8(ascii: "u") else { throw JSONError(offset: start, reason: .loneSurrogate) }
                position += 1
                let low = try hexadecimal()
                guard (0xDC00...0xDFFF).contains(low) else { throw JSONError(offset: start, reason: .loneSurrogate) }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { throw JSONError(offset: start, reason: .loneSurrogate) }
            text.append(contentsOf: UTF8.encode(scalar)!)
        default: throw JSONError(offset: start, reason: .invalidEscape)
        }
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek() else { throw failure(.unexpectedEnd) }
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
            default: throw failure(.invalidEscape)
            }
            position += 1
        }
        return value
    }

    // MARK: Bytes

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    /// `reason` at this position; at the end of the text, something missing is an unexpected end.
    private func failure(_ reason: JSONError.Reason) -> JSONError {
        if case .expected = reason, position >= bytes.count {
            return JSONError(offset: position, reason: .unexpectedEnd)
        }
        return JSONError(offset: position, reason: reason)
    }
}
