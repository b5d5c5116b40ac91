import AlulaGraph

/// CIFAR-10 and CIFAR-100 in the publisher's binary form: labels, then 32 x 32 bytes of red, of green and of blue.
///
/// The publisher has no validation part: `val` is held out of the training files, and `train` is what is left of them.
public struct CIFARDataset: Dataset {
    public enum Variant: Sendable {
        case cifar10
        /// By its 100 fine classes.
        case cifar100

        var labelBytes: Int { self == .cifar10 ? 1 : 2 }
        var classCount: Int { self == .cifar10 ? 10 : 100 }
        var namesFile: String { self == .cifar10 ? "batches.meta.txt" : "fine_label_names.txt" }

        func files(_ split: DataSplit) -> [String] {
            let (train, test) =
                self == .cifar10
                ? ((1...5).map { "data_batch_\($0).bin" }, ["test_batch.bin"]) : (["train.bin"], ["test.bin"])
            switch split {
            case .train, .val: return train
            case .test: return test
            case .all: return train + test
            }
        }
    }

    private static let side = 32
    private static let pixels = side * side

    public let classes: [String]
    public let isMultiLabel = false
    public let count: Int
    private let variant: Variant
    private let files: [(name: String, bytes: Bytes, start: Int)]
    /// The records of the split among those of its files; nil: all.
    private let chosen: [Int]?

    /// - Parameters:
    ///   - folder: Where the publisher's archive was unpacked.
    ///   - holdOut: Which training examples are `val`.
    public init(_ variant: Variant, folder: String, split: DataSplit, holdOut: HoldOut = HoldOut()) throws(DataError) {
        let record = variant.labelBytes + 3 * CIFARDataset.pixels
        var files: [(name: String, bytes: Bytes, start: Int)] = []
        var labels: [Int] = []
        for name in variant.files(split) {
            let path = folder + "/" + name
            let bytes = try DataFiles.bytes(path)
            guard bytes.count > 0, bytes.count % record == 0 else {
                throw DataError(path, "has \(bytes.count) bytes, which is no multiple of a record's \(record)")
            }
            files.append((path, bytes, labels.count))
            for index in 0..<bytes.count / record {
                let label = bytes.withUnsafeBytes { Int($0[index * record + variant.labelBytes - 1]) }
                guard label < variant.classCount else {
                    throw DataError(path, "record \(index) has label \(label) of \(variant.classCount) classes")
                }
                labels.append(label)
            }
        }
        switch split {
        case .train: chosen = holdOut.split(labels).kept
        case .val: chosen = holdOut.split(labels).held
        case .test, .all: chosen = nil
        }
        (self.variant, self.files, count) = (variant, files, chosen?.count ?? labels.count)
        guard count > 0 else {
            throw DataError(
                folder, "has no record left for split '\(split.rawValue)' (\(holdOut.share) of each class are held out)"
            )
        }
        classes = try CIFARDataset.names(variant, folder)
    }

    private static func names(_ variant: Variant, _ folder: String) throws(DataError) -> [String] {
        let path = folder + "/" + variant.namesFile
        guard DataFiles.exists(path) else { return (0..<variant.classCount).map(String.init) }
        let names = try DataFiles.text(path).split(whereSeparator: \.isNewline).map { trimmed($0) }.filter {
            !$0.isEmpty
        }
        guard names.count == variant.classCount else {
            throw DataError(path, "has \(names.count) names, not \(variant.classCount)")
        }
        return names
    }

    private func place(_ index: Int) -> (file: Int, record: Int, offset: Int) {
        let place = chosen?[index] ?? index
        let file = files.lastIndex { $0.start <= place } ?? 0
        let record = place - files[file].start
        return (file, record, record * (variant.labelBytes + 3 * CIFARDataset.pixels))
    }

    public func target(_ index: Int) -> Target {
        let (file, _, offset) = place(index)
        return .class(files[file].bytes.withUnsafeBytes { Int($0[offset + variant.labelBytes - 1]) })
    }

    public func name(_ index: Int) -> String {
        let (file, record, _) = place(index)
        return "\(files[file].name) [\(record)]"
    }

    public func example(_ index: Int) throws(DataError) -> Example {
        let (file, _, offset) = place(index)
        let start = offset + variant.labelBytes
        let pixels = CIFARDataset.pixels
        let bytes = files[file].bytes.withUnsafeBytes { source in
            [UInt8](unsafeUninitializedCapacity: 3 * pixels) { target, initialized in
                for channel in 0..<3 {
                    for pixel in 0..<pixels { target[3 * pixel + channel] = source[start + channel * pixels + pixel] }
                }
                initialized = 3 * pixels
            }
        }
        return .image(Image(uncheckedWidth: CIFARDataset.side, height: CIFARDataset.side, bytes: bytes))
    }
}
