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
        guard users.count == 1, !outputs.contains(inputs[0]), case let node = nodes[users[0]],
            case .conv2D(var conv) = node.op, conv.groups == 1, conv.paddingValues.isEmpty,
            node.inputs[WeightedOperand.x] == inputs[0], floats(node.inputs[WeightedOperand.weight]) != nil
        else { throw .noPixels(problem: problem) }

        var editor = GraphEditor(self)
        let affine = Affine(scale: normalization.scale, shift: normalization.shift)
        let operands = weightsTaking(affine, node, in: &editor.graph)
        if !conv.padding.isZero { conv.paddingValues = zip(affine.scale, affine.shift).map { Float(-$1 / $0) } }
        editor.replace(users[0], .conv2D(conv), operands)
        let result = editor.finished()
        do throws(GraphError) { try result.verify() } catch { throw .graph(error) }
        return result
    }
}
