import AlulaGraph
import Foundation
import TestSupport
import Testing

@Suite("Files and memory")
struct ContainerFileTests {
    private func write(_ bytes: [UInt8], to path: String) throws(SystemError) {
        var file = try AtomicFile(path: path)
        let data = TensorData(elements: bytes)
        try data.withUnsafeBytes { (buffer) throws(SystemError) in try file.write(buffer) }
        try file.commit()
    }

    private func kind(_ body: () throws(SystemError) -> Void) -> SystemError.Kind? {
        do { try body() } catch { return error.kind }
        return nil
    }

    private func skip(_ reason: String) { print("SKIPPED 1 of 1: \(reason)") }

    // MARK: Mapping

    @Test(
        "A mapping has the file's bytes and readable slack",
        arguments: [0, 1, 64, 4095, 4096, 4097, 8192, 65536, 65537])
    func mapping(size: Int) throws {
        let directory = try TemporaryDirectory()
        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try Data(content).write(to: URL(fileURLWithPath: directory.path("file")))
        let bytes = try Bytes(mapping: directory.path("file"))
        #expect(bytes.count == size)
        #expect(TensorData(bytes, 0..<size).array(of: UInt8.self) == content)
        for offset in 0..<Bytes.slack {
            #expect(bytes.baseAddress.load(fromByteOffset: size + offset, as: UInt8.self) == 0)
        }
    }

    @Test("A mapping keeps its bytes when the file is replaced or deleted")
    func replacedWhileMapped() throws {
        let directory = try TemporaryDirectory()
        try write([1, 2, 3], to: directory.path("file"))
        let old = try Bytes(mapping: directory.path("file"))
        try write([4, 5], to: directory.path("file"))
        let new = try Bytes(mapping: directory.path("file"))
        try FileManager.default.removeItem(atPath: directory.path("file"))
        #expect(TensorData(old, 0..<3).array(of: UInt8.self) == [1, 2, 3])
        #expect(TensorData(new, 0..<2).array(of: UInt8.self) == [4, 5])
    }

    @Test("A file of 5 GB is mapped, not read")
    func large() throws {
        let size = 5_000_000_000
        let directory = try TemporaryDirectory()
        let header = SafetensorsSamples.file(
            header: #"{"t":{"dtype":"U8","shape":[\#(size)],"data_offsets":[0,\#(size)]}}"#)
        try Data(header).write(to: URL(fileURLWithPath: directory.path("large")))
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.path("large")))
        do { try handle.truncate(atOffset: UInt64(header.count + size)) } catch {
            return skip("no sparse files here: \(error)")
        }
        let file = try SafetensorsFile(mapping: directory.path("large"))
        #expect(file.data(of: "t")?.count == size)
        #expect(file.data(of: "t")?.load(size - 1, as: UInt8.self) == 0)
    }

    @Test("A pipe is refused without waiting for its writer")
    func pipe() throws {
        let directory = try TemporaryDirectory()
        guard mkfifo(directory.path("pipe"), 0o600) == 0 else { return skip("cannot make a pipe here") }
        #expect(kind { () throws(SystemError) in _ = try Bytes(mapping: directory.path("pipe")) } == .notAFile)
        #expect(kind { () throws(SystemError) in try write([1], to: directory.path("pipe")) } == .notAFile)
        #expect(try directory.contents() == ["pipe"])
    }

    // MARK: Memory

    @Test("Owned memory is aligned, starts as zeros and has slack", arguments: [0, 1, 63, 64, 65, 4096])
    func owned(size: Int) {
        let data = TensorData(count: size) { buffer in
            #expect(buffer.count == size)
            #expect(buffer.allSatisfy { $0 == 0 })
            for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index) }
        }
        #expect(data.isAligned(to: 64))
        #expect(data.array(of: UInt8.self) == (0..<size).map { UInt8(truncatingIfNeeded: $0) })
        for offset in 0..<Bytes.slack {
            #expect(data.baseAddress.load(fromByteOffset: size + offset, as: UInt8.self) == 0)
        }
        withExtendedLifetime(data) {}
    }

    @Test("Initialization may fail")
    func initializationFails() {
        #expect(throws: SystemError(code: 5)) {
            try TensorData(count: 10) { _ throws(SystemError) in throw SystemError(code: 5) }
        }
    }

    @Test("Unaligned elements are read, and copied to a boundary on request")
    func unaligned() {
        let whole = TensorData(elements: [0, 1, 0, 0, 0, 2, 0, 0, 0] as [UInt8])
        let tail = TensorData(whole.storage, 1..<9)
        #expect(tail.load(1, as: Int32.self) == 2)
        #expect(tail.array(of: Int32.self) == [1, 2])
        #expect(!tail.isAligned(to: 4))
        let aligned = tail.aligned()
        #expect(aligned.isAligned(to: 64))
        #expect(aligned.withElements(of: Int32.self) { Array($0) } == [1, 2])
        #expect(whole.aligned().baseAddress == whole.baseAddress)
    }

    // MARK: Atomic writing

    @Test("A file appears complete, under its name only")
    func atomic() throws {
        let directory = try TemporaryDirectory()
        try write([1, 2, 3], to: directory.path("file"))
        #expect(try directory.contents() == ["file"])
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory.path("file")))) == [1, 2, 3])
    }

    @Test("Without a commit nothing changes")
    func abandoned() throws {
        let directory = try TemporaryDirectory()
        try write([1], to: directory.path("file"))
        do {
            var file = try AtomicFile(path: directory.path("file"))
            try TensorData(elements: [2] as [UInt8]).withUnsafeBytes { (bytes) throws(SystemError) in
                try file.write(bytes)
            }
            #expect(try directory.contents().count == 2)
        }
        #expect(try directory.contents() == ["file"])
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory.path("file")))) == [1])
    }

    @Test("Replacing keeps the permissions and follows links")
    func replacing() throws {
        let directory = try TemporaryDirectory()
        try write([1], to: directory.path("file"))
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: directory.path("file"))
        try FileManager.default.createSymbolicLink(atPath: directory.path("link"), withDestinationPath: "file")
        try write([2], to: directory.path("link"))
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory.path("file")))) == [2])
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: directory.path("link")) == "file")
        let attributes = try FileManager.default.attributesOfItem(atPath: directory.path("file"))
        #expect(attributes[.posixPermissions] as? Int == 0o640)
    }

    @Test("Targets that cannot be are refused, and nothing is left behind")
    func badTargets() throws {
        let directory = try TemporaryDirectory()
        try write([1], to: directory.path("file"))
        try FileManager.default.createSymbolicLink(atPath: directory.path("broken"), withDestinationPath: "none")
        let cases: [(String, SystemError.Kind)] = [
            (directory.path("missing/file"), .notFound), (directory.path("file/below"), .notFound),
            (directory.path("broken"), .notFound),
            (directory.path(""), .notAFile), (directory.path("new") + "/", .notAFile), ("", .notFound),
            (directory.path("a") + "\u{0}b", .notFound),
        ]
        for (path, expected) in cases {
            #expect(kind { () throws(SystemError) in try write([1], to: path) } == expected, "\(path)")
        }
        #expect(try directory.contents() == ["broken", "file"])
    }

    @Test("A read-only directory or file is refused")
    func permissions() throws {
        guard geteuid() != 0 else { return skip("permissions do not bind the superuser") }
        let directory = try TemporaryDirectory()
        try write([1], to: directory.path("file"))
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: directory.path("file"))
        #expect(kind { () throws(SystemError) in try write([2], to: directory.path("file")) } == .permission)
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: directory.url.path)
        #expect(kind { () throws(SystemError) in try write([2], to: directory.path("new")) } == .permission)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.url.path)
        #expect(try directory.contents() == ["file"])
    }

    #if os(Linux)
        @Test("A full disk leaves the old file and nothing else")
        func diskFull() throws {
            let directory = try TemporaryDirectory()
            guard mount("tmpfs", directory.url.path, "tmpfs", 0, "size=64k") == 0 else {
                return skip("cannot mount a small file system here")
            }
            defer { umount(directory.url.path) }
            try write([1, 2, 3], to: directory.path("file"))
            var writer = SafetensorsWriter()
            try writer.add("t", .u8, [200_000], TensorData(count: 200_000) { _ in })
            do {
                try writer.write(to: directory.path("file"))
                Issue.record("200 kB fit 64 kB")
            } catch {
                guard case .system(let system) = error else { throw error }
                #expect(system.kind == .noSpace)
                #expect(error.message == "No space left on device")
            }
            #expect(try directory.contents() == ["file"])
            #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory.path("file")))) == [1, 2, 3])
        }
    #endif

    @Test("Many writers of one file never mix")
    func concurrentWriters() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("file")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for value in 0..<32 {
                group.addTask { try write([UInt8](repeating: UInt8(value), count: 10_000), to: path) }
            }
            try await group.waitForAll()
        }
        let content = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(content.count == 10_000)
        #expect(Set(content).count == 1)
        #expect(try directory.contents() == ["file"])
    }
}
