import AlulaGraph
import AlulaKernels

/// A kernel call that a session repeats in every run.
struct Step {
    var kernel: alula_kernel
    var arguments: UnsafeRawPointer
    var items: Int
    /// Items are divided between threads in multiples of this.
    var grain: Int
    /// Whether threads meet after the step: not needed before a step that neither reads nor overwrites what this one
    /// writes.
    var endsWithBarrier: Bool

    /// The part of the items that one of `threads` threads computes.
    func range(_ thread: Int, of threads: Int) -> (begin: Int, end: Int) {
        let units = (items + grain - 1) / grain
        return (min(units * thread / threads * grain, items), min(units * (thread + 1) / threads * grain, items))
    }
}

/// A value at its place in memory.
struct BoundValue {
    var id: ValueID
    var type: TensorType
    var address: UnsafeMutableRawPointer

    var shape: Shape { type.shape }
    func pointer<T>(to type: T.Type = T.self) -> UnsafeMutablePointer<T> { address.assumingMemoryBound(to: T.self) }
}

/// Turns nodes into steps: the functions in Kernels/ append them.
struct StepBuilder {
    /// A step whose arguments are not at their final place yet.
    struct Pending {
        var family: KernelFamily
        var argumentOffset: Int
        var items: Int
        var grain: Int
        var endsWithBarrier = true
        /// The node, or the number of nodes for copies of outputs; of a pair that runs as one step, the second.
        var node: Int
        var pair = LayerPair.none
    }

    let graph: Graph
    let kernels: alula_kernel_table
    let threads: Int
    /// By node: how it and the next one run.
    let pairs: [LayerPair]
    private(set) var pending: [Pending] = []
    /// The argument structs of all steps, each on a 16-byte boundary.
    private(set) var arguments: [UInt8] = []
    /// Memory beside the arena: repacked weights, padded vectors, tables.
    private(set) var heap: [Memory] = []
    private(set) var scratchBytes = 0
    /// The node that is being prepared.
    var node = 0
    private var sharedWorkspace: Memory?

    /// Where each value lies, by value index; constants once they are used.
    private var addresses: [UnsafeMutableRawPointer?]
    private var paddingRows: [UnsafeMutableRawPointer?] = Array(repeating: nil, count: 257)
    let paddingRowBytes: Int

    init(
        _ graph: Graph, addresses: [UnsafeMutableRawPointer?], pairs: [LayerPair], kernels: alula_kernel_table,
        threads: Int
    ) {
        self.graph = graph
        self.pairs = pairs
        self.addresses = addresses
        self.kernels = kernels
        self.threads = threads
        paddingRowBytes = StepBuilder.paddingRowBytes(graph)
    }

    var heapBytes: Int { heap.reduce(0) { $0 + $1.count } }

    // MARK: Steps

    /// Appends a call. `parallel`: the step before it belongs to the same node and the two do not depend on each other.
    mutating func append<Arguments: BitwiseCopyable>(
        _ family: KernelFamily, _ arguments: Arguments, items: Int, grain: Int = 1, scratch: Int = 0,
        parallel: Bool = false, pair: LayerPair = .none
    ) throws(RuntimeError) {
        guard family.kernel(in: kernels) != nil else { throw unsupported("this build has no kernel \(family.name)") }
        if parallel, let last = pending.indices.last { pending[last].endsWithBarrier = false }
        while self.arguments.count % 16 != 0 { self.arguments.append(0) }
        // Fewer items than all threads could take in whole grains: smaller grains keep them busy.
        var grain = grain
        while grain > 1, items < grain * threads { grain /= 2 }
        pending.append(
            Pending(
                family: family, argumentOffset: self.arguments.count, items: items, grain: grain, node: node,
                pair: pair))
        withUnsafeBytes(of: arguments) { self.arguments.append(contentsOf: $0) }
        scratchBytes = max(scratchBytes, scratch)
    }

    // MARK: Values

    /// An operand that the operator's shape rule requires.
    mutating func operand(_ node: Node, _ index: Int) throws(RuntimeError) -> BoundValue {
        guard let value = try optionalOperand(node, index) else { throw unsupported("operand \(index) is missing") }
        return value
    }

    mutating func optionalOperand(_ node: Node, _ index: Int) throws(RuntimeError) -> BoundValue? {
        try value(node.input(index))
    }

    /// A value that was computed before, or a constant; nil for `.none`.
    mutating func value(_ id: ValueID) throws(RuntimeError) -> BoundValue? {
        guard !id.isNone else { return nil }
        if let address = addresses[Int(id.index)] { return BoundValue(id: id, type: graph.type(id), address: address) }
        return try bindConstant(id, layout: .plain, byteCount: graph.type(id).byteCount)
    }

    func result(_ node: Node, _ index: Int = 0) throws(RuntimeError) -> BoundValue {
        let id = node.outputs[index]
        guard let address = addresses[Int(id.index)] else { throw unsupported("the result has no memory") }
        return BoundValue(id: id, type: graph.type(id), address: address)
    }

    /// Lets a view of a constant lie where the constant does.
    mutating func bindView(_ view: ValueID, of constant: ValueID) throws(RuntimeError) {
        addresses[Int(view.index)] = try bindConstant(
            constant, layout: .plain, byteCount: graph.type(constant).byteCount
        ).address
    }

    /// A constant's own memory, used in place; copied only if its data are not on a 64-byte boundary.
    mutating func bindConstant(_ id: ValueID, layout: Layout, byteCount: Int) throws(RuntimeError) -> BoundValue {
        let type = graph.type(id)
        if let address = addresses[Int(id.index)] { return BoundValue(id: id, type: type, address: address) }
        let data = try constantData(id, layout: layout, byteCount: byteCount)
        var address = UnsafeMutableRawPointer(mutating: data.baseAddress)
        if !data.isAligned(to: Memory.alignment) {
            address = try allocate(byteCount)
            address.copyMemory(from: data.baseAddress, byteCount: byteCount)
        }
        addresses[Int(id.index)] = address
        return BoundValue(id: id, type: type, address: address)
    }

    /// The data of a constant that must have this layout and at least this many bytes.
    func constantData(_ id: ValueID, layout: Layout, byteCount: Int) throws(RuntimeError) -> TensorData {
        let name = label(id, in: graph)
        guard let constant = graph[id].constant else { throw unsupported("%\(name) is not a constant") }
        guard let data = constant.data else { throw .missingConstant(name: name) }
        guard constant.layout == layout else {
            throw .invalidConstant(name: name, problem: "has layout \(constant.layout.name), not \(layout.name)")
        }
        guard data.count >= byteCount else {
            throw .invalidConstant(name: name, problem: "has \(data.count) bytes of \(byteCount)")
        }
        return data
    }

    // MARK: Memory

    /// Memory of at least this many bytes that a node's steps share among themselves; the next node's steps overwrite it.
    mutating func workspace(_ byteCount: Int) throws(RuntimeError) -> UnsafeMutableRawPointer {
        if let known = sharedWorkspace, known.count >= byteCount { return known.start }
        let memory = try Memory(count: roundUp(max(byteCount, Workspace.byteCount(graph)), Memory.alignment))
        heap.append(memory)
        sharedWorkspace = memory
        return memory.start
    }

    mutating func allocate(_ byteCount: Int) throws(RuntimeError) -> UnsafeMutableRawPointer {
        let memory = try Memory(count: roundUp(byteCount, Memory.alignment))
        heap.append(memory)
        return memory.start
    }

    /// The longest padding row that any convolution reads: its input channels, rounded up, and 64 bytes.
    private static func paddingRowBytes(_ graph: Graph) -> Int {
        var channels = 0
        for node in graph.nodes {
            switch node.op {
            case .conv2D, .linear, .convTranspose2D: channels = max(channels, graph.shape(node.inputs[0]).last)
            default: break
            }
        }
        return roundUp(channels, 4) + 64
    }

    /// Bytes that a convolution reads in the padding of its input: the zero point.
    mutating func paddingRow(zeroPoint: Int32) throws(RuntimeError) -> UnsafePointer<UInt8> {
        let index = Int(zeroPoint)
        if paddingRows[index] == nil {
            let row = try allocate(paddingRowBytes)
            row.initializeMemory(as: UInt8.self, repeating: UInt8(zeroPoint), count: paddingRowBytes)
            paddingRows[index] = row
        }
        return UnsafePointer(paddingRows[index]!.assumingMemoryBound(to: UInt8.self))
    }

    /// The same for a convolution that has numbers of its own for the padding: their u8 forms.
    mutating func paddingRow(_ values: [Float], _ quantization: Quantization) throws(RuntimeError) -> UnsafePointer<
        UInt8
    > {
        guard !values.isEmpty else { return try paddingRow(zeroPoint: quantization.zeroPoint) }
        let row = try allocate(paddingRowBytes).assumingMemoryBound(to: UInt8.self)
        for (channel, value) in values.enumerated() { row[channel] = quantization.number(value) }
        return UnsafePointer(row)
    }

    /// The f32 numbers that a convolution reads in the padding of its input; zeros where it has none of its own.
    mutating func paddingRowF32(_ values: [Float] = []) throws(RuntimeError) -> UnsafePointer<Float> {
        if values.isEmpty, let zeros = paddingRows[256] {
            return UnsafePointer(zeros.assumingMemoryBound(to: Float.self))
        }
        let memory = try allocate(paddingRowBytes * MemoryLayout<Float>.size)
        if values.isEmpty { paddingRows[256] = memory }
        let row = memory.assumingMemoryBound(to: Float.self)
        for (channel, value) in values.enumerated() { row[channel] = value }
        return UnsafePointer(row)
    }

    // MARK: Errors

    /// That the current node cannot be run, and why.
    func unsupported(_ problem: String) -> RuntimeError {
        guard node < graph.nodes.count else { return .graph(.invalidGraph(problem: problem)) }
        let current = graph.nodes[node]
        return .unsupported(operator: current.op.name, value: label(current.outputs[0], in: graph), problem: problem)
    }

    /// That no kernel takes these element types.
    func unsupportedTypes(_ values: BoundValue...) -> RuntimeError {
        var text = "no kernel takes"
        for value in values { text += " " + value.type.dataType.name }
        return unsupported(text)
    }

    /// A u8 value's scale and zero point.
    func quantization(_ value: BoundValue) throws(RuntimeError) -> Quantization {
        guard let quantization = value.type.quantization, quantization.isValid else {
            throw unsupported("%\(label(value.id, in: graph)) has no valid scale and zero point")
        }
        return quantization
    }

    /// Whether all values are of this element type.
    func all(_ type: DataType, _ values: BoundValue...) -> Bool { values.allSatisfy { $0.type.dataType == type } }
}

/// A value's name without `%`, or for nameless values the number that graph text gives them.
func label(_ id: ValueID, in graph: Graph) -> String {
    graph[id].name.isEmpty ? String(printedNumbers(graph)[Int(id.index)]) : graph[id].name
}

/// By value index: the number that graph text gives to a nameless value.
func printedNumbers(_ graph: Graph) -> [Int] {
    var numbers = [Int](repeating: 0, count: graph.values.count)
    var count = 0
    let number = { (id: ValueID) in
        numbers[Int(id.index)] = count
        if graph[id].name.isEmpty { count += 1 }
    }
    for id in graph.inputs { number(id) }
    for node in graph.nodes {
        for id in node.outputs { number(id) }
    }
    return numbers
}
