import AlulaGraph

/// Reads what `alula-hdf5-reader` sends (`Reader/records.h`). Nothing is believed: every size is checked before memory is taken.
struct RecordReader {
    /// What an attribute of a group lists.
    struct Names {
        enum Role { case layers, weights }
        var group: String
        var role: Role
        var names: [String]
    }

    enum Record {
        case names(Names)
        /// Its bytes follow: `read` must take them before the next record.
        case tensor(path: String, DataType, [Int], byteCount: Int)
    }

    private static let magic = Array("ALULAH5\u{1}".utf8)
    private static let types: [DataType] = [.f32, .f16, .bf16, .f64, .u8, .s8, .i16, .u16, .i32, .u32, .i64, .u64]

    private let process: ReaderProcess
    private let path: String
    private let limits: HDF5Limits
    /// Bytes that tensors may still have.
    private var budget: Int
    private var objects = 0
    private var tensors = 0

    init(_ process: ReaderProcess, path: String, limits: HDF5Limits, budget: Int) throws(HDF5ImportError) {
        (self.process, self.path, self.limits, self.budget) = (process, path, limits, budget)
        guard try bytes(RecordReader.magic.count) == RecordReader.magic else { throw nonsense("another start") }
    }

    /// nil at the end.
    mutating func next() throws(HDF5ImportError) -> Record? {
        switch try bytes(1)[0] {
        case UInt8(ascii: "N"): return .names(try names())
        case UInt8(ascii: "T"): return try tensor()
        case UInt8(ascii: "F"): throw .refused(path: path, object: try text(), problem: try text())
        case UInt8(ascii: "Z"):
            guard try number(4) == tensors else { throw nonsense("another number of tensors") }
            try process.finish()
            return nil
        default: throw nonsense("an unknown record")
        }
    }

    private mutating func names() throws(HDF5ImportError) -> Names {
        let group = try text()
        let role: Names.Role = try bytes(1)[0] == 0 ? .layers : .weights
        let count = try number(4)
        var names: [String] = []
        for _ in 0..<count {
            try countObject()
            names.append(try text())
        }
        return Names(group: group, role: role, names: names)
    }

    private mutating func tensor() throws(HDF5ImportError) -> Record {
        try countObject()
        let name = try text()
        let kind = Int(try bytes(1)[0])
        let rank = Int(try bytes(1)[0])
        guard kind < RecordReader.types.count, rank <= limits.rank else { throw nonsense("an unknown type") }
        let type = RecordReader.types[kind]
        var shape: [Int] = []
        for _ in 0..<rank { shape.append(try number(8)) }
        let count = try number(8)
        guard SafetensorsEntry.byteCount(type, shape) == count else { throw nonsense("a wrong size") }
        guard count <= budget else {
            throw .tensor(
                path: path, name: name,
                problem: "would take \(count) bytes, more than the \(budget) left for a file of this size")
        }
        budget -= count
        tensors += 1
        return .tensor(path: name, type, shape, byteCount: count)
    }

    /// The bytes of a tensor.
    func read(into target: UnsafeMutableRawBufferPointer) throws(HDF5ImportError) { try process.read(into: target) }

    private mutating func countObject() throws(HDF5ImportError) {
        objects += 1
        if objects > 2 * limits.objects { throw nonsense("more than \(limits.objects) objects") }
    }

    private func nonsense(_ what: String) -> HDF5ImportError { .reader(path: path, problem: "sent \(what)") }

    private func bytes(_ count: Int) throws(HDF5ImportError) -> [UInt8] { try process.read(count) }

    private func number(_ width: Int) throws(HDF5ImportError) -> Int {
        let value = try bytes(width).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let number = Int(exactly: value) else { throw nonsense("a number of \(value)") }
        return number
    }

    private func text() throws(HDF5ImportError) -> String {
        let count = try number(4)
        guard count <= limits.nameBytes else { throw nonsense("a text of \(count) bytes") }
        return String(decoding: try bytes(count), as: UTF8.self)
    }
}
