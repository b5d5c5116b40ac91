import AlulaGraph

// Operators that move elements: their gradients move them back.

extension GradientEmitter {
    mutating func differentiate(_ op: Transpose, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        var inverse = op.permutation
        for (axis, from) in op.permutation.enumerated() { inverse[from] = axis }
        try accumulate(emit(.transpose(Transpose(inverse)), dy), to: node.inputs[0])
    }

    mutating func differentiate(_ op: Slice, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let x = node.inputs[0]
        let size = shape(x)[op.axis]
        if op.step == 1 {
            let zeros = [Int](repeating: 0, count: shape(x).rank)
            var (before, after) = (zeros, zeros)
            (before[op.axis], after[op.axis]) = (op.begin, size - op.end)
            try accumulate(emit(.pad(Pad(before: before, after: after)), dy), to: x)
        } else {
            let indices = (0..<shape(dy)[op.axis]).map { Int32(op.begin + $0 * op.step) }
            let table = TransposedTable(indices, [Float](repeating: 1, count: indices.count), taps: 1, size: size)
            try accumulate(resample(dy, op.axis, table), to: x)
        }
    }

    mutating func differentiate(_ op: Concat, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        var begin = 0
        for x in node.inputs {
            let end = begin + shape(x)[op.axis]
            if needs(x) { try accumulate(emit(.slice(Slice(axis: op.axis, begin: begin, end: end)), dy), to: x) }
            begin = end
        }
    }

    mutating func differentiate(_ op: Split, _ node: Node, _ dy: [ValueID]) throws(TrainingError) {
        var parts: [ValueID] = []
        for (result, gradient) in zip(node.outputs, dy) {
            parts.append(gradient.isNone ? try emit(.expand(Expand(shape(result))), number(0)) : gradient)
        }
        try accumulate(emit(.concat(Concat(axis: op.axis)), parts), to: node.inputs[0])
    }

    mutating func differentiate(_ op: Gather, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let x = node.inputs[0]
        let indices = try constantNumbers(node, 1, of: Int32.self)
        let ones = [Float](repeating: 1, count: indices.count)
        let table = TransposedTable(indices, ones, taps: 1, size: shape(x)[op.axis])
        try accumulate(resample(dy, op.axis, table), to: x)
    }

    mutating func differentiate(_ op: Resample, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        guard !needs(node.inputs[2]) else { throw refuse(node, "its weights are not constant") }
        let (indices, weights) = (
            try constantNumbers(node, 1, of: Int32.self), try constantNumbers(node, 2, of: Float.self)
        )
        let x = node.inputs[0]
        let taps = shape(node.inputs[1])[1]
        try accumulate(
            resample(dy, op.axis, TransposedTable(indices, weights, taps: taps, size: shape(x)[op.axis])), to: x)
    }

    mutating func differentiate(_ op: Roll, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let size = shape(dy)[op.axis]
        let back = ((-op.shift % size) + size) % size
        try accumulate(emit(.roll(Roll(axis: op.axis, shift: back)), dy), to: node.inputs[0])
    }

    mutating func differentiate(_ op: Pad, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let size = shape(node.inputs[0])
        var result = dy
        for axis in size.dimensions.indices where op.before[axis] + op.after[axis] > 0 {
            let begin = op.before[axis]
            result = try emit(.slice(Slice(axis: axis, begin: begin, end: begin + size[axis])), result)
        }
        try accumulate(result, to: node.inputs[0])
    }

    // MARK: Sums of elements that came from the same place

    private mutating func resample(_ x: ValueID, _ axis: Int, _ table: TransposedTable) throws(TrainingError) -> ValueID
    {
        let shape: Shape = [table.indices.count / table.taps, table.taps]
        let indices = graph.addConstant(
            "training.\(graph.values.count)", TensorType(.i32, shape), TensorData(elements: table.indices))
        let weights = graph.addTrainingConstant(shape, table.weights)
        return try emit(.resample(Resample(axis: axis)), x, indices, weights)
    }

    private func constantNumbers<T: BitwiseCopyable>(
        _ node: Node, _ index: Int, of type: T.Type
    ) throws(TrainingError) -> [T] {
        guard let data = graph[node.inputs[index]].constant?.data else {
            throw refuse(node, "its \(node.op.operands[index].name) are not constant")
        }
        return data.array(of: T.self)
    }
}

/// From "element j of the result is Σ weights[j,t] · x[indices[j,t]]" to the same form for the gradient of x.
struct TransposedTable {
    private(set) var taps: Int
    private(set) var indices: [Int32] = []
    private(set) var weights: [Float] = []

    init(_ source: [Int32], _ sourceWeights: [Float], taps sourceTaps: Int, size: Int) {
        var readers = [[(index: Int32, weight: Float)]](repeating: [], count: size)
        for (position, index) in source.enumerated() where sourceWeights[position] != 0 {
            readers[Int(index)].append((Int32(position / sourceTaps), sourceWeights[position]))
        }
        taps = max(1, readers.reduce(0) { max($0, $1.count) })
        for row in readers {
            indices += row.map(\.index) + [Int32](repeating: 0, count: taps - row.count)
            weights += row.map(\.weight) + [Float](repeating: 0, count: taps - row.count)
        }
    }
}
