import AlulaData
import AlulaGraph
import AlulaTraining
import Foundation
import Testing

/// A folder that is removed with the value.
final class ScratchFolder {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("alula-training-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }
}

/// Reads what TensorBoard would: records with their checks, and of each message the fields that are asked for.
private struct EventReader {
    var events: [Message] = []

    struct Message {
        var fields: [(number: Int, value: Value)] = []
        enum Value {
            case number(UInt64)
            case bytes([UInt8])
        }

        init(_ bytes: [UInt8]) throws {
            var place = 0
            func varint() throws -> UInt64 {
                var (value, shift): (UInt64, UInt64) = (0, 0)
                while true {
                    try #require(place < bytes.count)
                    value |= UInt64(bytes[place] & 0x7F) << shift
                    place += 1
                    if bytes[place - 1] < 0x80 { return value }
                    shift += 7
                }
            }
            while place < bytes.count {
                let tag = try varint()
                let count = [1: 8, 5: 4][Int(tag & 7)]
                switch tag & 7 {
                case 0: fields.append((Int(tag >> 3), .number(try varint())))
                case 2:
                    let length = Int(try varint())
                    fields.append((Int(tag >> 3), .bytes(Array(bytes[place..<place + length]))))
                    place += length
                default:
                    let size = try #require(count)
                    let value = (0..<size).reduce(UInt64(0)) { $0 | UInt64(bytes[place + $1]) << UInt64(8 * $1) }
                    fields.append((Int(tag >> 3), .number(value)))
                    place += size
                }
            }
        }

        func bytes(_ number: Int) -> [[UInt8]] {
            fields.compactMap { if $0.number == number, case .bytes(let bytes) = $0.value { bytes } else { nil } }
        }
        func number(_ number: Int) -> UInt64? {
            fields.compactMap { if $0.number == number, case .number(let value) = $0.value { value } else { nil } }
                .first
        }
    }

    init(folder: String) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.contains("tfevents") }
        let file = try #require(names.first)
        let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/" + file)))
        var place = 0
        func take(_ count: Int) throws -> [UInt8] {
            try #require(place + count <= data.count, "a record ends early")
            place += count
            return Array(data[place - count..<place])
        }
        func number(_ bytes: [UInt8]) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        while place < data.count {
            let length = try take(8)
            #expect(number(try take(4)) == UInt64(CRC32C.masked(length)))
            let content = try take(Int(number(length)))
            #expect(number(try take(4)) == UInt64(CRC32C.masked(content)))
            events.append(try Message(content))
        }
    }
}

@Suite struct LogTests {
    @Test func checksAreThoseOfTheStandard() {
        // RFC 3720, appendix B.4.
        #expect(CRC32C.value(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.value(Array(repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.value((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    }

    @Test func eventFilesHoldVersionAndScalars() throws {
        let folder = try ScratchFolder()
        let file = try EventFile(folder: folder.path)
        try file.add([("train/loss", 0.5), ("lr", 1e-3)], step: 300)
        file.close()
        let events = try EventReader(folder: folder.path).events
        #expect(events.count == 2)
        #expect(events[0].bytes(3) == [Array("brain.Event:2".utf8)])
        #expect(events[1].number(2) == 300)
        let summary = try EventReader.Message(try #require(events[1].bytes(5).first))
        let values = try summary.bytes(1).map { try EventReader.Message($0) }
        #expect(values.map { $0.bytes(1) } == [[Array("train/loss".utf8)], [Array("lr".utf8)]])
        #expect(values.map { $0.number(2) } == [UInt64(Float(0.5).bitPattern), UInt64(Float(1e-3).bitPattern)])
    }

    @Test func resumedRunsSayWhereTheyGoOn() throws {
        let folder = try ScratchFolder()
        try EventFile(folder: folder.path, resumedAt: 42).close()
        let events = try EventReader(folder: folder.path).events
        #expect(events.count == 2)
        #expect(events[1].number(2) == 42)
        #expect(events[1].bytes(7) == [[8, 1]])
    }

    private func record(_ epoch: Int) -> EpochRecord {
        var record = EpochRecord(
            epoch: epoch, step: 10 * epoch, rate: 1e-3, trainLoss: 0.1 + 0.2, trainAccuracy: 0.75, validation: nil,
            seconds: 1.5, examplesPerSecond: 100, isBest: true)
        (record.validationLoss, record.figures) = (0.25, [EpochRecord.Figure("accuracy", 0.5)])
        return record
    }

    @Test func metricsBeginWithTheEpochsThatAreDone() throws {
        let folder = try ScratchFolder()
        let path = folder.file("metrics.jsonl")
        let first = try MetricsLog(path, history: [])
        for epoch in 1...3 { try first.add(record(epoch)) }
        // The run was killed and goes on after its second epoch.
        let second = try MetricsLog(path, history: [record(1), record(2)])
        try second.add(record(3))
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        let epochs = try lines.map { line in
            try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])["epoch"] as? Int
        }
        #expect(epochs == [1, 2, 3])
    }

    @Test func statesReadBackWhatTheyWrote() throws {
        var state = TrainingState()
        (state.epoch, state.stepInEpoch, state.step, state.lossSum) = (2, 3, 23, 0.1 + 0.2)
        (state.batches, state.correct, state.seconds) = (3, 17, 1.25)
        state.plateau = Plateau(patience: 4, best: 0.3, waited: 2, cuts: 1)
        (state.bestEpoch, state.bestValue, state.history) = (1, 0.7, [record(1), record(2)])
        #expect(TrainingState(json: state.json.text) == state)
        #expect(TrainingState(json: "{}") == nil)
        #expect(
            TrainingState(json: state.json.text.replacing("\"epoch\":2,\"step_in", with: "\"epoch\":-1,\"step_in"))
                == nil)
    }
}
