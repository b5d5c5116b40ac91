import AlulaCompiler
import AlulaGraph
import ArgumentParser

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The value of `--calibrate`: `images:DIR` or `tensors:FILE.safetensors`.
enum DataSource: ExpressibleByArgument, Equatable {
    case images(String)
    case tensors(String)

    init?(argument: String) {
        guard let colon = argument.firstIndex(of: ":") else { return nil }
        let path = String(argument[argument.index(after: colon)...])
        guard !path.isEmpty else { return nil }
        switch argument[..<colon] {
        case "images": self = .images(path)
        case "tensors": self = .tensors(path)
        default: return nil
        }
    }

    var path: String {
        switch self {
        case .images(let path), .tensors(let path): path
        }
    }

    /// Loaders of at most `count` samples, chosen by `seed` among all of them when there are more; in the order of the data.
    func samples(_ reader: SampleReader, count: Int, seed: UInt64) throws -> [() throws -> Sample] {
        switch self {
        case .images(let directory):
            let files = try DataSource.pictures(in: directory)
            guard !files.isEmpty else { throw Failure(directory, "holds no .jpg, .jpeg or .png files") }
            return DataSource.choice(of: files.count, count, seed: seed).map { index in
                { try reader.open(files[index]).load(0) }
            }
        case .tensors(let file):
            let set = try reader.open(file)
            guard set.count > 0 else { throw Failure(file, "holds no samples") }
            return DataSource.choice(of: set.count, count, seed: seed).map { index in
                { try naming(file) { try set.load(index) } }
            }
        }
    }

    /// `count` indices below `total` in ascending order, drawn without replacement.
    static func choice(of total: Int, _ count: Int, seed: UInt64) -> [Int] {
        guard count < total else { return Array(0..<total) }
        var random = SplitMix64(seed: seed)
        var indices = Array(0..<total)
        for place in 0..<count {
            indices.swapAt(place, place + Int(random.next() % UInt64(total - place)))
        }
        return indices.prefix(count).sorted()
    }

    /// Pictures in a folder and in its folders, one level deep, sorted by name, so that the choice does not depend on the file system.
    private static func pictures(in directory: String) throws -> [String] {
        var files: [String] = []
        for name in try entries(of: directory) {
            let path = directory + "/" + name
            if isPicture(name) {
                files.append(path)
            } else if isDirectory(path) {
                files += try entries(of: path).filter(isPicture).map { path + "/" + $0 }
            }
        }
        return files
    }

    private static func entries(of directory: String) throws -> [String] {
        guard isDirectory(directory) else { throw Failure(directory, "is not a folder, or does not exist") }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory).sorted {
                $0.utf8.lexicographicallyPrecedes($1.utf8)
            }
        } catch { throw Failure(directory, "cannot be listed") }
    }

    private static func isPicture(_ name: String) -> Bool {
        let name = name.lowercased()
        return !name.hasPrefix(".") && [".jpg", ".jpeg", ".png"].contains { name.hasSuffix($0) }
    }
}

func isDirectory(_ path: String) -> Bool {
    var isDirectory = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory
}
