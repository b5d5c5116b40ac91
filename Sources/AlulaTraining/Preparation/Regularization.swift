import AlulaGraph

/// An input of a training graph that a generator fills anew for every step: 0 where something is dropped, 1 / (1 - rate) elsewhere.
package struct DropMask: Sendable, Equatable {
    package var input: ValueID
    package var rate: Float
}

extension Graph {
    /// The additions of a branch to what it began with, in order: for each the node, and which of its operands is the branch.
    ///
    /// Found by structure, so that any converted graph has them: an addition of two values of one shape, one of which is computed from the other.
    package func residualBranches() -> [(node: Int, branch: Int)] {
        let producers = self.producers()
        return nodes.indices.compactMap { index in
            let node = nodes[index]
            guard case .binary(let op) = node.op, op.kind == .add, shape(node.inputs[0]) == shape(node.inputs[1]),
                shape(node.inputs[0]).rank > 1, node.inputs.allSatisfy({ self[$0].constant == nil }),
                node.inputs[0] != node.inputs[1]
            else { return nil }
            for (branch, skip) in [(0, 1), (1, 0)] where depends(node.inputs[branch], on: node.inputs[skip], producers)
            {
                return (index, branch)
            }
            return nil
        }
    }

    private func depends(_ id: ValueID, on other: ValueID, _ producers: [Int]) -> Bool {
        let first = producers[Int(other.index)]
        var seen: Set<Int> = []
        var open = [id]
        while let next = open.popLast() {
            if next == other { return true }
            let producer = next.isNone ? -1 : producers[Int(next.index)]
            guard producer > first, seen.insert(producer).inserted else { continue }
            open += nodes[producer].inputs
        }
        return false
    }

    /// With a factor for each sample in front of each residual addition; rates grow linearly from 0 to `rate`.
    package func withStochasticDepth(_ rate: Float, batchSize: Int) throws(TrainingError) -> (Graph, [DropMask]) {
        let branches = residualBranches()
        var copy = try GraphCopy(self)
        var masks: [DropMask] = []
        for (index, node) in nodes.enumerated() {
            guard let place = branches.firstIndex(where: { $0.node == index }), place > 0 else {
                try copy.copy(node)
                continue
            }
            var shape = self.shape(node.inputs[0])
            guard shape[0] == batchSize else {
                throw .invalidOption(
                    name: "stochastic depth",
                    problem: "the branch in front of %\(displayName(node.outputs[0])) is not one row a sample")
            }
            for axis in 1..<shape.rank { shape[axis] = 1 }
            let input = copy.graph.addInput("training.branch.\(place)", TensorType(.f32, shape))
            masks.append(DropMask(input: input, rate: rate * Float(place) / Float(branches.count - 1)))
            var operands = copy.operands(node)
            let branch = branches[place].branch
            operands[branch] = try copy.graph.emit(.binary(Binary(.mul)), [operands[branch], input])
            try copy.add(node.op, operands, for: node)
        }
        return (copy.finished(), masks)
    }

    /// With dropout of the features that the output's last layers read: the linear layers behind which no other layer comes.
    package func withDropout(_ rate: Float, output: ValueID) throws(TrainingError) -> (Graph, [DropMask]) {
        let heads = headLayers(of: output)
        var copy = try GraphCopy(self)
        var masks: [DropMask] = []
        var dropped: [ValueID: ValueID] = [:]
        for (index, node) in nodes.enumerated() {
            guard heads.contains(index) else {
                try copy.copy(node)
                continue
            }
            let x = node.inputs[0]
            if dropped[x] == nil {
                let input = copy.graph.addInput("training.dropout.\(masks.count)", TensorType(.f32, shape(x)))
                masks.append(DropMask(input: input, rate: rate))
                dropped[x] = try copy.graph.emit(.binary(Binary(.mul)), [copy[x], input])
            }
            var operands = copy.operands(node)
            operands[0] = dropped[x]!
            try copy.add(node.op, operands, for: node)
        }
        return (copy.finished(), masks)
    }

    /// The linear layers whose results reach `output` through no other layer.
    package func headLayers(of output: ValueID) -> [Int] {
        let producers = self.producers()
        var result: Set<Int> = []
        var seen: Set<Int> = []
        var open = [output]
        while let next = open.popLast() {
            let producer = next.isNone ? -1 : producers[Int(next.index)]
            guard producer >= 0, seen.insert(producer).inserted else { continue }
            switch nodes[producer].op {
            case .linear: result.insert(producer)
            case .conv2D, .convTranspose2D, .matmul, .attention: break
            default: open += nodes[producer].inputs
            }
        }
        return result.sorted()
    }
}
