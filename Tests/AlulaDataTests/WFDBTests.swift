import AlulaData
import Foundation
import TestSupport
import Testing

/// Records made in memory: what is packed by the plain rules of each format is read back.
@Suite struct WFDBTests {
    private static let uncompressed = WFDBFormat.allCases.filter { ![.flac8, .flac16, .flac24].contains($0) }

    private static func range(_ format: WFDBFormat) -> ClosedRange<Int32> {
        switch format {
        case .offset8: -127...127
        case .littleEndian16, .bigEndian16, .offset16: -32767...32767
        case .littleEndian24: -8_388_607...8_388_607
        case .littleEndian32: -2_147_483_647...2_147_483_647
        case .packed12: -2047...2047
        default: -511...511
        }
    }

    /// By the definition of each format: bits in order, a bit at a time where samples share bytes.
    private static func pack(_ samples: [Int32], _ format: WFDBFormat) -> [UInt8] {
        func bytes(_ value: Int32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> Int32(8 * $0)) }
        }
        switch format {
        case .differences8:
            return samples.indices.map {
                UInt8(truncatingIfNeeded: samples[$0] - ($0 == 0 ? samples[0] : samples[$0 - 1]))
            }
        case .offset8: return samples.map { UInt8($0 + 128) }
        case .littleEndian16: return samples.flatMap { bytes($0, 2) }
        case .bigEndian16: return samples.flatMap { bytes($0, 2).reversed() }
        case .offset16: return samples.flatMap { bytes($0 + 32768, 2) }
        case .littleEndian24: return samples.flatMap { bytes($0, 3) }
        case .littleEndian32: return samples.flatMap { bytes($0, 4) }
        case .packed12:
            return stride(from: 0, to: samples.count, by: 2).flatMap { index -> [UInt8] in
                let second = index + 1 < samples.count ? samples[index + 1] & 0xFFF : 0
                let first = samples[index] & 0xFFF
                let all = bytes(first & 0xFF | ((first >> 8) | (second >> 8) << 4) << 8 | (second & 0xFF) << 16, 3)
                return index + 1 < samples.count ? all : Array(all.prefix(2))
            }
        case .packed10in16, .packed10in32:
            return stride(from: 0, to: samples.count, by: 3).flatMap { index -> [UInt8] in
                let group = (0..<3).map { index + $0 < samples.count ? samples[index + $0] & 0x3FF : 0 }
                if format == .packed10in32 { return bytes(group[0] | group[1] << 10 | group[2] << 20, 4) }
                return bytes(group[0] << 1 | (group[2] & 0x1F) << 11, 2)
                    + bytes(group[1] << 1 | (group[2] >> 5) << 11, 2)
            }
        case .flac8, .flac16, .flac24: return []
        }
    }

    private static func read(_ header: String, _ data: [UInt8], limits: WFDBLimits = .standard) throws -> WFDBRecord {
        try WFDBRecord(files: ["r.hea": Array(header.utf8), "r.dat": data], header: "r.hea", limits: limits)
    }

    @Test(arguments: uncompressed, [1, 2, 3, 4, 5, 6, 7, 120, 121]) func everyFormatIsReadBack(
        _ format: WFDBFormat, _ count: Int
    ) throws {
        var random = RandomNumbers(seed: UInt64(format.rawValue * 1000 + count))
        var samples = random.integers(count, in: Self.range(format))
        if format == .differences8 {
            for index in samples.indices.dropFirst() {
                samples[index] = samples[index - 1] + max(-128, min(127, samples[index] - samples[index - 1]))
            }
        }
        let sum = samples.reduce(0) { $0 + Int($1) } & 0xFFFF
        let line = "r.dat \(format.rawValue) 100(7)/mV 12 0 \(samples[0]) \(sum) 0 lead with spaces"
        for length in ["\(count)", "0"] {
            let record = try Self.read("r 1 250 \(length)\n\(line)\n# a note\n", Self.pack(samples, format))
            // Without a length, packing may leave room for more: a group that is not full.
            let digital = record.signals[0].digital
            #expect(Array(digital.prefix(count)) == samples)
            #expect(digital.count == count || (length == "0" && digital.count - count < 3))
            #expect(record.signals[0].physical[0] == (Double(samples[0]) - 7) / 100)
            #expect(record.signals[0].name == "lead with spaces" && record.header.comments == ["a note"])
        }
    }

    @Test func framesAreDealtToTheirSignals() throws {
        // Three signals with 1, 2 and 1 samples a frame, the last stored one frame early.
        let data = Self.pack([1, 10, 11, 100, 2, 20, 21, 200, 3, 30, 31, 300], .littleEndian16)
        let record = try Self.read("r 3 10 3\nr.dat 16\nr.dat 16x2 2/uV\nr.dat 16:1\n", data)
        #expect(record.signals.map(\.digital) == [[1, 2, 3], [10, 11, 20, 21, 30, 31], [200, 300, -32768]])
        #expect(record.signals[0].physical == [0.005, 0.01, 0.015])
        #expect(record.signals[1].physicalFrames == [5.25, 10.25, 15.25])
        #expect(record.signals[2].physical[2].isNaN)
        #expect(ECGRecording(record).samples[1] == [0.00525, 0.01025, 0.01525])
    }

    @Test func segmentsAreJoinedByName() throws {
        let files: [String: String] = [
            "m.hea": "m/4 2 100 7\nlayout 0\na 2\n~ 3\nb 2\n",
            "layout.hea": "layout 2 100 0\n~ 0 1/mV 0 0 0 0 0 I\n~ 0 1/mV 0 0 0 0 0 II\n",
            "a.hea": "a 1 100 2\na.dat 16 100/mV 16 0 1 3 0 II\n",
            "b.hea": "b 2 100 2\nb.dat 16 10/mV 16 0 5 11 0 II\nb.dat 16 10/mV 16 0 7 15 0 I\n",
        ]
        var all = files.mapValues { Array($0.utf8) }
        all["a.dat"] = Self.pack([1, 2], .littleEndian16)
        all["b.dat"] = Self.pack([5, 7, 6, 8], .littleEndian16)
        let record = try WFDBRecord(files: all, header: "m.hea", limits: .standard)
        #expect(record.signals.map(\.name) == ["I", "II"] && record.frames == 7)
        #expect(record.signals[0].digital == [-32768, -32768, -32768, -32768, -32768, 7, 8])
        let second = record.signals[1].physical
        #expect(second.map { $0.isNaN } == [false, false, true, true, true, false, false])
        #expect(second[0] == 0.01 && second[6] == 0.6)
    }

    // MARK: Damage

    private func expectError(
        _ header: String, _ data: [UInt8] = [], limits: WFDBLimits = .standard,
        sourceLocation: SourceLocation = #_sourceLocation, _ matches: (WFDBError) -> Bool
    ) {
        do {
            _ = try Self.read(header, data, limits: limits)
            Issue.record("accepted: \(header)", sourceLocation: sourceLocation)
        } catch let error as WFDBError {
            #expect(matches(error), "\(error)", sourceLocation: sourceLocation)
            #expect(error.description.allSatisfy { !$0.isNewline }, sourceLocation: sourceLocation)
        } catch {
            Issue.record(error, sourceLocation: sourceLocation)
        }
    }

    @Test func damagedHeadersAreRefused() {
        let lines: [(String, Int)] = [
            ("", 1), ("# only a comment\n", 1), ("r\n", 1), ("r two\n", 1), ("r 1 250 10\n", 1), ("r -1\n", 1),
            ("r 1 fast\nr.dat 16\n", 1), ("r 1 nan\nr.dat 16\n", 1), ("r 1 250 -5\nr.dat 16\n", 1),
            ("r 1 250 1e3\nr.dat 16\n", 1), ("r 1 250 10\nr.dat\n", 2), ("r 1 250 10\nr.dat 16x0\n", 2),
            ("r 1 250 10\n\nr.dat 16 gain\n", 3), ("r 1 250 10\nr.dat 16 200(x)\n", 2),
            ("r 1 250 10\nr.dat 16 200(\n", 2), ("r 1 250 10\nr.dat 16 200 12 0 0 sum\n", 2),
            ("r 99999999 250 10\nr.dat 16\n", 1), ("r/2 1 250 10\na 5\n", 1), ("r/1 1 250 10\na five\n", 2),
        ]
        for (text, line) in lines {
            expectError(text) { if case .header(line, _) = $0.problem { true } else { false } }
        }
        for format in ["17", "abc", "16y2", "16x2q", "0y1", "999999999999999999999"] {
            expectError("r 1 250 10\nr.dat \(format)\n") {
                if case .unknownFormat(2, _) = $0.problem { true } else { false }
            }
        }
    }

    @Test func pathsStayInTheFolder() {
        for name in ["/etc/passwd", "../r.dat", "a/../../r.dat", "./r.dat", "a//b", "..", "a\\b"] {
            expectError("r 1 250 10\n\(name) 16\n") { $0.problem == .unsafePath(name) }
            expectError("r/1 1 250 10\n\(name) 10\n") { $0.problem == .unsafePath(name) }
        }
    }

    @Test func signalFilesThatDoNotFitAreRefused() {
        expectError("r 1 250 10\nr.dat 16\n", Array(repeating: 0, count: 19)) {
            $0.problem == .truncated(needed: 20, found: 19) && $0.file == "r.dat"
        }
        expectError("r 1 250 10\nr.dat 16+5\n", Array(repeating: 0, count: 24)) {
            $0.problem == .truncated(needed: 25, found: 24)
        }
        expectError("r 1 250 6\nr.dat 8x2:1+9223372036854775807\n", Array(repeating: 0, count: 24)) {
            $0.problem == .truncated(needed: .max, found: 24)
        }
        expectError("r 1 250 2\nr.dat 16 200 12 0 1 4 0 V1\n", [1, 0, 2, 0]) {
            $0.problem == .checksum(signal: "V1", stated: 4, computed: 3)
        }
        expectError("r 1 250 10\nother.dat 16\n") { if case .system = $0.problem { true } else { false } }
        expectError("r 2 250 2\nr.dat 16\nr.dat 212\n", [1, 0, 2, 0]) {
            if case .segment = $0.problem { true } else { false }
        }
        expectError("r 1 250 10\nr.dat 516\n", Array("fLaC, or not".utf8)) {
            if case .flac = $0.problem { true } else { false }
        }
    }

    @Test func impossibleSizesAreRefusedBeforeMemoryIsTaken() {
        for header in [
            "r 1 250 9223372036854775807\nr.dat 16\n", "r 1 250 4611686018427387904\nr.dat 16x4\n",
            "r 1 250 1000000000\nr.dat 516\n", "r/2 1 250 9223372036854775807\n~ 9223372036854775806\nr 1\n",
            "r 1 250 9223372036854775807\n~ 0\n", "r 1 250 1000000000000\n~ 0x9\n",
        ] {
            expectError(header, [1, 0]) {
                switch $0.problem {
                case .tooManySamples, .segment: true
                default: false
                }
            }
        }
        expectError("r 1 250 100\nr.dat 16\n", Array(repeating: 0, count: 200), limits: WFDBLimits(samples: 99)) {
            $0.problem == .tooManySamples(limit: 99)
        }
        expectError("r 1 250 1\nr.dat 16\n", Array(repeating: 0, count: 200), limits: WFDBLimits(fileBytes: 100)) {
            $0.problem == .tooLarge(bytes: 200, limit: 100)
        }
    }

    @Test func segmentsThatDoNotFitAreRefused() {
        func expectSegmentError(_ main: String, _ segment: String, saying text: String) {
            let files = ["m.hea": main, "r.hea": segment].mapValues { Array($0.utf8) }
            do {
                _ = try WFDBRecord(
                    files: files.merging(["r.dat": [1, 0, 2, 0]]) { $1 }, header: "m.hea", limits: .standard)
                Issue.record("accepted: \(main)")
            } catch { #expect(error.description.contains(text), "\(error)") }
        }
        expectSegmentError("m/1 1 250 3\nr 3\n", "r 1 250 2\nr.dat 16\n", saying: "3 frames; it has 2")
        expectSegmentError("m/1 1 250 9\nr 2\n", "r 1 250 2\nr.dat 16\n", saying: "9 frames, its segments have 2")
        expectSegmentError("m/1 1 250 2\nm 2\n", "", saying: "which has segments itself")
    }

    // MARK: Annotations

    @Test func annotationsWithEveryModifierAreRead() throws {
        func word(_ code: Int, _ value: Int) -> [UInt8] {
            [UInt8(truncatingIfNeeded: value), UInt8(code << 2 | value >> 8)]
        }
        let file: [UInt8] =
            word(22, 0) + word(63, 5) + Array("notes".utf8) + [0] + word(28, 5) + word(63, 2) + Array("(N".utf8)
            + word(1, 1000) + word(60, 3) + word(62, 1) + word(61, 0xFF) + word(59, 0) + [1, 0, 0x70, 0x11]
            + word(5, 2) + word(0, 0) + word(1, 1)
        let annotations = try file.withUnsafeBytes { try WFDBAnnotation.parse($0, file: "r.atr") }
        #expect(annotations.map(\.sample) == [5, 1005, 1007 + 0x1_1170])
        #expect(annotations.map(\.symbol) == ["+", "N", "V"])
        #expect(annotations[0].auxiliary == "(N")
        #expect(annotations[1].subtype == -1 && annotations[1].number == 3 && annotations[2].channel == 1)
        for (count, cause) in [(3, "half a word"), (6, "within a text")] {
            do {
                _ = try Array(file.prefix(count)).withUnsafeBytes { try WFDBAnnotation.parse($0, file: "r.atr") }
                Issue.record("accepted \(count) bytes")
            } catch { #expect("\(error)".contains(cause)) }
        }
        #expect(throws: WFDBError.self) {
            try word(61, 1).withUnsafeBytes { try WFDBAnnotation.parse($0, file: "r.atr") }
        }
    }

    // MARK: Writing

    @Test func recordingsAreWrittenAndReadBack() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("alula-wfdb-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/record.hea"
        let recording = ECGRecording(leads: ["I", "V1"], rate: 250, samples: [[0.001, -1.5, .nan], [2, 32.767, 99]])
        try recording.write(toWFDB: path, comments: ["Age: 50"])
        let record = try WFDBRecord(contentsOf: path)
        #expect(record.header.comment("age") == "50")
        #expect(record.signals.map(\.digital) == [[1, -1500, -32768], [2000, 32767, -32768]])
        #expect(ECGRecording(record).rate == 250)
        #expect(throws: WFDBError.self) { try recording.write(toWFDB: folder.path + "/a b.hea") }
        #expect(throws: WFDBError.self) { try recording.write(toWFDB: folder.path + "/no/such/record.hea") }
    }
}
