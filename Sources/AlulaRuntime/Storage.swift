import AlulaGraph

/// Which values share a buffer, and when each buffer's content matters.
struct Storage {
    enum Place: Equatable {
        /// A constant's own data; a view of a constant names the constant.
        case constant(Int)
        case buffer(Int)
        /// Memory of the caller's, by its position in the list.
        case external(Int)
        /// No memory: the value exists in kernels' scratch only, a tile at a time.
        case scratch
    }

    /// By value index.
    private(set) var places: [Place]
    private(set) var buffers: [PlannedBuffer] = []
    /// Graph outputs by position: the buffer that holds each one after a run.
    private(set) var outputs: [Place] = []
    /// Outputs that must be copied after the last node, since their value is an input's or a constant's.
    private(set) var copiedOutputs: [(value: ValueID, place: Place)] = []

    /// By node: how it and the next one run.
    let pairs: [LayerPair]
    private var lastUses: [Int]
    private var holdsInput: [Bool] = []
    private let sharesMemory: Bool
    /// By value index: the position among the caller's values, or -1.
    private var externalPlaces: [Int]

    /// `sharesMemory: false` gives every result (other than views) memory of its own for the whole run.
    init(_ graph: Graph, sharesMemory: Bool, external: [ValueID] = []) {
        externalPlaces = [Int](repeating: -1, count: graph.values.count)
        for (index, id) in external.enumerated() { externalPlaces[Int(id.index)] = index }
        Storage.moveThroughViews(graph, &externalPlaces)
        self.sharesMemory = sharesMemory
        places = [Place](repeating: .constant(-1), count: graph.values.count)
        pairs = sharesMemory ? layerPairs(graph) : [LayerPair](repeating: .none, count: graph.nodes.count)
        lastUses = Storage.lastUses(graph)
        for (index, node) in graph.nodes.enumerated() where pairs[index] != .none {
            // The pair runs where its second node stands, and reads the first one's input then.
            for id in node.inputs where !id.isNone { lastUses[Int(id.index)] = max(lastUses[Int(id.index)], index + 1) }
        }
        for index in graph.values.indices where graph.values[index].constant != nil { places[index] = .constant(index) }
        for id in graph.inputs { addMemory(graph, id, first: -1, holdsInput: true) }
        for index in graph.nodes.indices { place(graph, index) }
        for id in graph.outputs { placeOutput(graph, id) }
        if !sharesMemory {
            for index in buffers.indices { (buffers[index].first, buffers[index].last) = (-1, graph.nodes.count) }
        }
    }

    /// An output that is a view of a result that nobody else reads: that result lies in the caller's memory, so that it need not be copied there.
    private static func moveThroughViews(_ graph: Graph, _ places: inout [Int]) {
        var readers = [Int](repeating: 0, count: graph.values.count)
        for node in graph.nodes { for id in node.inputs where !id.isNone { readers[Int(id.index)] += 1 } }
        for id in graph.outputs + graph.inputs { readers[Int(id.index)] += 2 }
        for node in graph.nodes.reversed() where isView(graph, node) {
            let (operand, result) = (Int(node.inputs[0].index), Int(node.outputs[0].index))
            guard places[result] >= 0, places[operand] < 0, readers[operand] == 1,
                graph.values[operand].constant == nil
            else { continue }
            places[operand] = places[result]
        }
    }

    subscript(id: ValueID) -> Place { places[Int(id.index)] }

    /// By value index: the last node that reads the value, the number of nodes for outputs, -1 for values that nothing
    /// reads.
    private static func lastUses(_ graph: Graph) -> [Int] {
        var result = [Int](repeating: -1, count: graph.values.count)
        for (index, node) in graph.nodes.enumerated() {
            for id in node.inputs where !id.isNone { result[Int(id.index)] = index }
        }
        for id in graph.outputs { result[Int(id.index)] = graph.nodes.count }
        return result
    }

    private mutating func addMemory(_ graph: Graph, _ id: ValueID, first: Int, holdsInput: Bool = false) {
        let external = externalPlaces[Int(id.index)]
        if external >= 0 {
            places[Int(id.index)] = .external(external)
        } else {
            addBuffer(graph, id, first: first, holdsInput: holdsInput)
        }
    }

    private mutating func addBuffer(_ graph: Graph, _ id: ValueID, first: Int, holdsInput: Bool = false) {
        places[Int(id.index)] = .buffer(buffers.count)
        buffers.append(
            PlannedBuffer(size: graph.type(id).byteCount, first: first, last: max(first, lastUses[Int(id.index)])))
        self.holdsInput.append(holdsInput)
    }

    private mutating func place(_ graph: Graph, _ index: Int) {
        let node = graph.nodes[index]
        if pairs[index] != .none {
            places[Int(node.outputs[0].index)] = .scratch
            return
        }
        if isView(graph, node) {
            share(node.inputs[0], with: node.outputs[0])
            return
        }
        var results = node.outputs[...]
        if sharesMemory, externalPlaces[Int(node.outputs[0].index)] < 0,
            let operand = inPlaceOperand(graph, node, at: index)
        {
            share(operand, with: node.outputs[0])
            if case .buffer(let buffer) = self[operand] { holdsInput[buffer] = false }
            results = results.dropFirst()
        }
        for id in results { addMemory(graph, id, first: index) }
    }

    /// `result` lies where `operand` does, and the buffer lives on for it.
    private mutating func share(_ operand: ValueID, with result: ValueID) {
        let place = self[operand]
        places[Int(result.index)] = place
        if case .buffer(let buffer) = place {
            buffers[buffer].last = max(buffers[buffer].last, lastUses[Int(result.index)])
        }
    }

    private mutating func placeOutput(_ graph: Graph, _ id: ValueID) {
        let external = externalPlaces[Int(id.index)]
        if external >= 0, !graph.inputs.contains(id) {
            outputs.append(.external(external))
            // A view lies where its operand does.
            if self[id] != .external(external) { copiedOutputs.append((id, .external(external))) }
            return
        }
        if case .buffer(let buffer) = self[id], !holdsInput[buffer] {
            outputs.append(self[id])
            return
        }
        let end = graph.nodes.count
        outputs.append(.buffer(buffers.count))
        copiedOutputs.append((id, .buffer(buffers.count)))
        buffers.append(PlannedBuffer(size: graph.type(id).byteCount, first: end, last: end))
        holdsInput.append(false)
    }

    // MARK: In place

    /// The operand whose memory the node's result may take over: it is not needed later, and the kernel reads an
    /// element of it only before it writes the same element.
    private func inPlaceOperand(_ graph: Graph, _ node: Node, at index: Int) -> ValueID? {
        switch node.op {
        case .unary, .requantize, .batchNorm, .layerNorm, .unaryGradient, .batchNormGradient, .layerNormGradient:
            return isFree(graph, node, 0, at: index) ? node.inputs[0] : nil
        case .binary:
            for operand in 0..<2 where isFree(graph, node, operand, at: index) {
                // The other operand may be the same memory only if it is read at the same places.
                let other = node.inputs[1 - operand]
                if self[other] != self[node.inputs[operand]] || graph.shape(other) == graph.shape(node.outputs[0]) {
                    return node.inputs[operand]
                }
            }
            return nil
        case .conv2D, .linear:
            let residual = WeightedOperand.residual
            let pair = index > 0 ? pairs[index - 1] : .none
            if pair == .rowwise, node.input(residual).isNone {
                let first = graph.nodes[index - 1]
                return isFree(graph, of: first.inputs[0], for: node, at: index) ? first.inputs[0] : nil
            }
            guard isFree(graph, node, residual, at: index) else { return nil }
            // Rows of the first one's input are needed after the result's rows at their place.
            if pair == .spatial, self[graph.nodes[index - 1].inputs[0]] == self[node.input(residual)] { return nil }
            for operand in 0..<residual where !node.input(operand).isNone {
                if self[node.input(operand)] == self[node.input(residual)] { return nil }
            }
            return node.input(residual)
        default:
            return nil
        }
    }

    /// Whether an operand has the result's size and its buffer's content is not needed after this node.
    private func isFree(_ graph: Graph, _ node: Node, _ operand: Int, at index: Int) -> Bool {
        isFree(graph, of: node.input(operand), for: node, at: index)
    }

    private func isFree(_ graph: Graph, of id: ValueID, for node: Node, at index: Int) -> Bool {
        guard !id.isNone, case .buffer(let buffer) = self[id], buffers[buffer].last <= index else { return false }
        let (type, result) = (graph.type(id), graph.type(node.outputs[0]))
        return type.dataType == result.dataType && type.shape == result.shape
            && buffers[buffer].size == result.byteCount
    }
}

/// Whether the node's result is its operand's bytes under another shape, so that it needs neither a step nor memory.
func isView(_ graph: Graph, _ node: Node) -> Bool {
    switch node.op {
    case .reshape: return true
    case .transpose(let op):
        // Moving axes of size 1 moves no element.
        let shape = graph.shape(node.inputs[0])
        let moved = op.permutation.filter { shape[$0] != 1 }
        return moved == moved.sorted()
    default: return false
    }
}
