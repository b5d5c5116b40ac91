import AlulaData
import AlulaGraph
import ArgumentParser

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension DataLocation: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension DataSplit: ExpressibleByArgument {}

extension DataLocation {
    /// Opens the data for one model.
    func dataset(
        _ reader: SampleReader, split: DataSplit = .all, minimumLikelihood: Double = 0, holdOut: HoldOut = HoldOut()
    ) throws -> any Dataset {
        let options = Options(
            split: split, rate: reader.rate ?? 100, minimumLikelihood: minimumLikelihood,
            inputLength: reader.inputLength, holdOut: holdOut)
        let dataset: any Dataset
        do throws(DataError) {
            if let opened = try open(options) {
                dataset = opened
            } else {
                dataset = try TensorsDataset(path, reader)
            }
        } catch { throw Failure(error.path, error.cause) }
        guard dataset.count > 0 else { throw Failure(path, "holds no samples") }
        return dataset
    }
}

/// The samples of a `.safetensors` or `.npy` file; labels come from a tensor `labels` with a class a sample, or a row of 0 and 1.
struct TensorsDataset: Dataset {
    let classes: [String]
    let isMultiLabel: Bool
    private let path: String
    private let samples: SampleSet
    private let targets: [Target]

    init(_ path: String, _ reader: SampleReader) throws(DataError) {
        self.path = path
        do {
            samples = try reader.open(path)
            targets = try TensorsDataset.targets(path, count: samples.count)
        } catch { throw DataError(path, TensorsDataset.cause(error)) }
        var (width, isMultiLabel) = (0, false)
        for target in targets {
            switch target {
            case .class(let index): width = max(width, index + 1)
            case .classes(let flags): (width, isMultiLabel) = (flags.count, true)
            case .unlabelled: break
            }
        }
        self.isMultiLabel = isMultiLabel
        classes = (0..<width).map(String.init)
    }

    /// Most classes that a label may name, so that a damaged one does not make that many counters.
    private static let classLimit = 65_536

    private static func targets(_ path: String, count: Int) throws -> [Target] {
        let bytes = try naming(path) { try Bytes(mapping: path) }
        guard FileKind(bytes) == .safetensors else { return [] }
        let file = try naming(path) { try SafetensorsFile(bytes: bytes) }
        guard let entry = file.tensors.first(where: { ["labels", "label"].contains($0.name) }) else { return [] }
        guard let numbers = integers(file.data(of: entry), entry.dataType) else {
            throw Failure(
                nil, "tensor \(entry.name) holds \(entry.dataType.name) numbers, which are not read as labels")
        }
        if entry.shape == [count] {
            return try numbers.map { label in
                guard (0..<classLimit).contains(label) else { throw Failure(nil, "has the label \(label)") }
                return .class(label)
            }
        }
        guard entry.shape.count == 2, entry.shape[0] == count, entry.shape[1] > 0 else {
            throw Failure(
                nil, "tensor \(entry.name) of shape \(Shape(entry.shape).description) does not fit \(count) samples")
        }
        return (0..<count).map { row in
            .classes(numbers[row * entry.shape[1]..<(row + 1) * entry.shape[1]].map { $0 != 0 })
        }
    }

    private static func integers(_ data: TensorData, _ type: DataType) -> [Int]? {
        switch type {
        case .i64: data.array(of: Int64.self).map { Int($0) }
        case .i32: data.array(of: Int32.self).map { Int($0) }
        case .u8, .bool: data.array(of: UInt8.self).map { Int($0) }
        case .f32: data.array(of: Float.self).map { Int(exactly: $0) ?? -1 }
        default: nil
        }
    }

    private static func cause(_ error: any Error) -> String {
        (error as? Failure)?.cause ?? AlulaCommand.cause(of: error)
    }

    var count: Int { samples.count }
    func target(_ index: Int) -> Target { targets.isEmpty ? .unlabelled : targets[index] }
    func name(_ index: Int) -> String { "\(path) [\(index)]" }

    func example(_ index: Int) throws(DataError) -> Example {
        do { return try samples.load(index) } catch { throw DataError(path, TensorsDataset.cause(error)) }
    }
}

func isDirectory(_ path: String) -> Bool {
    var isDirectory = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory
}
