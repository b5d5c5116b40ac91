import AlulaGraph

extension Graph {
    /// The graph with last layers for another number of classes.
    ///
    /// The last layers are the linear layers behind which no other layer comes: all of them where a model averages several heads. Weights are drawn uniformly from
    /// `±1/√inputs`, PyTorch's bound for linear layers, by `seed`; biases are 0. Names stay.
    /// - Parameter output: the output whose heads are replaced; nil: the first.
    public func withNewHead(classes: Int, output: String? = nil, seed: UInt64) throws(TrainingError) -> Graph {
        guard (1...1 << 20).contains(classes) else {
            throw .invalidOption(name: "classes", problem: "\(classes) is not within 1...1048576")
        }
        guard let id = output.map({ name in outputs.first { self[$0].name == name } }) ?? outputs.first else {
            throw .wrongOutput(name: output ?? "", problem: "is not an output of the model")
        }
        let heads = headLayers(of: id)
        guard !heads.isEmpty else {
            throw .wrongOutput(name: displayName(id), problem: "does not come from linear layers")
        }
        var replaced = self
        var random = SplitMix64(seed: seed)
        for index in heads {
            let (weight, bias) = (nodes[index].inputs[1], nodes[index].input(WeightedOperand.bias))
            guard self[weight].constant != nil, bias.isNone || self[bias].constant != nil else {
                throw .wrongOutput(name: displayName(id), problem: "comes from layers whose weights are computed")
            }
            let inputs = shape(weight)[1]
            let bound = 1 / Float(inputs).squareRoot()
            // 24 bits are what an f32 in 0..<1 holds.
            let numbers = (0..<classes * inputs).map { _ in (Float(random.next() >> 40) * 0x1p-23 - 1) * bound }
            replaced[weight].type.shape = [classes, inputs]
            replaced[weight].constant?.data = TensorData(elements: numbers)
            guard !bias.isNone else { continue }
            replaced[bias].type.shape = [classes]
            replaced[bias].constant?.data = TensorData(elements: [Float](repeating: 0, count: classes))
        }
        // Shapes behind the heads follow.
        var copy = try GraphCopy(replaced)
        for node in replaced.nodes { try copy.copy(node) }
        return copy.finished()
    }
}
