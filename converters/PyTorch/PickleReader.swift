import AlulaGraph

/// Reads the pickle that describes a checkpoint's tensors. It executes nothing: a global is one of `PickleGlobal` or an error, and calling
/// one only fills in a description. README.md lists the instructions and globals.
struct PickleReader {
    private let bytes: [UInt8]
    private let limits: PyTorchLimits
    private var position = 0
    /// Where the instruction that is being executed starts.
    private var start = 0
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private var objects = 0

    private(set) var texts: [String] = []
    private(set) var sequences: [[PickleValue]] = []
    private(set) var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    private(set) var storages: [PickledStorage] = []
    private(set) var tensors: [PickledTensor] = []
    private var storageOfKey: [String: Int] = [:]

    init(_ data: TensorData, limits: PyTorchLimits) { (bytes, self.limits) = (data.array(), limits) }

    /// The value that the pickle describes.
    mutating func value() throws(PickleError) -> PickleValue {
        while true {
            start = position
            objects += 1
            guard objects <= limits.pickleObjects else { throw .limit("instructions", limits.pickleObjects) }
            let code = try byte()
            if code == UInt8(ascii: ".") { return try pop() }
            try execute(code)
        }
    }

    private mutating func execute(_ code: UInt8) throws(PickleError) {
        switch code {
        case 0x80:
            let version = try byte()
            guard version <= 5 else { throw malformed("protocol \(version) is not known") }
        case 0x95: _ = try take(8)
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "1"): _ = try popMark()

        case UInt8(ascii: "N"): stack.append(.none)
        case 0x88: stack.append(.bool(true))
        case 0x89: stack.append(.bool(false))
        case UInt8(ascii: "K"): stack.append(.integer(Int(try byte())))
        case UInt8(ascii: "M"): stack.append(.integer(try unsigned(2)))
        case UInt8(ascii: "J"): stack.append(.integer(Int(Int32(truncatingIfNeeded: try unsigned(4)))))
        case 0x8A: try longInteger(Int(try byte()))
        case 0x8B: try longInteger(try unsigned(4))
        case UInt8(ascii: "G"):
            _ = try take(8)
            stack.append(.inert)

        case UInt8(ascii: "X"): try text(try unsigned(4))
        case 0x8C: try text(Int(try byte()))
        case 0x8D: try text(try unsigned(8))
        case UInt8(ascii: "U"): try text(Int(try byte()))
        case UInt8(ascii: "T"): try text(try unsigned(4))
        case UInt8(ascii: "C"): try skipBytes(Int(try byte()))
        case UInt8(ascii: "B"): try skipBytes(try unsigned(4))
        case 0x8E: try skipBytes(try unsigned(8))

        default: try executeOnContainers(code)
        }
    }

    private mutating func executeOnContainers(_ code: UInt8) throws(PickleError) {
        switch code {
        case UInt8(ascii: ")"), UInt8(ascii: "]"): push([])
        case UInt8(ascii: "t"): push(try popMark())
        case 0x85, 0x86, 0x87: push(try pop(Int(code) - 0x84))
        case UInt8(ascii: "}"): pushDictionary()
        case 0x8F: stack.append(.inert)
        case 0x90: _ = try popMark()
        case 0x91:
            _ = try popMark()
            stack.append(.inert)
        case UInt8(ascii: "a"):
            let item = try pop()
            try append([item])
        case UInt8(ascii: "e"): try append(try popMark())
        case UInt8(ascii: "s"): try insert(try pop(2))
        case UInt8(ascii: "u"): try insert(try popMark())

        case UInt8(ascii: "q"): memo[Int(try byte())] = try top()
        case UInt8(ascii: "r"): memo[try unsigned(4)] = try top()
        case 0x94: memo[memo.count] = try top()
        case UInt8(ascii: "h"): try recall(Int(try byte()))
        case UInt8(ascii: "j"): try recall(try unsigned(4))

        case UInt8(ascii: "c"): try global(module: try line(), name: try line())
        case 0x93:
            let names = try pop(2)
            guard case .text(let module) = names[0], case .text(let name) = names[1] else {
                throw malformed("a global without names")
            }
            try global(module: texts[module], name: texts[name])
        case UInt8(ascii: "R"), 0x81:
            let operands = try pop(2)
            stack.append(try call(operands[0], arguments: operands[1]))
        case UInt8(ascii: "b"):
            // Attributes of an object: of an OrderedDict, the versions of its modules; of options, everything. Never of a tensor.
            _ = try pop()
            switch try top() {
            case .dictionary, .inert: break
            default: throw malformed("attributes of something that has none")
            }
        case UInt8(ascii: "Q"): try persistent(try pop())
        default: throw .forbiddenOpcode(code, offset: start)
        }
    }

    // MARK: Bytes

    private func malformed(_ problem: String) -> PickleError { .malformed(problem, offset: start) }

    private mutating func take(_ count: Int) throws(PickleError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= bytes.count - position else { throw .truncated(offset: start) }
        defer { position += count }
        return bytes[position..<position + count]
    }

    private mutating func byte() throws(PickleError) -> UInt8 { try take(1).first! }

    /// A little-endian number; what does not fit an `Int` is negative, which no count may be.
    private mutating func unsigned(_ count: Int) throws(PickleError) -> Int {
        Int(truncatingIfNeeded: try take(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    private mutating func line() throws(PickleError) -> String {
        let rest = bytes[position...]
        guard let end = rest.prefix(1024).firstIndex(of: UInt8(ascii: "\n")) else {
            throw malformed("a name without an end")
        }
        let text = String(decoding: bytes[position..<end], as: UTF8.self)
        position = end + 1
        return text
    }

    private mutating func text(_ count: Int) throws(PickleError) {
        let raw = try take(count)
        // Two times four bytes of surrogates, as Python may write them, are repaired: no name of a tensor has them.
        stack.append(.text(texts.count))
        texts.append(String(decoding: raw, as: UTF8.self))
    }

    private mutating func skipBytes(_ count: Int) throws(PickleError) {
        _ = try take(count)
        stack.append(.inert)
    }

    /// Two's complement, least byte first. Numbers beyond 64 bits are seeds of random generators.
    private mutating func longInteger(_ count: Int) throws(PickleError) {
        let raw = try take(count)
        guard count <= 8 else { return stack.append(.inert) }
        var value = raw.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if count > 0, count < 8, raw.last! & 0x80 != 0 { value |= UInt64.max << UInt64(8 * count) }
        stack.append(.integer(Int(truncatingIfNeeded: value)))
    }

    // MARK: Stack

    /// Values below the last mark belong to whatever the mark will close.
    private var available: Int { stack.count - (marks.last ?? 0) }

    private mutating func pop() throws(PickleError) -> PickleValue {
        guard available > 0 else { throw malformed("an instruction without operands") }
        return stack.removeLast()
    }

    private mutating func pop(_ count: Int) throws(PickleError) -> [PickleValue] {
        guard available >= count else { throw malformed("an instruction without operands") }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private func top() throws(PickleError) -> PickleValue {
        guard available > 0, let last = stack.last else { throw malformed("an instruction without operands") }
        return last
    }

    private mutating func popMark() throws(PickleError) -> [PickleValue] {
        guard let mark = marks.popLast() else { throw malformed("a container without a start") }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private mutating func recall(_ index: Int) throws(PickleError) {
        guard let value = memo[index] else { throw malformed("value \(index) is not known") }
        stack.append(value)
    }

    // MARK: Containers

    private mutating func push(_ items: [PickleValue]) {
        stack.append(.sequence(sequences.count))
        sequences.append(items)
    }

    private mutating func pushDictionary() {
        stack.append(.dictionary(dictionaries.count))
        dictionaries.append([])
    }

    private mutating func append(_ items: [PickleValue]) throws(PickleError) {
        switch try top() {
        case .sequence(let index): sequences[index] += items
        case .inert: break
        default: throw malformed("items for something that is no list")
        }
    }

    private mutating func insert(_ items: [PickleValue]) throws(PickleError) {
        guard items.count % 2 == 0 else { throw malformed("a key without a value") }
        switch try top() {
        case .dictionary(let index):
            for pair in 0..<items.count / 2 { dictionaries[index].append((items[2 * pair], items[2 * pair + 1])) }
        case .inert: break
        default: throw malformed("entries for something that is no table")
        }
    }

    // MARK: Globals

    private mutating func global(module: String, name: String) throws(PickleError) {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw .forbiddenGlobal(module: module, name: name)
        }
        stack.append(.global(global))
    }

    private mutating func call(_ function: PickleValue, arguments: PickleValue) throws(PickleError) -> PickleValue {
        guard case .sequence(let index) = arguments else { throw malformed("a call without arguments") }
        let arguments = sequences[index]
        guard case .global(let global) = function else { throw malformed("a call of something that is no function") }
        switch global {
        case .inert: return .inert
        case .defaultDictionary:
            dictionaries.append([])
        case .dictionary:
            dictionaries.append([])
            if case .sequence(let list)? = arguments.first {
                dictionaries[dictionaries.count - 1] = try pairs(sequences[list])
            }
        case .rebuildTensor: return try tensor(arguments, dataType: nil)
        case .rebuildTypedTensor:
            guard arguments.count > 6, case .global(.dataType(let type)) = arguments[6] else {
                throw malformed("a tensor without an element type")
            }
            return try tensor(arguments, dataType: type)
        case .rebuildParameter:
            guard case .tensor? = arguments.first else { throw malformed("a parameter without a tensor") }
            return arguments[0]
        case .storage, .dataType: throw malformed("a call of something that is no function")
        }
        return .dictionary(dictionaries.count - 1)
    }

    private func pairs(_ list: [PickleValue]) throws(PickleError) -> [(key: PickleValue, value: PickleValue)] {
        var pairs: [(key: PickleValue, value: PickleValue)] = []
        for item in list {
            guard case .sequence(let index) = item, sequences[index].count == 2 else {
                throw malformed("a key without a value")
            }
            pairs.append((sequences[index][0], sequences[index][1]))
        }
        return pairs
    }

    /// `('storage', type, key, device, count)`: a file of the archive.
    private mutating func persistent(_ identifier: PickleValue) throws(PickleError) {
        guard case .sequence(let index) = identifier, sequences[index].count >= 5,
            case .text(let kind) = sequences[index][0], texts[kind] == "storage",
            case .global(.storage(let type)) = sequences[index][1],
            case .text(let key) = sequences[index][2], case .integer(let count) = sequences[index][4], count >= 0
        else { throw malformed("a reference to something that is no storage") }
        let storage = PickledStorage(key: texts[key], dataType: type, count: count)
        if let known = storageOfKey[storage.key] {
            guard storages[known] == storage else {
                throw malformed("storage \(storage.key.quotedForMessage) has two types")
            }
            return stack.append(.storage(known))
        }
        storageOfKey[storage.key] = storages.count
        stack.append(.storage(storages.count))
        storages.append(storage)
    }

    private mutating func tensor(_ arguments: [PickleValue], dataType: DataType?) throws(PickleError) -> PickleValue {
        guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
            case .sequence(let sizes) = arguments[2], case .sequence(let steps) = arguments[3],
            let type = dataType ?? storages[storage].dataType
        else { throw malformed("a tensor without a storage, an offset, a shape and strides") }
        let (shape, strides) = (try integers(sizes), try integers(steps))
        guard shape.count == strides.count, offset >= 0 else {
            throw malformed("a tensor whose shape does not fit its strides")
        }
        guard shape.count <= limits.rank else { throw .limit("axes in a tensor", limits.rank) }
        tensors.append(PickledTensor(storage: storage, dataType: type, offset: offset, shape: shape, strides: strides))
        return .tensor(tensors.count - 1)
    }

    /// Sizes or strides. The list may be long and shared by many tensors: one beyond the rank is not read.
    private func integers(_ sequence: Int) throws(PickleError) -> [Int] {
        var integers: [Int] = []
        for item in sequences[sequence].prefix(limits.rank + 1) {
            guard case .integer(let value) = item, value >= 0 else { throw malformed("a size that is no number") }
            integers.append(value)
        }
        return integers
    }
}
