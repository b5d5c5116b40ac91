/// Where data are and of what kind, as a command line names them: `cifar100:DIR`, `ptbxl:DIR:super` and so on.
public enum DataLocation: Sendable, Equatable {
    case cifar10(String)
    case cifar100(String)
    case images(String)
    case tensors(String)
    case ptbxl(String, PTBXLDataset.Task)
    case wfdb(String)
    case int16(String)

    /// The forms, for help texts.
    public static let forms =
        "cifar10:DIR, cifar100:DIR, images:DIR, tensors:FILE, ptbxl:DIR[:super|sub|rhythm|form|diag|all], wfdb:DIR, i16:DIR"

    /// Nil where the text is of no known form.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        var path = String(text[text.index(after: colon)...])
        guard !path.isEmpty else { return nil }
        switch text[..<colon] {
        case "cifar10": self = .cifar10(path)
        case "cifar100": self = .cifar100(path)
        case "images": self = .images(path)
        case "tensors": self = .tensors(path)
        case "wfdb": self = .wfdb(path)
        case "i16": self = .int16(path)
        case "ptbxl":
            var task = PTBXLDataset.Task.super
            if let mark = path.lastIndex(of: ":") {
                guard let named = PTBXLDataset.Task(rawValue: String(path[path.index(after: mark)...])) else {
                    return nil
                }
                (task, path) = (named, String(path[..<mark]))
            }
            guard !path.isEmpty else { return nil }
            self = .ptbxl(path, task)
        default: return nil
        }
    }

    public var path: String {
        switch self {
        case .cifar10(let path), .cifar100(let path), .images(let path), .tensors(let path), .ptbxl(let path, _),
            .wfdb(let path), .int16(let path):
            path
        }
    }

    /// How a data set is to be read.
    public struct Options: Sendable {
        public var split: DataSplit
        /// The sampling rate that the model wants; the nearest one that a data set offers above it is read.
        public var rate: Double
        /// In percent; see `PTBXLDataset`.
        public var minimumLikelihood: Double
        /// Numbers of one input of the model.
        public var inputLength: Int
        /// What is `val` in data without such a part.
        public var holdOut: HoldOut

        public init(
            split: DataSplit = .all, rate: Double = 100, minimumLikelihood: Double = 0, inputLength: Int = 0,
            holdOut: HoldOut = HoldOut()
        ) {
            (self.split, self.rate, self.holdOut) = (split, rate, holdOut)
            (self.minimumLikelihood, self.inputLength) = (minimumLikelihood, inputLength)
        }
    }

    /// Opens the data set; nil for `tensors`, which are cut into inputs by a model's shape.
    public func open(_ options: Options) throws(DataError) -> (any Dataset)? {
        switch self {
        case .cifar10(let folder):
            try CIFARDataset(.cifar10, folder: folder, split: options.split, holdOut: options.holdOut)
        case .cifar100(let folder):
            try CIFARDataset(.cifar100, folder: folder, split: options.split, holdOut: options.holdOut)
        case .images(let folder): try ImageFolder(folder: folder, split: options.split)
        case .wfdb(let folder): try RecordFolder(folder: folder, split: options.split)
        case .int16(let folder): try Int16Dataset(folder: folder, split: options.split, length: options.inputLength)
        case .ptbxl(let folder, let task):
            try PTBXLDataset(
                folder: folder, task: task, split: options.split, rate: options.rate > 100 ? 500 : 100,
                minimumLikelihood: options.minimumLikelihood)
        case .tensors: nil
        }
    }
}
