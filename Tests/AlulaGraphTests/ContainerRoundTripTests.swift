import AlulaGraph
import Foundation
import TestSupport
import Testing

@Suite("Safetensors round trips")
struct ContainerRoundTripTests {
    @Test("What was written is read back, in order and on 64-byte boundaries", arguments: [true, false])
    func roundTrip(padding: Bool) throws {
        let directory = try TemporaryDirectory()
        var writer = SafetensorsWriter(padding: padding)
        try writer.add("weight", .s8, [3, 5], TensorData(elements: (0..<15).map { Int8($0 - 7) }))
        try writer.add("scale", .f32, [3], TensorData(elements: [1.5, -2, 0.25] as [Float]))
        try writer.add("empty", .f16, [0, 7], TensorData(count: 0) { _ in })
        try writer.add("scalar", .i64, [], TensorData(elements: [Int64.min]))
        try writer.add("exact", .u8, [64], TensorData(elements: [UInt8](repeating: 9, count: 64)))
        try writer.addMetadata("b", "two \"quoted\"\n\u{1}\\ é 😀")
        try writer.addMetadata("a", "")
        try writer.write(to: directory.path("model"))

        let file = try SafetensorsFile(mapping: directory.path("model"))
        #expect(file.tensors.map(\.name) == ["weight", "scale", "empty", "scalar", "exact"])
        #expect(file.tensors.map(\.shape) == [[3, 5], [3], [0, 7], [], [64]])
        #expect(file.tensors.map(\.dataType) == [.s8, .f32, .f16, .i64, .u8])
        #expect(file.entries.count == (padding ? 8 : 5))
        #expect(file.data(of: "weight")?.array(of: Int8.self) == (0..<15).map { Int8($0 - 7) })
        #expect(file.data(of: "scale")?.array(of: Float.self) == [1.5, -2, 0.25])
        #expect(file.data(of: "empty")?.count == 0)
        #expect(file.data(of: "scalar")?.load(0, as: Int64.self) == Int64.min)
        #expect(file.metadata.map(\.key) == ["a", "b"])
        #expect(file.metadata("b") == "two \"quoted\"\n\u{1}\\ é 😀")
        #expect(file.metadata("c") == nil)
        #expect(file.data(of: "none") == nil)
        if padding {
            for entry in file.tensors { #expect(file.data(of: entry).isAligned(to: 64), "\(entry.name)") }
        }
    }

    @Test("The same tensors give the same bytes, in memory and in a file, whatever order metadata came in")
    func deterministic() throws {
        let directory = try TemporaryDirectory()
        var first = SafetensorsWriter()
        var second = SafetensorsWriter()
        for key in ["alula.version", "alula.graph", "z"] { try first.addMetadata(key, "value of " + key) }
        for key in ["z", "alula.graph", "alula.version"] { try second.addMetadata(key, "value of " + key) }
        for index in 0..<20 {
            let data = TensorData(elements: [UInt8](repeating: UInt8(index), count: index * 7))
            try first.add("t\(index)", .u8, [index * 7], data)
            try second.add("t\(index)", .u8, [index * 7], data)
        }
        let bytes = try first.serialized()
        #expect(try second.serialized() == bytes)
        for name in ["one", "two"] {
            try second.write(to: directory.path(name))
            #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory.path(name)))) == bytes)
        }
        #expect(bytes.count % 64 == 0)
    }

    @Test("Fillers are numbered in order and hidden from `tensors` only")
    func fillers() throws {
        var writer = SafetensorsWriter()
        try writer.add("a", .u8, [1], TensorData(elements: [1] as [UInt8]))
        try writer.add("b", .u8, [64], TensorData(elements: [UInt8](repeating: 2, count: 64)))
        try writer.add("c", .u8, [100], TensorData(elements: [UInt8](repeating: 3, count: 100)))
        let file = try writer.reopened()
        #expect(file.entries.map(\.name) == ["a", "alula.pad.0", "b", "c", "alula.pad.1"])
        #expect(file.entries.map(\.range) == [0..<1, 1..<64, 64..<128, 128..<228, 228..<256])
        #expect(file.tensors.map(\.name) == ["a", "b", "c"])
        #expect(file.data(of: "alula.pad.1")?.array(of: UInt8.self) == [UInt8](repeating: 0, count: 28))
    }

    @Test("A file without tensors or metadata is valid")
    func empty() throws {
        let file = try SafetensorsWriter(padding: false).reopened()
        #expect(file.entries.isEmpty)
        #expect(try SafetensorsWriter(padding: false).serialized() == [8, 0, 0, 0, 0, 0, 0, 0] + "{}      ".utf8)
    }

    @Test("Names are bytes: canonically equal names are different tensors")
    func bytewiseNames() throws {
        var writer = SafetensorsWriter()
        try writer.add("\u{e9}", .u8, [1], TensorData(elements: [1] as [UInt8]))
        try writer.add("e\u{301}", .u8, [1], TensorData(elements: [2] as [UInt8]))
        let file = try writer.reopened()
        #expect(file.data(of: "\u{e9}")?.array(of: UInt8.self) == [1])
        #expect(file.data(of: "e\u{301}")?.array(of: UInt8.self) == [2])
    }

    @Test(
        "Metadata keep every kind of character",
        arguments: ["\u{0}\u{1f}\u{7f}\u{80}", "\"\\/\u{8}\u{c}\n\r\t", "日本語😀\u{10FFFF}"])
    func metadataText(text: String) throws {
        var writer = SafetensorsWriter()
        try writer.addMetadata("key " + text, text)
        let file = try writer.reopened()
        #expect(file.metadata.first?.key == "key " + text)
        #expect(file.metadata.first?.value == text)
    }

    @Test("Files of other tools are read, and written again byte for byte")
    func fixtures() throws {
        let files = Fixtures.safetensors()
        guard !files.isEmpty else {
            print("SKIPPED 1 of 1: no .safetensors files under \(Fixtures.directory)")
            return
        }
        for path in files {
            let file = try SafetensorsFile(mapping: path)
            #expect(!file.entries.isEmpty, "\(path)")
            var writer = SafetensorsWriter(padding: false)
            for entry in file.entries { try writer.add(entry.name, entry.dataType, entry.shape, file.data(of: entry)) }
            for (key, value) in file.metadata { try writer.addMetadata(key, value) }
            let original = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
            // Not `==` inside #expect: a failure would print megabytes.
            let isSame = try writer.serialized() == original
            #expect(isSame, "\(path)")
        }
        print("read and rewrote \(files.count) fixture files")
    }
}
