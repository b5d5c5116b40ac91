import AlulaGraph
import Foundation

/// Reads pretrained weights from a PyTorch checkpoint: the zip archive that `torch.save` writes since version 1.6, with a state dict at the top
/// or where training scripts keep it. Nothing in the file is executed.
public enum PyTorchImporter {
    /// The start of a checkpoint from before version 1.6: a pickled number.
    static let legacyMagic: [UInt8] = [
        0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
    ]

    /// The tensors of a checkpoint under their own names, without what wrappers put in front, and notes for a person.
    public static func checkpoint(
        at path: String, limits: PyTorchLimits = .default
    ) throws(PyTorchImportError) -> (checkpoint: Checkpoint, notes: [String]) {
        let size = try regularFileSize(path)
        let start = FileHandle(forReadingAtPath: path).flatMap { try? $0.read(upToCount: legacyMagic.count) } ?? Data()
        if start.first == 0x80 { throw .legacy(path: path) }
        let archive = try ZipArchive(path: path, limits: limits, budget: limits.budget(fileBytes: size))
        return try ArchivedCheckpoint(archive, path: path, limits: limits).checkpoint()
    }

    /// Pipes and devices are not waited for.
    private static func regularFileSize(_ path: String) throws(PyTorchImportError) -> Int {
        do { return try Bytes(mapping: path).count } catch { throw .unreadable(path: path, problem: error.message) }
    }
}

/// One open archive on the way to a checkpoint.
private struct ArchivedCheckpoint {
    private let archive: ZipArchive
    private let path: String
    private let limits: PyTorchLimits
    /// What every name in the archive starts with.
    private let folder: String
    private let pickle: PickleReader
    private let state: StateDictionary
    private let isBigEndian: Bool

    init(_ archive: ZipArchive, path: String, limits: PyTorchLimits) throws(PyTorchImportError) {
        (self.archive, self.path, self.limits) = (archive, path, limits)
        let suffix = "/data.pkl"
        let found = archive.names.filter { $0.hasSuffix(suffix) && $0.filter { $0 == "/" }.count == 1 }
        guard let name = found.first, found.count == 1 else { throw .notACheckpoint(path: path) }
        folder = String(name.dropLast(suffix.count))
        if archive.holds(folder + "/constants.pkl") { throw .torchScript(path: path) }
        let data = try archive.read(name, limit: limits.pickleBytes)
        var reader = PickleReader(data, limits: limits)
        let root: PickleValue
        do { root = try reader.value() } catch { throw .pickle(path: path, error) }
        guard let state = StateDictionary(root, reader) else { throw .noTensors(path: path) }
        (pickle, self.state) = (reader, state)
        isBigEndian = try ArchivedCheckpoint.isBigEndian(archive, folder + "/byteorder")
    }

    private static func isBigEndian(_ archive: ZipArchive, _ name: String) throws(PyTorchImportError) -> Bool {
        guard archive.holds(name) else { return false }
        return try archive.read(name, limit: 16).array(of: UInt8.self) == Array("big".utf8)
    }

    func checkpoint() throws(PyTorchImportError) -> (checkpoint: Checkpoint, notes: [String]) {
        var checkpoint = Checkpoint()
        var loaded: [Int: TensorData] = [:]
        for (name, index) in state.tensors {
            guard name.utf8.count <= limits.nameBytes else {
                throw .tensor(
                    path: path, name: name,
                    problem: "has a name of \(name.utf8.count) bytes, the limit is \(limits.nameBytes)")
            }
            let tensor = pickle.tensors[index]
            let count = try elementCount(tensor, name)
            let storage: TensorData
            if let known = loaded[tensor.storage] { storage = known } else { storage = try load(tensor.storage) }
            loaded[tensor.storage] = storage
            let data = try view(tensor, count, of: storage, name)
            do { try checkpoint.add(CheckpointTensor(name, tensor.dataType, tensor.shape, data)) } catch {
                throw .tensor(path: path, name: name, problem: error.message)
            }
        }
        var notes: [String] = []
        if let key = state.key, !state.otherKeys.isEmpty {
            notes.append("the weights are those under \(key); not used: \(state.otherKeys.joined(separator: ", "))")
        }
        return (checkpoint, notes)
    }

    /// A whole storage, in the machine's byte order.
    private func load(_ index: Int) throws(PyTorchImportError) -> TensorData {
        let storage = pickle.storages[index]
        let name = folder + "/data/" + storage.key
        let (size, overflow) = storage.count.multipliedReportingOverflow(by: storage.dataType?.size ?? 1)
        if overflow { throw .archive(path: path, entry: name, problem: "would have \(storage.count) elements") }
        let data = try archive.read(name, size: size)
        guard isBigEndian, let width = storage.dataType?.size, width > 1 else { return data }
        return data.withUnsafeBytes { source in
            TensorData(count: size) { target in
                for place in 0..<size { target[place] = source[place / width * width + (width - 1 - place % width)] }
            }
        }
    }

    /// Elements of a tensor, all of which lie in its storage.
    private func elementCount(_ tensor: PickledTensor, _ name: String) throws(PyTorchImportError) -> Int {
        let storage = pickle.storages[tensor.storage]
        // A storage without a type counts bytes.
        let available = storage.dataType == nil ? storage.count / tensor.dataType.size : storage.count
        guard storage.dataType == nil || storage.dataType == tensor.dataType else {
            throw .tensor(path: path, name: name, problem: "has another element type than its storage")
        }
        if tensor.shape.contains(0) { return 0 }
        var (count, last, isTooLarge) = (1, tensor.offset, false)
        for (size, stride) in zip(tensor.shape, tensor.strides) {
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            let (reach, reachOverflow) = (size - 1).multipliedReportingOverflow(by: stride)
            let (sum, sumOverflow) = last.addingReportingOverflow(reach)
            isTooLarge = isTooLarge || overflow || reachOverflow || sumOverflow
            (count, last) = (product, sum)
        }
        guard !isTooLarge, last < available, !count.multipliedReportingOverflow(by: tensor.dataType.size).overflow
        else {
            throw .tensor(
                path: path, name: name,
                problem:
                    "of shape \(Shape(tensor.shape).description) reaches beyond its storage of \(available) elements")
        }
        return count
    }

    /// The elements in row-major order: the storage's own bytes where they lie so, else a gathered copy.
    private func view(
        _ tensor: PickledTensor, _ count: Int, of storage: TensorData, _ name: String
    ) throws(PyTorchImportError) -> TensorData {
        let width = tensor.dataType.size
        if count == 0 { return TensorData(elements: [UInt8]()) }
        if tensor.isDense {
            return TensorData(
                storage.storage,
                storage.offset + tensor.offset * width..<storage.offset + (tensor.offset + count) * width)
        }
        try archive.reserve(count * width, for: name)
        var index = [Int](repeating: 0, count: tensor.shape.count)
        return storage.withUnsafeBytes { source in
            TensorData(count: count * width) { target in
                var place = tensor.offset
                for element in 0..<count {
                    for byte in 0..<width { target[element * width + byte] = source[place * width + byte] }
                    for axis in tensor.shape.indices.reversed() {
                        if index[axis] + 1 < tensor.shape[axis] {
                            index[axis] += 1
                            place += tensor.strides[axis]
                            break
                        }
                        place -= tensor.strides[axis] * index[axis]
                        index[axis] = 0
                    }
                }
            }
        }
    }
}

extension PickledTensor {
    /// Whether the elements follow each other in row-major order.
    fileprivate var isDense: Bool {
        var step = 1
        for axis in shape.indices.reversed() where shape[axis] > 1 {
            if strides[axis] != step { return false }
            step *= shape[axis]
        }
        return true
    }
}
