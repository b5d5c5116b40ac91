import AlulaData
import Foundation
import Testing

@Suite struct DatasetTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("alula-data-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        let url = URL(fileURLWithPath: folder + "/" + name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    private func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing"
        } catch { return "\(error)" }
    }

    // MARK: CIFAR

    @Test func cifarRecordsAreReadPlaneByPlane() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func record(_ labels: [UInt8], _ first: UInt8) -> [UInt8] {
            labels
                + (0..<3072).map { UInt8(truncatingIfNeeded: Int(first) + $0 / 1024 * 50 + ($0 % 1024 == 1 ? 1 : 0)) }
        }
        try write("test.bin", record([3, 42], 10) + record([0, 99], 20))
        let hundred = try CIFARDataset(.cifar100, folder: folder, split: .test)
        #expect(hundred.count == 2 && hundred.classes.count == 100)
        #expect(hundred.target(0) == .class(42) && hundred.target(1) == .class(99))
        guard case .image(let image) = try hundred.example(1) else { throw DataError("", "no image") }
        #expect(Array(image.bytes.prefix(9)) == [20, 70, 120, 21, 71, 121, 20, 70, 120])

        for part in 1...5 { try write("data_batch_\(part).bin", record([UInt8(part)], UInt8(part))) }
        try write("batches.meta.txt", (0..<10).map { "name\($0)" }.joined(separator: "\n") + "\n\n")
        let ten = try CIFARDataset(.cifar10, folder: folder, split: .train)
        #expect(ten.count == 5 && ten.target(3) == .class(4) && ten.classes[4] == "name4")
        #expect(message { _ = try CIFARDataset(.cifar10, folder: folder, split: .val) }.contains("split 'val'"))
        guard case .image(let last) = try ten.example(4) else { throw DataError("", "no image") }
        #expect(last.bytes[0] == 5)

        try write("train.bin", [1, 2, 3])
        #expect(message { _ = try CIFARDataset(.cifar100, folder: folder, split: .train) }.contains("multiple"))
        try write("train.bin", record([0, 100], 0))
        #expect(message { _ = try CIFARDataset(.cifar100, folder: folder, split: .train) }.contains("label 100"))
    }

    @Test func cifarHoldsOutTheSameShareOfEveryClass() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // A record's pixels are its number, over two of the five files.
        func records(_ range: Range<Int>) -> [UInt8] {
            range.flatMap { [UInt8($0 % 3)] + [UInt8](repeating: UInt8($0), count: 3072) }
        }
        try write("data_batch_1.bin", records(0..<40))
        try write("data_batch_2.bin", records(40..<57))
        for part in 3...5 { try write("data_batch_\(part).bin", records(57..<60)) }
        func numbers(_ split: DataSplit, _ holdOut: HoldOut) throws -> [Int] {
            let set = try CIFARDataset(.cifar10, folder: folder, split: split, holdOut: holdOut)
            return try (0..<set.count).map { index in
                guard case .image(let image) = try set.example(index) else { throw DataError("", "no image") }
                let number = Int(image.bytes[0])
                #expect(set.target(index) == .class(number % 3))
                if number < 57 { #expect(set.name(index).hasSuffix("[\(number < 40 ? number : number - 40)]")) }
                return number
            }
        }
        let all = (Array(0..<57) + Array(repeating: Array(57..<60), count: 3).joined()).sorted()
        let holdOut = HoldOut(share: 0.25, seed: 3)
        let (train, val) = (try numbers(.train, holdOut), try numbers(.val, holdOut))
        #expect((train + val).sorted() == all)
        // 22 records a class, of which 5.5 are rounded to 6.
        for label in 0..<3 { #expect(val.count { $0 % 3 == label } == 6) }
        #expect(try numbers(.val, holdOut) == val)
        #expect(try numbers(.val, HoldOut(share: 0.25, seed: 4)) != val)
        #expect(try numbers(.train, HoldOut(share: 0)) == Array(0..<57) + [57, 58, 59, 57, 58, 59, 57, 58, 59])
    }

    // MARK: Folders

    @Test func foldersAreClasses() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let png = try noise(width: 3, height: 2).pngData()
        for name in ["test/b/2.png", "test/b/1.PNG", "test/a/x.png", "test/a/notes.txt", "test/.hidden/z.png"] {
            try write(name, png)
        }
        let set = try ImageFolder(folder: folder, split: .test)
        #expect(set.classes == ["a", "b"] && set.count == 3)
        #expect((0..<3).map(set.target) == [.class(0), .class(1), .class(1)])
        #expect(set.name(1).hasSuffix("/test/b/1.PNG"))
        try write("test/loose.png", png)
        let flat = try ImageFolder(folder: folder, split: .test)
        #expect(flat.classes.isEmpty && flat.count == 4 && flat.target(0) == .unlabelled)
        #expect(message { _ = try ImageFolder(folder: folder + "/none") }.contains("not a folder"))
        try write("empty/notes.txt", "no pictures")
        #expect(message { _ = try ImageFolder(folder: folder + "/empty") }.contains("holds no"))
    }

    @Test func recordFoldersAreLabelledByTheirComments() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("b.hea", "b 1 100 2\nr.dat 16\n#Dx: 20,10\n")
        try write("a.hea", "a 1 100 2\nr.dat 16\n# Dx: 10\n")
        try write("r.dat", [1, 0, 2, 0])
        let set = try RecordFolder(folder: folder)
        #expect(set.classes == ["10", "20"] && set.count == 2)
        #expect(set.target(0) == .classes([true, false]) && set.target(1) == .classes([true, true]))
        try write("RECORDS", "b\n")
        #expect(try RecordFolder(folder: folder).count == 1)
        try write("RECORDS", "../b\n")
        #expect(message { _ = try RecordFolder(folder: folder) }.contains("outside"))
    }

    @Test func int16TablesHaveALineAnExample() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("val.i16", [0xE8, 0x03, 0x18, 0xFC, 0, 0, 1, 0])
        try write("val_labels.csv", "ecg_id,row,A,B\n7,0,1,0\n9,1,0,1\n")
        let set = try Int16Dataset(folder: folder, split: .val, length: 2)
        #expect(set.classes == ["A", "B"] && set.count == 2 && set.target(1) == .classes([false, true]))
        guard case .tensor(let values) = try set.example(0) else { throw DataError("", "no tensor") }
        #expect(values == [1, -1])
        #expect(message { _ = try Int16Dataset(folder: folder, split: .val, length: 3) }.contains("multiple"))
        try write("val_labels.csv", "ecg_id,row,A,B\n7,0,1,2\n9,1,0,1\n")
        #expect(message { _ = try Int16Dataset(folder: folder, split: .val, length: 2) }.contains("other than 0 and 1"))
        try write("val_labels.csv", "ecg_id,row,A,B\n7,0,1,1\n")
        #expect(message { _ = try Int16Dataset(folder: folder, split: .val, length: 2) }.contains("1 lines for 2"))
    }

    // MARK: PTB-XL

    @Test(.enabled(if: sharedExists("data/ptb-xl/ptbxl_database.csv"), "no shared data"))
    func ptbxlHasTheLabelsOfItsTable() throws {
        let root = shared("data/ptb-xl")
        let table = try String(contentsOfFile: root + "/superclass_labels.csv", encoding: .utf8)
        let rows = table.split(whereSeparator: \.isNewline).dropFirst().map { $0.split(separator: ",") }
        let order = ["NORM", "MI", "STTC", "CD", "HYP"]
        for (split, name) in [(DataSplit.train, "train"), (.val, "val")] {
            let set = try PTBXLDataset(folder: root, task: .super, split: split)
            #expect(set.classes == order.sorted())
            var expected: [String: [Bool]] = [:]
            for row in rows where row[2] == name && row[3...].contains("1") {
                let id = "/" + String(format: "%05d", Int(row[0]) ?? 0) + "_lr"
                expected[id] = set.classes.map { row[3 + order.firstIndex(of: $0)!] == "1" }
            }
            #expect(set.count == expected.count)
            for index in 0..<set.count {
                let id = String(set.name(index).suffix(9))
                #expect(expected[id].map { .classes($0) } == set.target(index), "\(id)")
            }
        }
        for (task, count) in [(PTBXLDataset.Task.sub, 23), (.rhythm, 12), (.form, 19), (.diag, 44), (.all, 71)] {
            #expect(try PTBXLDataset(folder: root, task: task).classes.count == count)
        }
        #expect(try PTBXLDataset(folder: root, task: .all, rate: 500).count == 24)
        let strict = try PTBXLDataset(folder: root, task: .super, minimumLikelihood: 100)
        #expect(strict.count < (try PTBXLDataset(folder: root, task: .super)).count)
        #expect(message { _ = try PTBXLDataset(folder: root, split: .test) }.contains("no record of split 'test'"))
        guard case .recording(let recording) = try strict.example(0) else { throw DataError("", "no recording") }
        #expect(recording.rate == 100 && recording.count == 1000)
    }

    @Test func damagedTablesAreRefused() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let statements =
            ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\nNORM,n,1.0,,,NORM,NORM\n"
        let header = "ecg_id,scp_codes,strat_fold,filename_lr,filename_hr\n"
        func open(_ statements: String, _ table: String) throws -> String {
            try write("scp_statements.csv", statements)
            try write("ptbxl_database.csv", table)
            return message { _ = try PTBXLDataset(folder: folder) }
        }
        #expect(try open("a,b\n1,2\n", header).contains("no column 'diagnostic'"))
        #expect(try open(statements, "ecg_id\n1\n").contains("no column 'scp_codes'"))
        #expect(try open(statements, header + "1,{'NORM': 1},x,a,b\n").contains("fold 'x'"))
        #expect(try open(statements, header + "1,{'NORM': 1},nan,a,b\n").contains("fold 'nan'"))
        #expect(try open(statements, header + "1,__import__,3,a,b\n").contains("cannot be read"))
        #expect(try open(statements, header + "1,{'NORM': 1},3,../a,b\n").contains("'../a'"))
        #expect(try open(statements, header + "1,{'NORM': 1},3,a,b\n").contains("no record"))
        #expect(try open(statements, header + "1,{'NORM': 1}\n") != "nothing")
        try write("a.hea", "a 1 100 1\nr.dat 16\n")
        #expect(try open(statements, header + "1,\"{'NORM': 80.0, 'SR': 0.0}\",3,a,b\n") == "nothing")
    }

    // MARK: Orders

    @Test func ordersArePermutationsThatSeedAndEpochDecide() {
        let order = ExampleOrder(count: 100, seed: 1)
        #expect(order.indices(epoch: 0).sorted() == Array(0..<100))
        #expect(order.indices(epoch: 0) == ExampleOrder(count: 100, seed: 1).indices(epoch: 0))
        #expect(order.indices(epoch: 0) != order.indices(epoch: 1))
        #expect(order.indices(epoch: 0) != ExampleOrder(count: 100, seed: 2).indices(epoch: 0))
        #expect(order.indices(epoch: 3, prefix: 7) == Array(order.indices(epoch: 3).prefix(7)))
    }

    @Test(.enabled(if: sharedExists("data/cifar-100-binary/test.bin"), "no shared data"))
    func batchesHoldEveryExampleOnce() throws {
        let set = try CIFARDataset(.cifar100, folder: shared("data/cifar-100-binary"), split: .test)
        #expect(set.count == 5000 && set.classes[0] == "apple")
        let val = try CIFARDataset(.cifar100, folder: shared("data/cifar-100-binary"), split: .val)
        var counts = [Int](repeating: 0, count: 100)
        for index in 0..<val.count { if case .class(let label) = val.target(index) { counts[label] += 1 } }
        #expect(counts == Array(repeating: 20, count: 100))
        let loader = BatchLoader(set, batchSize: 64, shufflingBy: 9)
        let batches = loader.batches(epoch: 2)
        #expect(batches.count == 79 && batches.last?.count == 8)
        #expect(batches.flatMap { $0 }.sorted() == Array(0..<5000))
        #expect(loader.batches(epoch: 2, dropsLast: true).count == 78)
        #expect(BatchLoader(set, batchSize: 5000).batches(epoch: 0) == [Array(0..<5000)])
        let some = Subset(set, choosing: 10, seed: 4)
        #expect(some.count == 10 && some.indices == some.indices.sorted())
        #expect(some.target(3) == set.target(some.indices[3]))
    }

    @Test func locationsAreRead() {
        #expect(DataLocation("ptbxl:a/b:rhythm") == .ptbxl("a/b", .rhythm))
        #expect(DataLocation("ptbxl:a") == .ptbxl("a", .super))
        #expect(DataLocation("cifar100:x:y") == .cifar100("x:y"))
        for text in ["", "cifar100", "cifar100:", "mnist:a", "ptbxl:a:b", "ptbxl::super"] {
            #expect(DataLocation(text) == nil, "\(text)")
        }
    }
}
