import AlulaGraph
import Foundation

/// Reads pretrained weights from HDF5, as Keras writes it: weights of a model (`tf_model.h5`) or a whole model. Names and layouts become PyTorch's.
///
/// The file is read by `alula-hdf5-reader`, a process of its own with limits on memory, time and files, because libhdf5 is not made for hostile files.
public enum HDF5Importer {
    public static func checkpoint(
        at path: String, limits: HDF5Limits = .default
    ) throws(HDF5ImportError) -> Checkpoint {
        try checkpoint(at: path, limits: limits, reader: .program(ReaderProcess.program))
    }

    /// With another reader, for tests of what a damaged one may do.
    package static func checkpoint(
        at path: String, limits: HDF5Limits = .default, reader: HDF5ReaderStart
    ) throws(HDF5ImportError) -> Checkpoint {
        let size: Int
        // Pipes and devices are not waited for.
        do { size = try Bytes(mapping: path).count } catch { throw .unreadable(path: path, problem: error.message) }
        let budget = limits.budget(fileBytes: size)
        let process = try ReaderProcess(
            reading: path, start: reader, budget: budget, seconds: limits.processorSeconds(fileBytes: size),
            silence: limits.silence)
        var records = try RecordReader(process, path: path, limits: limits, budget: budget)
        var checkpoint = Checkpoint()
        var listed: [(group: String, names: [String])] = []
        var layers: [String]?
        var paths: Set<String> = []
        let scratch = Scratch()
        while let record = try records.next() {
            switch record {
            case .names(let names) where names.role == .layers: layers = (layers ?? []) + names.names
            case .names(let names): listed.append((names.group, names.names))
            case .tensor(let name, let type, let shape, let count):
                if isUnnamed(name) { throw .unnamedVariables(path: path) }
                paths.insert(name)
                // A file of Keras has a group a layer, whose name the weights' own names repeat.
                let target = KerasLayout.target(layers == nil ? name : withoutGroup(name), shape)
                let data = try self.data(records, count, target.order, type, scratch)
                do { try checkpoint.add(CheckpointTensor(target.name, type, target.shape, data)) } catch {
                    throw .tensor(path: path, name: name, problem: error.message)
                }
            }
        }
        for (group, names) in listed {
            let prefix = group.isEmpty ? "" : group + "/"
            if let name = names.first(where: { !paths.contains(prefix + $0) }) {
                throw .missing(path: path, name: prefix + name)
            }
        }
        if checkpoint.tensors.isEmpty { throw .noTensors(path: path) }
        return checkpoint
    }

    private static func data(
        _ records: RecordReader, _ count: Int, _ order: KerasLayout.Order?, _ type: DataType, _ scratch: Scratch
    ) throws(HDF5ImportError) -> TensorData {
        guard let order, count > 0 else {
            return try TensorData(count: count) { (target) throws(HDF5ImportError) in try records.read(into: target) }
        }
        let bytes = scratch.memory(count)
        try records.read(into: bytes)
        return KerasLayout.moved(UnsafeRawBufferPointer(bytes), order, type)
    }

    /// Memory for one tensor in Keras's order, used again and again: freed blocks between those that stay would be lost.
    private final class Scratch {
        private var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)

        func memory(_ count: Int) -> UnsafeMutableRawBufferPointer {
            if storage.count < count {
                storage.deallocate()
                storage = .allocate(byteCount: count, alignment: 64)
            }
            return UnsafeMutableRawBufferPointer(rebasing: storage[..<count])
        }

        deinit { storage.deallocate() }
    }

    private static func withoutGroup(_ path: String) -> String {
        guard let slash = path.firstIndex(of: "/") else { return path }
        return String(path[path.index(after: slash)...])
    }

    /// `layers/dense/vars/0`: Keras 3.
    private static func isUnnamed(_ path: String) -> Bool {
        let parts = path.split(separator: "/")
        return parts.count > 1 && parts[parts.count - 2] == "vars" && parts[parts.count - 1].allSatisfy(\.isNumber)
    }
}
