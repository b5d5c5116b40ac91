import AlulaGraph

extension Bytes {
    package convenience init(_ array: [UInt8]) {
        let data = TensorData(elements: array)
        self.init(copying: UnsafeRawBufferPointer(start: data.baseAddress, count: data.count))
        withExtendedLifetime(data) {}
    }
}

/// Small safetensors files, from which mutations start; `fuzz-safetensors --write-corpus` writes them as files.
package enum SafetensorsSamples {
    /// A file with any header text, valid or not, and zeros as data.
    package static func file(header: String, dataBytes: Int = 0) -> [UInt8] {
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
        return length + [UInt8](header.utf8) + [UInt8](repeating: 0, count: dataBytes)
    }

    /// Files that a reader must accept.
    package static func valid() throws(SafetensorsWriteError) -> [(name: String, bytes: [UInt8])] {
        [
            ("empty", file(header: "{}")),
            (
                "spaces",
                file(
                    header: "{ \"a\" : { \"dtype\" : \"U8\" , \"shape\" : [ 1 ] ,\n\"data_offsets\" : [ 0 , 1 ] } } ",
                    dataBytes: 1)
            ),
            ("scalar", file(header: #"{"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#, dataBytes: 8)),
            ("zero-size", file(header: #"{"z":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}}"#)),
            (
                "unordered",
                file(
                    header: #"{"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},"#
                        + #""a":{"data_offsets":[0,2],"shape":[1],"dtype":"F16"}}"#, dataBytes: 4)
            ),
            (
                "escapes",
                file(
                    header: #"{"__metadata__":{"\u00e9\ud83d\ude00":"\"\\\/\b\f\n\r\t"},"#
                        + #""\u0061":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}"#, dataBytes: 1)
            ),
            ("alula", try model().serialized()),
        ]
    }

    /// Files that a reader must refuse.
    package static let hostile: [(name: String, bytes: [UInt8])] = [
        ("short", [1, 2, 3]),
        ("huge-header", [UInt8](repeating: 0xFF, count: 16)),
        ("deep", file(header: String(repeating: "{\"a\":", count: 50))),
        (
            "overlap",
            file(
                header: #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"#
                    + #""b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#, dataBytes: 6)
        ),
        (
            "hole",
            file(
                header: #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
                    + #""b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#, dataBytes: 3)
        ),
        (
            "overflow",
            file(
                header: #"{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, dataBytes: 8)
        ),
        (
            "duplicate",
            file(
                header: #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
                    + #""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, dataBytes: 1)
        ),
        ("surrogate", file(header: #"{"\ud800":{}}"#)),
    ]

    /// A padded file with metadata, as Alula writes models.
    private static func model() throws(SafetensorsWriteError) -> SafetensorsWriter {
        var writer = SafetensorsWriter()
        try writer.addMetadata("alula.version", "1")
        try writer.addMetadata("alula.labels", #"["cat","dog"]"#)
        try writer.add("w", .s8, [2, 5], TensorData(elements: (0..<10).map { Int8($0) }))
        try writer.add("b", .i32, [2], TensorData(elements: [1, -1] as [Int32]))
        try writer.add("table", .u8, [64], TensorData(elements: (0..<64).map { UInt8($0) }))
        return writer
    }
}
