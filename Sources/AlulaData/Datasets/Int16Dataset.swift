import AlulaGraph

/// Model inputs stored as 16-bit numbers in thousandths: `SPLIT.i16`, examples one after another, and `SPLIT_labels.csv`, a line each.
///
/// In the table every column is a class but those of `descriptions`.
public struct Int16Dataset: Dataset {
    public let classes: [String]
    public let isMultiLabel = true
    public let count: Int
    private let path: String
    private let bytes: Bytes
    private let length: Int
    private let labels: [[Bool]]

    /// Columns that describe an example instead of classifying it.
    public static let descriptions: Set = ["ecg_id", "patient_id", "row", "in_records100", "strat_fold", "split"]

    /// - Parameter length: Numbers of one example.
    public init(folder: String, split: DataSplit, length: Int) throws(DataError) {
        guard split != .all else { throw DataError(folder, "is read one split at a time: train, val or test") }
        path = folder + "/" + split.rawValue + ".i16"
        bytes = try DataFiles.bytes(path)
        self.length = length
        guard length > 0, bytes.count > 0, bytes.count / 2 % length == 0, bytes.count % 2 == 0 else {
            throw DataError(
                path, "has \(bytes.count) bytes, which is no multiple of the model's \(2 * length) an input")
        }
        count = bytes.count / 2 / length
        let table = try CSVTable(contentsOf: folder + "/" + split.rawValue + "_labels.csv")
        let columns = table.header.indices.filter { !Int16Dataset.descriptions.contains(table.header[$0]) }
        guard table.rows.count == count else {
            throw DataError(table.path, "has \(table.rows.count) lines for \(count) examples")
        }
        var labels: [[Bool]] = []
        for (index, row) in table.rows.enumerated() {
            let flags = columns.map { row[$0] == "1" ? true : row[$0] == "0" ? false : nil }
            guard !flags.contains(nil) else {
                throw DataError(table.path, "line \(index + 1) has labels other than 0 and 1")
            }
            labels.append(flags.compactMap { $0 })
        }
        (self.labels, classes) = (labels, columns.map { table.header[$0] })
    }

    public func target(_ index: Int) -> Target { .classes(labels[index]) }
    public func name(_ index: Int) -> String { "\(path) [\(index)]" }

    public func example(_ index: Int) throws(DataError) -> Example {
        .tensor(
            bytes.withUnsafeBytes { source in
                (0..<length).map { place in
                    let offset = 2 * (index * length + place)
                    let value = Int16(littleEndian: source.loadUnaligned(fromByteOffset: offset, as: Int16.self))
                    return Float(value) / 1000
                }
            })
    }
}
