import AlulaGraph
import Foundation
import HDF5Converter
import Testing

/// Files that make_fixtures.py made.
@Suite struct HDF5ImportTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")

    private static func path(_ name: String) -> String { folder.appendingPathComponent(name + ".h5").path }

    private static func failure(_ path: String, limits: HDF5Limits = .default) -> HDF5ImportError? {
        do throws(HDF5ImportError) {
            _ = try HDF5Importer.checkpoint(at: path, limits: limits)
            return nil
        } catch { return error }
    }

    /// Element `index` of a tensor whose every number is its place in Keras's order.
    private func places(_ shape: [Int], _ place: ([Int]) -> Int) -> [Float] {
        (0..<shape.reduce(1, *)).map { index in
            var (rest, position) = (index, [Int](repeating: 0, count: shape.count))
            for axis in shape.indices.reversed() { (rest, position[axis]) = (rest / shape[axis], rest % shape[axis]) }
            return Float(place(position))
        }
    }

    @Test(arguments: ["valid_layouts", "valid_split_names", "valid_newest_format", "valid_whole_model"])
    func namesAndLayoutsBecomePyTorchs(_ name: String) throws {
        var checkpoint = try HDF5Importer.checkpoint(at: Self.path(name))
        let expected: [(String, [Int], ([Int]) -> Int)] = [
            ("conv.weight", [3, 2, 2, 2], { (($0[2] * 2 + $0[3]) * 2 + $0[1]) * 3 + $0[0] }),
            ("conv.bias", [3], { $0[0] }),
            ("scope_1.block.dense.weight", [6, 4], { $0[1] * 6 + $0[0] }),
            ("scope_1.block.depth.weight", [6, 1, 2, 2], { ($0[2] * 2 + $0[3]) * 6 + $0[0] }),
            ("scope_1.block.norm.weight", [2], { $0[0] }), ("scope_1.block.norm.bias", [2], { 2 + $0[0] }),
            ("scope_1.block.norm.running_mean", [2], { 4 + $0[0] }),
            ("scope_1.block.norm.running_var", [2], { 6 + $0[0] }),
            ("scope_1.block.line.weight", [2, 4, 3], { ($0[2] * 4 + $0[1]) * 2 + $0[0] }),
        ]
        #expect(Set(checkpoint.tensors.map(\.name)) == Set(expected.map(\.0)))
        for (name, shape, place) in expected {
            #expect(checkpoint[name]?.shape == shape, "\(name)")
            #expect(try checkpoint.floats(name) == places(shape, place), "\(name)")
        }
    }

    @Test func filtersAreUndone() throws {
        var checkpoint = try HDF5Importer.checkpoint(at: Self.path("valid_filters"))
        #expect(
            try checkpoint.floats("conv.weight")
                == places([3, 2, 2, 2]) { (($0[2] * 2 + $0[3]) * 2 + $0[1]) * 3 + $0[0] })
        #expect(try checkpoint.floats("conv.bias") == [0, 1, 2])
    }

    @Test func everyTypeAndByteOrderIsRead() throws {
        var checkpoint = try HDF5Importer.checkpoint(at: Self.path("valid_types"))
        let types: [(String, DataType)] = [
            ("lf2", .f16), ("bf2", .f16), ("lf4", .f32), ("bf4", .f32), ("lf8", .f64), ("bf8", .f64), ("i1", .s8),
            ("u1", .u8),
            ("li2", .i16), ("bi2", .i16), ("lu2", .u16), ("li4", .i32), ("bi4", .i32), ("lu4", .u32), ("li8", .i64),
            ("bi8", .i64), ("lu8", .u64), ("soft", .f32), ("hard", .f32),
        ]
        for (name, type) in types {
            let tensor = try #require(checkpoint[name], "\(name)")
            #expect(tensor.dataType == type && tensor.shape == [5], "\(name)")
            if type.isFloat {
                #expect(try checkpoint.floats(name) == [0, 1, 2, 3, 4], "\(name)")
            } else {
                #expect(try tensor.integers() == [0, 1, 2, 3, 4], "\(name)")
            }
        }
        #expect(try checkpoint.floats("scalar") == [7])
        #expect(checkpoint["scalar"]?.shape == [])
        #expect(checkpoint["empty"]?.shape == [2, 0])
    }

    @Test(arguments: [
        ("external_link", "\"w\" is a link into another file"),
        ("soft_link_outside", "\"a\" is a soft link that leads to nothing"),
        ("soft_link_to_nothing", "\"a\" is a soft link"), ("external_storage", "\"w\" has its data in other files"),
        ("virtual", "\"w\" is a virtual data set"), ("user_filter", "\"w\" needs filter 32000"),
        ("scale_offset", "\"w\" needs filter 6"), ("text", "\"w\" has elements that are no numbers"),
        ("compound", "\"w\" has elements that are no numbers"), ("shape_bomb", "\"w\" would take 4398046511104 bytes"),
        ("late_bomb", "has a shape of 16777216 bytes, but only 0 stored"),
        ("gzip_bomb", "\"w\" would take 18874368 bytes"),
        ("overflow", "\"w\" has a shape whose size overflows"), ("cycle", "\"a/b/c\" is a second link to a group"),
        ("root_cycle", "\"a\" is a second link to a group"), ("soft_cycle", "\"a\" is a soft link"),
        ("deep", "lies in more than 64 groups"), ("long_path", "path longer than 1024 bytes"),
        ("twice", "is a second link to a group"),
        ("missing_weight", "lists \"conv/conv/kernel:0\", but does not hold it"),
        ("unnamed", "Keras 3"), ("same_name", "occurs twice"), ("nothing", "holds no tensors"),
    ])
    func whatIsRefusedIsNamed(_ name: String, _ cause: String) throws {
        let path = Self.path(name)
        let message = try #require(Self.failure(path)?.message, "\(name) was read")
        #expect(message.hasPrefix(path + ": ") && message.contains(cause), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test func everyFixtureIsTested() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(names.count == 29)
    }

    @Test func aDamagedFileEndsWithOneLine() throws {
        let original = try Data(contentsOf: URL(fileURLWithPath: Self.path("valid_layouts")))
        let copy = FileManager.default.temporaryDirectory.appendingPathComponent("damaged-\(UUID().uuidString).h5")
        defer { try? FileManager.default.removeItem(at: copy) }
        for length in stride(from: 0, to: original.count, by: 1409) {
            try original.prefix(length).write(to: copy)
            let message = try #require(Self.failure(copy.path)?.message, "\(length) bytes were read")
            #expect(message.hasPrefix(copy.path + ": ") && !message.contains("\n"))
        }
    }

    @Test func theReaderIsEndedByItsLimitOfTime() throws {
        var limits = HDF5Limits.default
        limits.silence = 0
        #expect(Self.failure(Self.path("valid_layouts"), limits: limits)?.message.contains("was ended") == true)
    }

    /// Whatever the reader does, it becomes one line: a shell script stands for a reader that libhdf5's bugs have taken over.
    @Test(arguments: [
        ("kill -SEGV $$", "crashed (signal 11)"), ("kill -ABRT $$", "crashed (signal 6)"),
        ("ulimit -S -t 1; while :; do :; done", "of processor time"), ("exit 3", "ended early (code 3)"),
        ("exec 1>&-; exec sleep 600", "was ended"), ("printf nonsense", "sent another start"),
        (#"printf 'ALULAH5\001Q'"#, "sent an unknown record"),
        // A text of 2 GiB, a rank of 255, a size that is not the shape's, more bytes than the budget, another count at the end.
        (#"printf 'ALULAH5\001T\377\377\377\177'"#, "sent a text of 2147483647 bytes"),
        (#"printf 'ALULAH5\001T\001\000\000\000w\000\377'"#, "sent an unknown type"),
        (#"printf 'ALULAH5\001T\001\000\000\000w\004\000\002\000\000\000\000\000\000\000'"#, "sent a wrong size"),
        (
            #"printf 'ALULAH5\001T\001\000\000\000w\004\001\000\000\000\000\001\000\000\000\000\000\000\000\001\000\000\000'"#,
            "would take 4294967296 bytes"
        ),
        (#"printf 'ALULAH5\001Z\001\000\000\000'"#, "sent another number of tensors"),
        (#"printf 'ALULAH5\001Z\000\000\000\000'; exit 1"#, "ended early (code 1)"),
        (#"printf 'ALULAH5\001F\001\000\000\000w\002\000\000\000a\n'"#, "\"w\" a?"),
    ])
    func aDamagedReaderEndsWithOneLine(_ script: String, _ cause: String) throws {
        let program = FileManager.default.temporaryDirectory.appendingPathComponent("reader-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: program) }
        // Copied by another process: a program that this one has just written is busy as long as a child that some other test starts
        // holds its descriptor.
        let text = program + ".txt"
        defer { try? FileManager.default.removeItem(atPath: text) }
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(fileURLWithPath: text))
        let copy = try Process.run(URL(fileURLWithPath: "/bin/cp"), arguments: [text, program])
        copy.waitUntilExit()
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        let path = Self.path("valid_layouts")
        do throws(HDF5ImportError) {
            _ = try HDF5Importer.checkpoint(at: path, reader: .program(program))
            Issue.record("was read")
        } catch {
            #expect(error.message.hasPrefix(path + ": ") && error.message.contains(cause), "\(error.message)")
            #expect(!error.message.contains("\n"))
        }
    }

    @Test func aMissingReaderIsNamed() throws {
        do throws(HDF5ImportError) {
            _ = try HDF5Importer.checkpoint(at: Self.path("valid_layouts"), reader: .program("/nowhere/reader"))
            Issue.record("was read")
        } catch { #expect(error.message.contains("/nowhere/reader, which is missing")) }
    }

    @Test func aPipeAndAFolderAreNoFiles() throws {
        #expect(Self.failure(NSTemporaryDirectory())?.message.contains("directory") == true)
        #expect(Self.failure("/dev/null")?.message.contains("Not a regular file") == true)
    }
}
