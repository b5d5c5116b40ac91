/// A folder of WFDB records, labelled by the `#Dx:` lines of the PhysioNet Challenges where they have them.
///
/// The records are those that a file `RECORDS` lists, else every header of the folder and of its folders, one level deep. Where the
/// folder has a folder named like the split, that one is used.
public struct RecordFolder: Dataset {
    public let classes: [String]
    public let isMultiLabel = true
    private let records: [(path: String, labels: [Bool]?)]

    public init(folder: String, split: DataSplit = .all) throws(DataError) {
        let part = folder + "/" + split.rawValue
        let root = DataFiles.isFolder(part) ? part : folder
        let paths = try RecordFolder.paths(root)
        guard !paths.isEmpty else { throw DataError(root, "holds no WFDB headers (.hea)") }
        var diagnoses: [[String]?] = []
        for path in paths {
            let text = try DataFiles.bytes(path).withUnsafeBytes { Array($0) }
            let header: WFDBHeader
            do throws(WFDBError) { header = try WFDBHeader(parsing: text, file: DataFiles.lastComponent(path)) } catch {
                throw DataError(path, error.description)
            }
            diagnoses.append(header.comment("Dx")?.split(separator: ",").map { trimmed($0) }.filter { !$0.isEmpty })
        }
        let classes = Set(diagnoses.compactMap { $0 }.joined()).sorted()
        self.classes = diagnoses.contains { $0 == nil } ? [] : classes
        records = zip(paths, diagnoses).map { path, codes in
            (path, codes.map { codes in classes.map { codes.contains($0) } })
        }
    }

    private static func paths(_ root: String) throws(DataError) -> [String] {
        let list = root + "/RECORDS"
        if DataFiles.exists(list) {
            var paths: [String] = []
            for line in try DataFiles.text(list).split(whereSeparator: \.isNewline) {
                let name = trimmed(line)
                guard !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
                    throw DataError(list, "names '\(name)', which lies outside of the folder")
                }
                paths.append(root + "/" + name + ".hea")
            }
            return paths
        }
        var paths: [String] = []
        for name in try DataFiles.names(in: root) {
            let path = root + "/" + name
            if name.hasSuffix(".hea") {
                paths.append(path)
            } else if DataFiles.isFolder(path) {
                paths += try DataFiles.names(in: path).filter { $0.hasSuffix(".hea") }.map { path + "/" + $0 }
            }
        }
        return paths
    }

    public var count: Int { records.count }
    public func name(_ index: Int) -> String { records[index].path }

    public func target(_ index: Int) -> Target {
        guard !classes.isEmpty, let labels = records[index].labels else { return .unlabelled }
        return .classes(labels)
    }

    public func example(_ index: Int) throws(DataError) -> Example {
        do throws(WFDBError) { return .recording(try ECGRecording(contentsOf: name(index))) } catch {
            throw DataError(name(index), error.description)
        }
    }
}
