import AlulaGraph

extension Graph {
    /// The same graph for bytes 0…255 of pictures in place of normalized numbers: the normalization becomes part of the weights and the bias of the
    /// convolution that reads the input, whose padding then holds the bytes that normalize to zero. Exact but for rounding of the weights; in int8
    /// the padding is rounded to whole bytes, at most half a step of a byte away.
    ///
    /// - Parameter normalization: what a byte becomes, `byte · scale + shift`, with a number of each for every channel of the input.
    /// - Throws: `CompilerError.noPixels` where something else than one convolution in one group reads the one input.
    public func takingPixels(_ normalization: (scale: [Double], shift: [Double])) throws(CompilerError) -> Graph {
        let problem = "--pixels needs one input of pictures that one convolution with constant weights reads"
        guard inputs.count == 1, shape(inputs[0]).rank == 4, shape(inputs[0]).last == normalization.scale.count,
            normalization.scale.allSatisfy({ $0 != 0 && $0.isFinite })
        else { throw .noPixels(problem: problem) }
        let users = users()[Int(inputs[0].index)]
        guard users.count == 1, !outputs.contains(inputs[0]), case .conv2D(var conv) = nodes[users[0]].op,
            conv.groups == 1, conv.paddingValues.isEmpty, nodes[users[0]].inputs[WeightedOperand.x] == inputs[0],
            let weights = floats(nodes[users[0]].inputs[WeightedOperand.weight])
        else { throw .noPixels(problem: problem) }

        var editor = GraphEditor(self)
        var operands = nodes[users[0]].inputs
        while operands.count <= WeightedOperand.bias { operands.append(.none) }
        let (weightID, biasID) = (operands[WeightedOperand.weight], operands[WeightedOperand.bias])
        let channels = normalization.scale.count
        let outputs = shape(weightID)[0]
        let depth = weights.count / outputs
        var scaled = weights
        var bias = floats(biasID) ?? [Float](repeating: 0, count: outputs)
        for output in 0..<outputs {
            var sum = Double(bias[output])
            for place in output * depth..<(output + 1) * depth {
                sum += Double(weights[place]) * normalization.shift[place % channels]
                scaled[place] = Float(Double(weights[place]) * normalization.scale[place % channels])
            }
            bias[output] = Float(sum)
        }
        if !conv.padding.isZero {
            conv.paddingValues = (0..<channels).map { Float(-normalization.shift[$0] / normalization.scale[$0]) }
        }
        let name = self[weightID].name
        operands[WeightedOperand.weight] = editor.graph.addFloats(name, shape(weightID), scaled)
        operands[WeightedOperand.bias] = editor.graph.addFloats(
            biasID.isNone ? biasName(forWeight: name) : self[biasID].name, [outputs], bias)
        editor.replace(users[0], .conv2D(conv), operands)
        let result = editor.finished()
        do throws(GraphError) { try result.verify() } catch { throw .graph(error) }
        return result
    }
}
