import AlulaGraph
import Foundation
import TestSupport
import Testing

/// A file, why it must be refused, and what the message must contain.
struct HostileFile: Sendable, CustomTestStringConvertible {
    var bytes: [UInt8]
    var error: SafetensorsError
    var message: String
    var limits = SafetensorsLimits.default

    init(_ header: String, data: Int = 0, _ error: SafetensorsError, _ message: String) {
        self.init(bytes: SafetensorsSamples.file(header: header, dataBytes: data), error, message)
    }

    init(bytes: [UInt8], _ error: SafetensorsError, _ message: String) {
        (self.bytes, self.error, self.message) = (bytes, error, message)
    }

    func limited(_ change: (inout SafetensorsLimits) -> Void) -> HostileFile {
        var copy = self
        change(&copy.limits)
        return copy
    }

    var testDescription: String { message }

    /// One tensor `t`.
    static func tensor(_ type: String, _ shape: String, _ offsets: String, name: String = "t") -> String {
        #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
    }

    static let all: [HostileFile] = framing + fields + layout

    static let framing: [HostileFile] = [
        HostileFile(bytes: [], .tooSmall(fileBytes: 0), "0 bytes are too few"),
        HostileFile(bytes: [2, 0, 0, 0, 0, 0, 0], .tooSmall(fileBytes: 7), "7 bytes are too few"),
        HostileFile(
            bytes: [UInt8](repeating: 0xFF, count: 8), .headerTooLarge(bytes: .max, limit: 100_000_000),
            "18446744073709551615 bytes, the limit is 100000000"),
        HostileFile("{} ", .headerTooLarge(bytes: 3, limit: 2), "3 bytes, the limit is 2").limited {
            $0.headerBytes = 2
        },
        HostileFile(
            bytes: [3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D], .headerBeyondFile(bytes: 3, available: 2),
            "3 bytes, but only 2 follow"),
        HostileFile("", .headerNotAnObject, "does not start with '{'"),
        HostileFile(" {}", .headerNotAnObject, "does not start with '{'"),
        HostileFile("[]", .headerNotAnObject, "does not start with '{'"),
        HostileFile("{", .json(JSONError(offset: 1, reason: .unexpectedEnd)), "JSON: unexpected end at byte 1"),
        HostileFile("{} x", .json(JSONError(offset: 3, reason: .trailingCharacters)), "after the end at byte 3"),
        HostileFile("{\u{0}}", .json(JSONError(offset: 1, reason: .expected(.key))), "expected a key at byte 1"),
        HostileFile(
            #"{"t":1}"#, .json(JSONError(offset: 5, reason: .expected(.object))), "expected an object at byte 5"),
        HostileFile(
            #"{"__metadata__":{"a":1}}"#, .json(JSONError(offset: 21, reason: .expected(.string))),
            "expected a string at byte 21"),
        HostileFile(
            #"{"__metadata__":null}"#, .json(JSONError(offset: 16, reason: .expected(.object))),
            "expected an object at byte 16"),
        HostileFile(
            #"{"__metadata__":{"a":"","a":""}}"#, .json(JSONError(offset: 24, reason: .duplicateKey("a"))),
            #"key "a" occurs twice"#),
        HostileFile(
            "{\(tensor("U8", "[0]", "[0,0]")),\(tensor("U8", "[0]", "[0,0]"))}",
            .json(JSONError(offset: 53, reason: .duplicateKey("t"))), #"key "t" occurs twice at byte 53"#),
        HostileFile(
            bytes: SafetensorsSamples.file(header: "{\"") + [0xFF], .headerBeyondFile(bytes: 0, available: 0), ""
        ).withHeader(
            [0x7B, 0x22, 0xFF, 0x22, 0x7D], .json(JSONError(offset: 2, reason: .invalidUTF8)), "invalid UTF-8 at byte 2"
        ),
        HostileFile(
            "{\(tensor("U8", "[0]", "[0,0]", name: "a")),\(tensor("U8", "[0]", "[0,0]", name: "b"))}",
            .tooManyTensors(limit: 1), "more than 1 tensors"
        ).limited { $0.tensors = 1 },
        HostileFile(
            #"{"__metadata__":{"a":"","b":""}}"#, .tooManyMetadataEntries(limit: 1), "more than 1 metadata entries"
        ).limited { $0.metadataEntries = 1 },
        HostileFile(
            "{\(tensor("U8", "[0]", "[0,0]", name: "long"))}", .nameTooLong(name: "long", bytes: 4, limit: 3),
            #""long" has 4 bytes, the limit is 3"#
        ).limited { $0.nameBytes = 3 },
    ]

    static let fields: [HostileFile] = [
        HostileFile(
            "{\(tensor("U8", "[1,1,1]", "[0,1]"))}", data: 1, .rankTooLarge(tensor: "t", limit: 2),
            #""t" has more than 2 axes"#
        ).limited { $0.rank = 2 },
        HostileFile(
            #"{"t":{"shape":[],"data_offsets":[0,1]}}"#, data: 1, .missingField(tensor: "t", field: "dtype"),
            #""t" has no dtype"#),
        HostileFile(
            #"{"t":{"dtype":"U8","data_offsets":[0,1]}}"#, data: 1, .missingField(tensor: "t", field: "shape"),
            "has no shape"),
        HostileFile(
            #"{"t":{"dtype":"U8","shape":[]}}"#, data: 1, .missingField(tensor: "t", field: "data_offsets"),
            "has no data_offsets"),
        HostileFile(
            #"{"t":{"dtype":"U8","strides":[]}}"#, .unknownField(tensor: "t", field: "strides"),
            #""t" has an unknown field "strides""#),
        HostileFile(
            "{\(tensor("F8_E4M3", "[1]", "[0,1]"))}", data: 1, .unknownDataType(tensor: "t", dataType: "F8_E4M3"),
            #""t" has the unknown type "F8_E4M3""#),
        HostileFile(
            "{\(tensor("u8", "[1]", "[0,1]"))}", data: 1, .unknownDataType(tensor: "t", dataType: "u8"), #"type "u8""#),
        HostileFile(
            "{\(tensor("U8", "[-3]", "[0,1]"))}", data: 1, .negative(tensor: "t", value: -3),
            #""t" has a negative size or offset, -3"#),
        HostileFile("{\(tensor("U8", "[1]", "[-1,0]"))}", data: 1, .negative(tensor: "t", value: -1), "-1"),
        HostileFile(
            "{\(tensor("U8", "[1]", "[0]"))}", data: 1, .offsetCount(tensor: "t"), #""t" must have exactly two"#),
        HostileFile(
            "{\(tensor("U8", "[1]", "[0,1,1]"))}", data: 1, .offsetCount(tensor: "t"), "exactly two data_offsets"),
        HostileFile("{\(tensor("U8", "[1]", "[]"))}", data: 1, .offsetCount(tensor: "t"), "exactly two data_offsets"),
        HostileFile(
            "{\(tensor("F32", "[4294967296,4294967296]", "[0,1]"))}", data: 1,
            .shapeOverflow(tensor: "t", shape: [1 << 32, 1 << 32]), "shape [4294967296,4294967296] is too large"),
        HostileFile(
            "{\(tensor("F32", "[9223372036854775807,2,0]", "[0,0]"))}",
            .shapeOverflow(tensor: "t", shape: [.max, 2, 0]), "is too large"),
        HostileFile(
            "{\(tensor("U8", "[9223372036854775808]", "[0,1]"))}", data: 1,
            .json(JSONError(offset: 28, reason: .integerOverflow)), "integer out of range at byte 28"),
    ]

    static let layout: [HostileFile] = [
        HostileFile(
            "{\(tensor("U8", "[1]", "[5,4]"))}", data: 8, .invertedRange(tensor: "t", begin: 5, end: 4),
            "begins at 5, after its end at 4"),
        HostileFile(
            "{\(tensor("U8", "[9]", "[0,9]"))}", data: 8, .rangeBeyondData(tensor: "t", end: 9, dataBytes: 8),
            "ends at 9, but the file holds 8"),
        HostileFile(
            "{\(tensor("U8", "[1]", "[9223372036854775806,9223372036854775807]"))}", data: 8,
            .rangeBeyondData(tensor: "t", end: .max, dataBytes: 8), "ends at 9223372036854775807"),
        HostileFile(
            "{\(tensor("F32", "[2,3]", "[0,20]"))}", data: 20, .sizeMismatch(tensor: "t", expected: 24, actual: 20),
            "needs 24 bytes but has 20"),
        HostileFile(
            "{\(tensor("F32", "[0]", "[0,4]"))}", data: 4, .sizeMismatch(tensor: "t", expected: 0, actual: 4),
            "needs 0 bytes but has 4"),
        HostileFile(
            "{\(tensor("U8", "[4]", "[0,4]", name: "a")),\(tensor("U8", "[4]", "[2,6]", name: "b"))}", data: 6,
            .overlap(tensor: "b", begin: 2, other: "a", otherEnd: 4), #""b" begins at 2, but "a" ends at 4"#),
        HostileFile(
            "{\(tensor("U8", "[4]", "[0,4]", name: "a")),\(tensor("U8", "[4]", "[0,4]", name: "b"))}", data: 4,
            .overlap(tensor: "b", begin: 0, other: "a", otherEnd: 4), #""b" begins at 0, but "a" ends at 4"#),
        HostileFile(
            "{\(tensor("U8", "[1]", "[3,4]", name: "b")),\(tensor("U8", "[2]", "[0,2]", name: "a"))}", data: 4,
            .hole(tensor: "b", begin: 3, expected: 2), #""b" begins at 3, which leaves a hole from 2"#),
        HostileFile(
            "{\(tensor("U8", "[1]", "[1,2]"))}", data: 2, .hole(tensor: "t", begin: 1, expected: 0), "a hole from 0"),
        HostileFile(
            "{\(tensor("U8", "[1]", "[0,1]"))}", data: 3, .trailingData(end: 1, dataBytes: 3),
            "end at 1, but the file holds 3"),
        HostileFile("{}", data: 1, .trailingData(end: 0, dataBytes: 1), "end at 0, but the file holds 1"),
    ]

    private func withHeader(_ header: [UInt8], _ error: SafetensorsError, _ message: String) -> HostileFile {
        HostileFile(bytes: [UInt8(header.count), 0, 0, 0, 0, 0, 0, 0] + header, error, message)
    }
}

@Suite("Safetensors errors")
struct ContainerErrorTests {
    @Test("Refused, for the stated reason and with the values in the message", arguments: HostileFile.all)
    func refused(file: HostileFile) throws {
        #expect(throws: file.error) { try SafetensorsFile(bytes: Bytes(file.bytes), limits: file.limits) }
        #expect(file.error.message.contains(file.message), "\(file.error.message)")
    }

    @Test("A mapped file is refused like one in memory")
    func mapped() throws {
        let directory = try TemporaryDirectory()
        for file in HostileFile.all {
            try Data(file.bytes).write(to: URL(fileURLWithPath: directory.path("hostile")))
            #expect(throws: file.error) { try SafetensorsFile(mapping: directory.path("hostile"), limits: file.limits) }
        }
    }

    @Test("The table has every case of the error")
    func everyCase() {
        // A new case stops the compiler here: give it the next number, and the table a row.
        let number = { (error: SafetensorsError) in
            switch error {
            case .system: 0
            case .tooSmall: 1
            case .headerTooLarge: 2
            case .headerBeyondFile: 3
            case .headerNotAnObject: 4
            case .json: 5
            case .tooManyTensors: 6
            case .tooManyMetadataEntries: 7
            case .nameTooLong: 8
            case .rankTooLarge: 9
            case .missingField: 10
            case .unknownField: 11
            case .unknownDataType: 12
            case .negative: 13
            case .offsetCount: 14
            case .shapeOverflow: 15
            case .invertedRange: 16
            case .rangeBeyondData: 17
            case .sizeMismatch: 18
            case .overlap: 19
            case .hole: 20
            case .trailingData: 21
            }
        }
        // `system` has its own test.
        #expect(Set(HostileFile.all.map { number($0.error) }) == Set(1...21))
    }

    @Test("A file that cannot be opened is a system error with its kind")
    func system() throws {
        let directory = try TemporaryDirectory()
        let cases: [(String, SystemError.Kind, String)] = [
            (directory.path("none"), .notFound, "No such file or directory"),
            (directory.path(""), .notAFile, "Is a directory"),
            ("/dev/null", .notAFile, "Not a regular file"),
            (directory.path("a") + "\u{0}b", .notFound, "The path contains a zero byte"),
            ("", .notFound, "No such file or directory"),
        ]
        for (path, kind, message) in cases {
            do {
                _ = try SafetensorsFile(mapping: path)
                Issue.record("\(path) was read")
            } catch {
                guard case .system(let system) = error else {
                    Issue.record("\(error)")
                    continue
                }
                #expect(system.kind == kind, "\(path)")
                #expect(error.message == message, "\(path)")
            }
        }
    }

    @Test("What cannot be written is refused with its reason")
    func writer() throws {
        let byte = TensorData(elements: [1] as [UInt8])
        let cases: [(SafetensorsWriteError, String, (inout SafetensorsWriter) throws -> Void)] = [
            (
                .duplicateName("a"), #"two tensors are named "a""#,
                { for _ in 0..<2 { try $0.add("a", .u8, [1], byte) } }
            ),
            (
                .reservedName("__metadata__"), #""__metadata__" is reserved"#,
                { try $0.add("__metadata__", .u8, [1], byte) }
            ),
            (
                .reservedName("alula.pad.0"), #""alula.pad.0" is reserved"#,
                { try $0.add("alula.pad.0", .u8, [1], byte) }
            ),
            (
                .duplicateMetadata(key: "k"), #"key "k" occurs twice"#,
                { for _ in 0..<2 { try $0.addMetadata("k", "") } }
            ),
            (
                .sizeMismatch(tensor: "a", expected: 8, actual: 1), #""a" needs 8 bytes but has 1"#,
                { try $0.add("a", .f32, [2], byte) }
            ),
            (.invalidShape(tensor: "a", shape: [-1]), "shape [-1] is invalid", { try $0.add("a", .u8, [-1], byte) }),
            (.invalidShape(tensor: "a", shape: [.max, 2]), "is invalid", { try $0.add("a", .u8, [.max, 2], byte) }),
            (
                .headerTooLarge(bytes: 1016, limit: 1000), "1016 bytes, the limit is 1000",
                {
                    try $0.addMetadata("k", String(repeating: "x", count: 980))
                    _ = try $0.serialized()
                }
            ),
        ]
        for (error, message, body) in cases {
            #expect(throws: error) {
                var limits = SafetensorsLimits.default
                limits.headerBytes = 1000
                var writer = SafetensorsWriter(limits: limits)
                try body(&writer)
            }
            #expect(error.message.contains(message), "\(error.message)")
        }
    }
}
