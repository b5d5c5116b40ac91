import AlulaGraph
import Foundation
import PyTorchConverter
import TestSupport
import Testing

@Suite struct PyTorchImportTests {
    private let path = FileManager.default.temporaryDirectory.appendingPathComponent("test-\(UUID().uuidString).pth")
        .path

    private func read(_ bytes: [UInt8], limits: PyTorchLimits = .default) throws -> (
        checkpoint: Checkpoint, notes: [String]
    ) {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try PyTorchImporter.checkpoint(at: path, limits: limits)
    }

    private func message(_ bytes: [UInt8], limits: PyTorchLimits = .default) throws -> String? {
        do {
            _ = try read(bytes, limits: limits)
            return nil
        } catch let error as PyTorchImportError { return error.message }
    }

    private func expect(_ bytes: [UInt8], failsWith cause: String, limits: PyTorchLimits = .default) throws {
        let message = try #require(try message(bytes, limits: limits), "was read, without \(cause)")
        #expect(message.hasPrefix(path + ": ") && message.contains(cause) && !message.contains("\n"), "\(message)")
    }

    private static func floats(_ count: Int) -> [UInt8] {
        (0..<count).flatMap { littleEndian(Int(Float($0).bitPattern), 4) }
    }

    // MARK: What is read

    @Test func viewsShareTheirStorage() throws {
        let pickle = PyTorchSamples.pickle {
            $0.table([
                ("all", { $0.tensor([3, 4], count: 12) }), ("part", { $0.tensor([2, 2], offset: 8, count: 12) }),
                ("transposed", { $0.tensor([4, 3], strides: [1, 4], count: 12) }),
                ("column", { $0.tensor([3, 1], strides: [4, 77], offset: 1, count: 12) }),
                ("repeated", { $0.tensor([2, 2], strides: [0, 1], count: 12) }),
                ("scalar", { $0.tensor([], offset: 5, count: 12) }),
                ("empty", { $0.tensor([0, 4], count: 12) }),
            ])
        }
        var checkpoint = try read(PyTorchSamples.archive(pickle, storages: [("0", Self.floats(12))])).checkpoint
        #expect(try checkpoint.floats("all") == (0..<12).map { Float($0) })
        #expect(try checkpoint.floats("part") == [8, 9, 10, 11])
        #expect(try checkpoint.floats("transposed") == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
        #expect(try checkpoint.floats("column") == [1, 5, 9])
        #expect(try checkpoint.floats("repeated") == [0, 1, 0, 1])
        #expect(try checkpoint.floats("scalar") == [5])
        #expect(checkpoint["empty"]?.shape == [0, 4])
    }

    @Test(arguments: [
        ("Float", DataType.f32), ("Double", .f64), ("Half", .f16), ("BFloat16", .bf16), ("Long", .i64), ("Int", .i32),
        ("Short", .i16), ("Char", .s8), ("Byte", .u8), ("Bool", .bool),
    ])
    func everyTypeAndByteOrderIsRead(_ name: String, _ type: DataType) throws {
        let pickle = PyTorchSamples.pickle { $0.table([("w", { $0.tensor([2], count: 2, type: name) })]) }
        let little = (0..<2 * type.size).map { UInt8($0) }
        let big = (0..<2 * type.size).map { little[$0 / type.size * type.size + type.size - 1 - $0 % type.size] }
        for (bytes, isBigEndian) in [(little, false), (big, true)] {
            let archive = PyTorchSamples.archive(pickle, storages: [("0", bytes)], isBigEndian: isBigEndian)
            let tensor = try #require(try read(archive).checkpoint["w"])
            #expect(tensor.dataType == type && tensor.data.array(of: UInt8.self) == little)
        }
    }

    @Test func theStateDictIsFoundWhereTrainingScriptsKeepIt() throws {
        let weights = { (name: String) -> (inout PickleWriter) -> Void in
            { $0.table([(name, { $0.tensor([1], count: 16) })]) }
        }
        for key in ["state_dict", "model", "state_dict_ema", "model_ema"] {
            let pickle = PyTorchSamples.pickle { $0.table([("epoch", { $0.integer(9) }), (key, weights("w"))]) }
            let (checkpoint, notes) = try read(PyTorchSamples.archive(pickle))
            #expect(checkpoint.tensors.map(\.name) == ["w"] && notes == [])
        }
        let both = PyTorchSamples.pickle {
            $0.table([("model", weights("raw")), ("model_ema", weights("module.averaged"))])
        }
        let (checkpoint, notes) = try read(PyTorchSamples.archive(both))
        #expect(checkpoint.tensors.map(\.name) == ["averaged"])
        #expect(notes.count == 1 && notes[0].contains("model_ema"))
    }

    @Test func onlyANameThatAllShareIsAWrappers() throws {
        let pickle = PyTorchSamples.pickle {
            $0.table([("module.a", { $0.tensor([1], count: 16) }), ("b", { $0.tensor([1], count: 16) })])
        }
        #expect(try read(PyTorchSamples.archive(pickle)).checkpoint.tensors.map(\.name) == ["module.a", "b"])
    }

    @Test(arguments: PyTorchSamples.validPickles.map(\.name)) func samplesAreRead(_ name: String) throws {
        let pickle = try #require(PyTorchSamples.validPickles.first { $0.name == name }).bytes
        #expect(try message(PyTorchSamples.archive(pickle)) == nil)
    }

    // MARK: What is refused

    @Test(arguments: PyTorchSamples.hostilePickles.map(\.name)) func hostilePicklesAreNamed(_ name: String) throws {
        let sample = try #require(PyTorchSamples.hostilePickles.first { $0.name == name })
        try expect(PyTorchSamples.archive(sample.bytes), failsWith: sample.cause)
    }

    @Test func aDeepPickleNeedsNoStack() throws {
        let nested = PyTorchSamples.pickle {
            $0.raw([UInt8](repeating: 0x5D, count: 500_000))
            $0.raw([UInt8](repeating: 0x61, count: 499_999))
        }
        try expect(PyTorchSamples.archive(nested), failsWith: "no state dict")
        let long = PyTorchSamples.pickle { $0.raw([UInt8](repeating: 0x4E, count: 1 << 20)) }
        try expect(PyTorchSamples.archive(long), failsWith: "more than 1048576 instructions")
    }

    @Test func aTupleOfTuplesStaysSmall() throws {
        // t = (t, t) forty times over: 2^40 leaves.
        let pickle = PyTorchSamples.pickle {
            $0.raw(")")
            for level in 0..<40 { $0.raw([0x71, UInt8(level), 0x68, UInt8(level), 0x86]) }
        }
        try expect(PyTorchSamples.archive(pickle), failsWith: "no state dict")
    }

    @Test func archivesThatLieAreRefused() throws {
        let good = PyTorchSamples.validPickles[0].bytes
        let storage = ZipWriter.Entry("a/data/0", [UInt8](repeating: 1, count: 64))
        func archive(_ change: (inout ZipWriter.Entry) -> Void) -> [UInt8] {
            var entry = storage
            change(&entry)
            return ZipWriter([.init("a/data.pkl", good), entry]).bytes
        }
        #expect(try message(archive { _ in }) == nil)
        try expect(archive { $0.checksum = 1 }, failsWith: "CRC error")
        try expect(archive { $0.flags = 1 }, failsWith: "is encrypted")
        try expect(archive { $0.method = 12 }, failsWith: "method 12")
        try expect(archive { $0.data.removeLast() }, failsWith: "has 63 bytes, where its tensors need 64")
        try expect(ZipWriter([.init("a/data.pkl", good), storage, storage]).bytes, failsWith: "twice")
        try expect(ZipWriter([.init("a/data.pkl", good)]).bytes, failsWith: "is missing")
        try expect(ZipWriter([.init("a/x", good)]).bytes, failsWith: "holds no data.pkl")
        try expect(
            ZipWriter([.init("a/data.pkl", good), .init("a/constants.pkl", [])]).bytes, failsWith: "TorchScript")
        let whole = archive { _ in }
        for length in stride(from: 4, to: whole.count, by: 37) {
            #expect(try message(Array(whole.prefix(length))) != nil)
        }
    }

    @Test func aZipBombIsRefused() throws {
        let copies = 200_000
        let zeros = 1 + 258 * copies
        let pickle = PyTorchSamples.pickle { $0.table([("w", { $0.tensor([zeros], count: zeros, type: "Byte") })]) }
        var bomb = ZipWriter.Entry("a/data/0", ZipWriter.deflatedZeros(copies: copies))
        (bomb.method, bomb.size) = (8, zeros)
        let archive = ZipWriter([.init("a/data.pkl", pickle), bomb]).bytes
        try expect(archive, failsWith: "would take \(zeros) bytes")
        // Within the limits it is read, but for its wrong checksum.
        var limits = PyTorchLimits.default
        limits.expansionRatio = 1000
        try expect(archive, failsWith: "CRC error", limits: limits)
    }

    @Test func anOldCheckpointSaysHowToSaveItAgain() throws {
        try expect(
            [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E],
            failsWith: "re-save it")
    }
}
