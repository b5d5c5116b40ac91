/// Pictures in a folder: one folder a class, or all in one without labels.
///
/// Where the folder has a folder named like the split (`train`, `val`, `test`), that one is used.
public struct ImageFolder: Dataset {
    public let classes: [String]
    public let isMultiLabel = false
    private let files: [(path: String, label: Int?)]

    public init(folder: String, split: DataSplit = .all) throws(DataError) {
        let part = folder + "/" + split.rawValue
        let root = DataFiles.isFolder(part) ? part : folder
        var files: [(path: String, label: Int?)] = []
        var classes: [String] = []
        for name in try DataFiles.names(in: root) {
            let path = root + "/" + name
            if ImageFolder.isPicture(name) {
                files.append((path, nil))
            } else if DataFiles.isFolder(path) {
                let pictures = try DataFiles.names(in: path).filter(ImageFolder.isPicture)
                if pictures.isEmpty { continue }
                files += pictures.map { (path + "/" + $0, classes.count) }
                classes.append(name)
            }
        }
        guard !files.isEmpty else { throw DataError(root, "holds no .jpg, .jpeg or .png files") }
        // Pictures outside of any class's folder have no label; then none of them counts as labelled.
        self.classes = files.contains { $0.label == nil } ? [] : classes
        self.files = files
    }

    public var count: Int { files.count }
    public func name(_ index: Int) -> String { files[index].path }

    public func target(_ index: Int) -> Target {
        guard !classes.isEmpty, let label = files[index].label else { return .unlabelled }
        return .class(label)
    }

    public func example(_ index: Int) throws(DataError) -> Example {
        do throws(ImageError) { return .image(try Image(contentsOf: files[index].path)) } catch {
            throw DataError(files[index].path, error.description)
        }
    }

    private static func isPicture(_ name: String) -> Bool {
        let name = name.lowercased()
        return [".jpg", ".jpeg", ".png"].contains { name.hasSuffix($0) }
    }
}
