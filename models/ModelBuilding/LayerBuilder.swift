import AlulaGraph

/// Appends layers with weights from a checkpoint to a float graph: image layers over N,H,W,C, weights converted from PyTorch's order.
package struct LayerBuilder<Name: ParameterName> {
    package var graph = Graph()
    package var weights: WeightReader<Name>
    /// Constants by name, so that layers may share weights.
    private var constants: [String: ValueID] = [:]

    package init(_ weights: WeightReader<Name>) { self.weights = weights }

    package mutating func add(
        _ op: Operator, _ inputs: [ValueID], name: String = ""
    ) throws(ModelError) -> ValueID {
        do { return try graph.add(op, inputs, name: name) } catch { throw .graph(error) }
    }

    // MARK: Constants

    /// A tensor of the checkpoint, `shape` there, as a constant of shape `stored` (default: the same), its numbers rearranged by `convert`.
    package mutating func constant(
        _ name: Name, _ kind: TensorSpecification.Kind, _ shape: [Int], stored: Shape? = nil,
        _ convert: (TensorData) -> TensorData = { $0 }
    ) -> ValueID {
        if let known = constants[name.canonical] { return known }
        let type = TensorType(.f32, stored ?? Shape(shape))
        let id = graph.addConstant(name.canonical, type, weights.floats(name, kind, shape).map(convert))
        constants[name.canonical] = id
        return id
    }

    /// A table of positions that follows from the configuration; layers share one of the same name.
    package mutating func indices(_ name: String, _ values: [Int]) -> ValueID {
        if let known = constants[name] { return known }
        let id = graph.addConstant(
            name, TensorType(.i32, [values.count]), TensorData(elements: values.map { Int32($0) }))
        constants[name] = id
        return id
    }

    package mutating func vector(_ name: Name, _ kind: TensorSpecification.Kind, _ count: Int) -> ValueID {
        constant(name, kind, [count])
    }

    // MARK: Layers

    /// A convolution with bias. `op.groups` is 1 or the number of channels (depthwise).
    package mutating func convolution(
        _ x: ValueID, _ name: Name, to width: Int, kernel: Int, _ op: Conv2D = Conv2D(), resultName: String = ""
    ) throws(ModelError) -> ValueID {
        let depth = graph.shape(x).last / max(1, op.groups)
        return try convolution(
            x, name, [width, depth, kernel, kernel], Pair(kernel), op, resultName: resultName)
    }

    /// A convolution along the width of an image of one row; its weights are [out, in, size].
    package mutating func convolution1D(
        _ x: ValueID, _ name: Name, to width: Int, kernel: Int, _ op: Conv2D = Conv2D()
    ) throws(ModelError) -> ValueID {
        try convolution(x, name, [width, graph.shape(x).last, kernel], Pair(1, kernel), op)
    }

    private mutating func convolution(
        _ x: ValueID, _ name: Name, _ shape: [Int], _ kernel: Pair, _ op: Conv2D, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        let taps = kernel.height * kernel.width
        let weight = constant(
            name + "weight", .convolutionWeight, shape, stored: [shape[0], kernel.height, kernel.width, shape[1]]
        ) { channelsLast($0, outputs: shape[0], inputs: shape[1], taps: taps) }
        let bias = vector(name + "bias", .convolutionBias, shape[0])
        return try add(.conv2D(op), [x, weight, bias], name: resultName)
    }

    /// A depthwise transposed convolution whose kernel is its stride: every pixel becomes a square of pixels.
    package mutating func depthwiseSpread(_ x: ValueID, _ name: Name, rate: Int) throws(ModelError) -> ValueID {
        let width = graph.shape(x).last
        // One input and output channel a group: [C, 1, r, r] and [C, r, r, 1] hold their numbers in the same order.
        let weight = constant(
            name + "weight", .convolutionWeight, [width, 1, rate, rate], stored: [width, rate, rate, 1])
        let op = ConvTranspose2D(stride: Pair(rate), groups: width)
        return try add(.convTranspose2D(op), [x, weight, vector(name + "bias", .convolutionBias, width)])
    }

    package mutating func linear(
        _ x: ValueID, _ name: Name, to width: Int, hasBias: Bool = true, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        var operands = [x, constant(name + "weight", .linearWeight, [width, graph.shape(x).last])]
        if hasBias { operands.append(vector(name + "bias", .bias, width)) }
        return try add(.linear(Linear()), operands, name: resultName)
    }

    package mutating func batchNorm(
        _ x: ValueID, _ name: Name, epsilon: Float, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        let width = graph.shape(x).last
        weights.ignore(name + "num_batches_tracked", .batchCount, [], reason: "counts training steps only")
        let operands = [
            x, vector(name + "weight", .normGamma, width), vector(name + "bias", .normBeta, width),
            vector(name + "running_mean", .runningMean, width),
            vector(name + "running_var", .runningVariance, width),
        ]
        return try add(.batchNorm(BatchNorm(epsilon: epsilon)), operands, name: resultName)
    }

    package mutating func layerNorm(
        _ x: ValueID, _ name: Name, epsilon: Float, resultName: String = ""
    ) throws(ModelError) -> ValueID {
        let width = graph.shape(x).last
        let operands = [x, vector(name + "weight", .normGamma, width), vector(name + "bias", .normBeta, width)]
        return try add(.layerNorm(LayerNorm(epsilon: epsilon)), operands, name: resultName)
    }

    /// `x + fc2(act(fc1(x')))`'s inner part: two linear layers with a function between them.
    package mutating func perceptron(
        _ x: ValueID, _ first: Name, _ second: Name, hidden: Int, _ function: UnaryFunction
    ) throws(ModelError) -> ValueID {
        let width = graph.shape(x).last
        let inner = try add(.unary(Unary(function)), [linear(x, first, to: hidden)])
        return try linear(inner, second, to: width)
    }

    package mutating func sum(_ a: ValueID, _ b: ValueID, name: String = "") throws(ModelError) -> ValueID {
        try add(.binary(Binary(.add)), [a, b], name: name)
    }
}

/// From [outputs, inputs, taps], PyTorch's order, to [outputs, taps, inputs].
private func channelsLast(_ data: TensorData, outputs: Int, inputs: Int, taps: Int) -> TensorData {
    if taps == 1 || inputs == 1 { return data }
    return data.withElements(of: Float.self) { source in
        TensorData(count: data.count) { bytes in
            let target = bytes.assumingMemoryBound(to: Float.self)
            for output in 0..<outputs {
                for input in 0..<inputs {
                    for tap in 0..<taps {
                        target[(output * taps + tap) * inputs + input] =
                            source[(output * inputs + input) * taps + tap]
                    }
                }
            }
        }
    }
}
