import AlulaGraph
import CZip

/// A zip archive that is read whole entries at a time, within a budget.
final class ZipArchive {
    private let path: String
    private let archive: OpaquePointer
    private var indices: [String: UInt64] = [:]
    /// In the order of the archive.
    let names: [String]
    /// Bytes that may still be allocated.
    private(set) var budget: Int

    init(path: String, limits: PyTorchLimits, budget: Int) throws(PyTorchImportError) {
        var code: Int32 = 0
        guard let archive = zip_open(path, ZIP_RDONLY, &code) else {
            throw .unreadable(path: path, problem: "is no zip archive that can be read: " + ZipArchive.text(code))
        }
        (self.path, self.archive, self.budget) = (path, archive, budget)
        let count = zip_get_num_entries(archive, 0)
        var names: [String] = []
        var problem: String?
        if count < 0 || count > limits.archiveEntries {
            problem = "has \(count) entries, the limit is \(limits.archiveEntries)"
        } else {
            for index in 0..<UInt64(count) {
                guard let name = zip_get_name(archive, index, 0) else { continue }
                names.append(String(cString: name))
                if indices.updateValue(index, forKey: names[names.count - 1]) != nil {
                    problem = "holds \(names[names.count - 1].quotedForMessage) twice"
                }
            }
        }
        self.names = names
        if let problem { throw .unreadable(path: path, problem: problem) }
    }

    deinit { zip_discard(archive) }

    func holds(_ name: String) -> Bool { indices[name] != nil }

    /// Takes from the budget what is to be allocated.
    func reserve(_ bytes: Int, for entry: String) throws(PyTorchImportError) {
        guard bytes <= budget else {
            throw .archive(
                path: path, entry: entry,
                problem: "would take \(bytes) bytes, more than the \(budget) left for a file of this size")
        }
        budget -= bytes
    }

    /// A whole entry, whose checksum is checked. `size`: the only size that it may have; `limit`: the most.
    func read(_ name: String, size: Int? = nil, limit: Int = .max) throws(PyTorchImportError) -> TensorData {
        guard let index = indices[name] else { throw .archive(path: path, entry: name, problem: "is missing") }
        var status = zip_stat_t()
        let wanted = UInt64(ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD)
        guard zip_stat_index(archive, index, 0, &status) == 0, status.valid & wanted == wanted,
            let count = Int(exactly: status.size)
        else { throw .archive(path: path, entry: name, problem: "cannot be read: " + lastProblem) }
        guard status.encryption_method == 0 else { throw .archive(path: path, entry: name, problem: "is encrypted") }
        guard [ZIP_CM_STORE, ZIP_CM_DEFLATE].contains(Int32(status.comp_method)) else {
            throw .archive(
                path: path, entry: name, problem: "is compressed by method \(status.comp_method), not by deflate")
        }
        if let size, size != count {
            throw .archive(path: path, entry: name, problem: "has \(count) bytes, where its tensors need \(size)")
        }
        guard count <= limit else {
            throw .archive(path: path, entry: name, problem: "has \(count) bytes, the limit is \(limit)")
        }
        try reserve(count, for: name)
        guard let file = zip_fopen_index(archive, index, 0) else {
            throw .archive(path: path, entry: name, problem: "cannot be read: " + lastProblem)
        }
        defer { zip_fclose(file) }
        return try TensorData(count: count) { (target) throws(PyTorchImportError) in
            var done = 0
            while done < count {
                let got = zip_fread(file, target.baseAddress! + done, UInt64(count - done))
                if got <= 0 { throw problem(of: file, name) }
                done += Int(got)
            }
            // Reading on finds the end, and only then is the checksum compared.
            var rest: UInt8 = 0
            guard zip_fread(file, &rest, 1) == 0 else { throw problem(of: file, name) }
        }
    }

    private func problem(of file: OpaquePointer, _ name: String) -> PyTorchImportError {
        let text = zip_file_strerror(file).map { String(cString: $0) } ?? "unknown error"
        return .archive(path: path, entry: name, problem: "cannot be read: " + text)
    }

    private var lastProblem: String { zip_strerror(archive).map { String(cString: $0) } ?? "unknown error" }

    private static func text(_ code: Int32) -> String {
        var error = zip_error_t()
        zip_error_init_with_code(&error, code)
        defer { zip_error_fini(&error) }
        return zip_error_strerror(&error).map { String(cString: $0) } ?? "error \(code)"
    }
}
