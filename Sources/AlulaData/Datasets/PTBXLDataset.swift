/// PTB-XL (Wagner et al., Scientific Data 7:154, 2020): twelve-lead ECGs of 10 s with statements by cardiologists.
///
/// Labels follow the published benchmark (Strodthoff et al., IEEE JBHI 2021): a statement counts when it is there, whatever its
/// likelihood; records without a label of the task are left out; classes are sorted by name; folds 1-8 train, 9 validates, 10 tests.
public struct PTBXLDataset: Dataset {
    /// Which statements are the classes.
    public enum Task: String, Sendable, CaseIterable {
        /// The 5 diagnostic superclasses.
        case `super`
        /// The 23 diagnostic subclasses.
        case sub
        case rhythm
        case form
        /// The 44 diagnostic statements.
        case diag
        /// All 71 statements.
        case all
    }

    public let classes: [String]
    public let isMultiLabel = true
    private let folder: String
    private let records: [(file: String, labels: [Bool])]

    /// - Parameters:
    ///   - rate: 100 or 500 Hz.
    ///   - minimumLikelihood: Statements with a smaller one, in percent, do not count. Form and rhythm statements carry 0.
    public init(
        folder: String, task: Task = .super, split: DataSplit = .all, rate: Int = 100, minimumLikelihood: Double = 0
    ) throws(DataError) {
        let classOfCode = try PTBXLDataset.classes(folder + "/scp_statements.csv", task)
        let classes = Set(classOfCode.values).sorted()
        let places = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        let table = try CSVTable(contentsOf: folder + "/ptbxl_database.csv")
        let (codes, fold) = (try table.column("scp_codes"), try table.column("strat_fold"))
        let file = try table.column(rate == 500 ? "filename_hr" : "filename_lr")
        var records: [(file: String, labels: [Bool])] = []
        for (index, row) in table.rows.enumerated() {
            guard let number = Double(row[fold]), (1...10).contains(number) else {
                throw DataError(table.path, "row \(index + 1) has the fold '\(row[fold].prefix(20))'")
            }
            guard PTBXLDataset.contains(split, fold: Int(number)) else { continue }
            guard let statements = PythonDictionary.numbers(row[codes]) else {
                throw DataError(
                    table.path, "row \(index + 1) has statements that cannot be read: \(row[codes].prefix(40))")
            }
            var labels = [Bool](repeating: false, count: classes.count)
            for (code, likelihood) in statements where likelihood >= minimumLikelihood {
                if let place = classOfCode[code].flatMap({ places[$0] }) { labels[place] = true }
            }
            guard labels.contains(true) else { continue }
            let parts = row[file].split(separator: "/", omittingEmptySubsequences: false)
            guard !parts.isEmpty, parts.allSatisfy({ !$0.isEmpty && $0 != ".." && $0 != "." }) else {
                throw DataError(table.path, "row \(index + 1) names the file '\(row[file].prefix(60))'")
            }
            // Partial copies hold some of the records that the table lists.
            records.append((row[file], labels))
        }
        (self.folder, self.classes) = (folder, classes)
        let present = records.filter { DataFiles.exists(folder + "/" + $0.file + ".hea") }
        guard !present.isEmpty else {
            throw DataError(folder, "has no record of split '\(split.rawValue)' at \(rate) Hz")
        }
        self.records = present
    }

    private static func contains(_ split: DataSplit, fold: Int) -> Bool {
        switch split {
        case .train: fold <= 8
        case .val: fold == 9
        case .test: fold == 10
        case .all: true
        }
    }

    /// The class of every statement that counts for a task.
    private static func classes(_ path: String, _ task: Task) throws(DataError) -> [String: String] {
        let table = try CSVTable(contentsOf: path)
        let flags = [
            "diagnostic": try table.column("diagnostic"), "form": try table.column("form"),
            "rhythm": try table.column("rhythm"),
        ]
        let (upper, lower) = (try table.column("diagnostic_class"), try table.column("diagnostic_subclass"))
        var result: [String: String] = [:]
        for row in table.rows {
            func isSet(_ flag: String) -> Bool { flags[flag].flatMap { Double(row[$0]) } == 1 }
            let name: String? =
                switch task {
                case .super: isSet("diagnostic") ? row[upper] : nil
                case .sub: isSet("diagnostic") ? row[lower] : nil
                case .diag: isSet("diagnostic") ? row[0] : nil
                case .form: isSet("form") ? row[0] : nil
                case .rhythm: isSet("rhythm") ? row[0] : nil
                case .all: row[0]
                }
            if let name, !name.isEmpty { result[row[0]] = name }
        }
        guard !result.isEmpty else { throw DataError(path, "names no statement of the kind '\(task.rawValue)'") }
        return result
    }

    public var count: Int { records.count }
    public func target(_ index: Int) -> Target { .classes(records[index].labels) }
    public func name(_ index: Int) -> String { folder + "/" + records[index].file }

    public func example(_ index: Int) throws(DataError) -> Example {
        do throws(WFDBError) { return .recording(try ECGRecording(contentsOf: name(index))) } catch {
            throw DataError(name(index), error.description)
        }
    }
}

/// Dictionaries from text to number as Python prints them, such as `{'NORM': 100.0, 'SR': 0.0}`.
enum PythonDictionary {
    /// Nil where the text is none.
    static func numbers(_ text: String) -> [(key: String, value: Double)]? {
        let text = trimmed(text)
        guard text.hasPrefix("{"), text.hasSuffix("}"), text.count >= 2 else { return nil }
        var rest = text.dropFirst().dropLast().drop { $0 == " " }
        var members: [(key: String, value: Double)] = []
        while let quote = rest.first {
            guard quote == "'" || quote == "\"" else { return nil }
            rest.removeFirst()
            guard let end = rest.firstIndex(of: quote) else { return nil }
            let key = String(rest[..<end])
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
            guard rest.first == ":" else { return nil }
            let number = rest.dropFirst().prefix { $0 != "," }
            guard let value = Double(trimmed(number)) else { return nil }
            members.append((key, value))
            rest = rest[number.endIndex...].dropFirst().drop { $0 == " " }
        }
        return members
    }
}
