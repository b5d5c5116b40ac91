import AlulaGraph
import Foundation
import SwiftCSV

/// What data sets need of the file system; every error names the file.
enum DataFiles {
    /// Maps a file.
    static func bytes(_ path: String) throws(DataError) -> Bytes {
        do throws(SystemError) { return try Bytes(mapping: path) } catch { throw DataError(path, error.message) }
    }

    /// A small text file.
    static func text(_ path: String) throws(DataError) -> String {
        let bytes = try bytes(path)
        guard bytes.count <= textLimit else {
            throw DataError(path, "has \(bytes.count) bytes, more than the limit of \(textLimit)")
        }
        guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
            throw DataError(path, "is not UTF-8 text")
        }
        return text
    }

    private static let textLimit = 256 << 20

    /// Names in a folder, sorted by their bytes, so that no order depends on the file system; hidden ones are left out.
    static func names(in folder: String) throws(DataError) -> [String] {
        guard isFolder(folder) else { throw DataError(folder, "is not a folder, or does not exist") }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted {
                $0.utf8.lexicographicallyPrecedes($1.utf8)
            }
        } catch { throw DataError(folder, "cannot be listed") }
    }

    static func lastComponent(_ path: String) -> String {
        String(path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...])
    }

    static func isFolder(_ path: String) -> Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

/// A table with a header line.
struct CSVTable {
    let path: String
    let header: [String]
    let rows: [[String]]

    init(contentsOf path: String) throws(DataError) {
        let text = try DataFiles.text(path)
        do {
            let table = try CSV<Enumerated>(string: text, delimiter: .comma, loadColumns: false)
            (header, rows) = (table.header, table.rows)
        } catch { throw DataError(path, "is no CSV table") }
        self.path = path
        guard let line = rows.firstIndex(where: { $0.count != header.count }) else { return }
        throw DataError(
            path, "row \(line + 1) has \(rows[line].count) columns, the header \(header.count)")
    }

    /// The place of a column.
    func column(_ name: String) throws(DataError) -> Int {
        guard let place = header.firstIndex(of: name) else { throw DataError(path, "has no column '\(name)'") }
        return place
    }
}
