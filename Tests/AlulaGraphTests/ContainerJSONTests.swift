import AlulaGraph
import Testing

@Suite("JSON")
struct ContainerJSONTests {
    private func read<T>(_ text: [UInt8], _ body: (inout JSONReader) throws -> T) rethrows -> T {
        try text.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            return try body(&reader)
        }
    }

    private func string(_ text: [UInt8]) throws -> String {
        try read(text) {
            let value = try $0.string()
            try $0.finish()
            return value
        }
    }

    @Test(
        "Strings with escapes",
        arguments: [
            (#""""#, ""), (#" "a" "#, "a"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\ud83d\ude00x""#, "😀x"), (#""a\u0000b""#, "a\u{0}b"), (#""é😀\u007f""#, "é😀\u{7f}"),
        ])
    func strings(text: String, value: String) throws {
        #expect(try string(Array(text.utf8)) == value)
    }

    @Test(
        "Strings that are refused",
        arguments: [
            (#""a"#, 2, .unexpectedEnd), (#""\"#, 2, .unexpectedEnd), (#""\x""#, 1, .invalidEscape),
            (#""\u12g4""#, 5, .invalidEscape),
            (#""\u12"#, 5, .unexpectedEnd), (#""\ud800""#, 1, .loneSurrogate), (#""\ud800\n""#, 1, .loneSurrogate),
            (#""\ud800\u0041""#, 1, .loneSurrogate), (#""\udc00""#, 1, .loneSurrogate),
            ("\"\u{1}\"", 1, .controlCharacter(1)),
            ("\"a\nb\"", 2, .controlCharacter(10)), ("1", 0, .expected(.string)), ("\"a\"b", 3, .trailingCharacters),
            ("", 0, .unexpectedEnd),
        ] as [(String, Int, JSONError.Reason)])
    func badStrings(text: String, offset: Int, reason: JSONError.Reason) {
        #expect(throws: JSONError(offset: offset, reason: reason)) { try string(Array(text.utf8)) }
    }

    @Test(
        "Invalid UTF-8 is refused, in plain and in escaped strings",
        arguments: [
            [0x80], [0xC3], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xE2, 0x82],
            [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3, 0x28], [0xF0, 0x9F, 0x98, 0x28],
        ] as [[UInt8]])
    func invalidUTF8(sequence: [UInt8]) {
        for prefix in ["\"", "\"\\n"] {
            let text = Array(prefix.utf8) + sequence + Array("\"".utf8)
            #expect(throws: JSONError(offset: 1, reason: .invalidUTF8)) { try string(text) }
        }
    }

    @Test("Every scalar value survives writing and reading")
    func allScalars() throws {
        for start in stride(from: UInt32(0), to: 0x110000, by: 0x1000) {
            var text = ""
            for value in start..<start + 0x1000 {
                if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
            }
            var writer = JSONWriter()
            writer.append(string: text)
            let isSame = try string(writer.bytes).unicodeScalars.elementsEqual(text.unicodeScalars)
            #expect(isSame, "from U+\(String(start, radix: 16))")
        }
    }

    @Test(
        "Integers",
        arguments: [("0", 0), ("-0", 0), ("7 ", 7), ("-12", -12), ("\(Int.max)", .max), ("\(Int.min)", .min)])
    func integers(text: String, value: Int) throws {
        #expect(try read(Array(text.utf8)) { try $0.integer() } == value)
    }

    @Test(
        "Integers that are refused",
        arguments: [
            ("01", .notAnInteger), ("1.0", .notAnInteger), ("1e3", .notAnInteger), ("1E3", .notAnInteger),
            ("-", .expected(.integer)),
            ("+1", .expected(.integer)), ("true", .expected(.integer)), ("", .unexpectedEnd),
            ("9223372036854775808", .integerOverflow), ("-9223372036854775809", .integerOverflow),
            ("99999999999999999999999999", .integerOverflow),
        ] as [(String, JSONError.Reason)])
    func badIntegers(text: String, reason: JSONError.Reason) {
        do {
            let value = try read(Array(text.utf8)) { try $0.integer() }
            Issue.record("\(text) is read as \(value)")
        } catch {
            #expect((error as? JSONError)?.reason == reason)
        }
    }

    /// Reads nested objects and arrays of integers, where every object value is again an object or an array.
    private func walk(_ text: String) throws -> Int {
        try read(Array(text.utf8)) { reader in
            var sum = 0
            try reader.beginObject()
            while try reader.nextKey() != nil {
                try reader.beginArray()
                while try reader.nextElement() { sum += try reader.integer() }
            }
            try reader.finish()
            return sum
        }
    }

    @Test(
        "Objects and arrays", arguments: [("{}", 0), (#"{"a":[]}"#, 0), (" {\t\"a\" :\r[ 1\n, 2 ] , \"b\":[3]} ", 6)])
    func containers(text: String, sum: Int) throws {
        #expect(try walk(text) == sum)
    }

    @Test(
        "Objects and arrays that are refused",
        arguments: [
            ("[", 0, .expected(.object)), ("{", 1, .unexpectedEnd), ("{,}", 1, .expected(.key)),
            ("{a:[]}", 1, .expected(.key)),
            (#"{"a"}"#, 4, .expected(.colon)), (#"{"a":1}"#, 5, .expected(.array)), (#"{"a":[],}"#, 8, .expected(.key)),
            (#"{"a":[]"#, 7, .unexpectedEnd), (#"{"a":[] "b":[]}"#, 8, .expected(.commaOrBrace)),
            (#"{"a":[1,]}"#, 8, .expected(.integer)),
            (#"{"a":[1 2]}"#, 8, .expected(.commaOrBracket)), (#"{"a":[1}"#, 7, .expected(.commaOrBracket)),
            (#"{"a":[],"\u0061":[]}"#, 8, .duplicateKey("a")), ("{}{}", 2, .trailingCharacters),
            (#"{"a":[1"#, 7, .unexpectedEnd),
        ] as [(String, Int, JSONError.Reason)])
    func badContainers(text: String, offset: Int, reason: JSONError.Reason) {
        #expect(throws: JSONError(offset: offset, reason: reason)) { try walk(text) }
    }

    @Test("Nesting stops at the limit, without recursion")
    func depth() {
        let text = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        #expect(throws: JSONError(offset: 16, reason: .depthLimit(16))) {
            try read(text) {
                try $0.beginArray()
                while try $0.nextElement() { try $0.beginArray() }
            }
        }
    }

    @Test("A list of strings")
    func stringList() {
        var writer = JSONWriter()
        writer.append(strings: ["a", "b\"", ""])
        #expect(String(decoding: writer.bytes, as: UTF8.self) == #"["a","b\"",""]"#)
    }

    @Test("Messages name the place and stay on one line")
    func messages() {
        #expect(JSONError(offset: 7, reason: .expected(.colon)).message == "JSON: expected ':' at byte 7")
        let key = JSONError(offset: 1, reason: .duplicateKey("a\n\u{1B}[31m\u{202E}")).message
        #expect(key == #"JSON: key "a\u{a}\u{1b}[31m\u{202e}" occurs twice at byte 1"#)
        #expect(String(repeating: "x", count: 5000).quotedForMessage.count == 103)
    }
}
