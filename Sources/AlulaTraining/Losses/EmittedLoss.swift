import AlulaGraph

extension Graph {
    /// Appends the loss of `logits[N,classes]`, a value of shape [1].
    ///
    /// Formulations that do not overflow: log softmax as `s - log Σ exp(s)` with s = x - max x; log σ by softplus.
    /// - Parameter constants: gets values whose gradients cancel, and need not be computed.
    package mutating func emit(
        _ loss: Loss, logits: ValueID, targets: ValueID, teacher: ValueID?, constants: inout [ValueID]
    ) throws(TrainingError) -> ValueID {
        let own: ValueID
        switch loss.kind {
        case .crossEntropy: own = try crossEntropy(logits, targets, &constants)
        case .binaryCrossEntropy(let weights, let focus):
            own = try binaryCrossEntropy(logits, targets, weights, focus)
        case .meanSquaredError:
            let difference = try emit(.binary(Binary(.sub)), [logits, targets])
            own = try mean(emit(.binary(Binary(.mul)), [difference, difference]), over: shape(logits).elementCount)
        }
        guard let distillation = loss.distillation, let teacher else { return own }
        let other: ValueID
        switch distillation.kind {
        case .hard:
            let best = try emit(.reduce(Reduce(.maximum, axes: [1], keepsAxes: true)), [teacher])
            other = try crossEntropy(logits, emit(.binary(Binary(.equal)), [teacher, best]), &constants)
        case .soft(let temperature): other = try divergence(logits, from: teacher, temperature, &constants)
        }
        return try emit(
            .binary(Binary(.add)),
            [multiplied(own, 1 - distillation.weight), multiplied(other, distillation.weight)])
    }

    private mutating func multiplied(_ x: ValueID, _ factor: Float) throws(TrainingError) -> ValueID {
        try emit(.binary(Binary(.mul)), [x, addTrainingConstant([1], [factor])])
    }

    /// The sum over all elements, divided by `count`, as shape [1].
    private mutating func mean(_ x: ValueID, over count: Int) throws(TrainingError) -> ValueID {
        let total = try emit(.reduce(Reduce(.sum, axes: Array(0..<shape(x).rank))), [x])
        return try multiplied(emit(.reshape(Reshape([1])), [total]), 1 / Float(count))
    }

    private mutating func logSoftmax(_ x: ValueID, _ constants: inout [ValueID]) throws(TrainingError) -> ValueID {
        let largest = try emit(.reduce(Reduce(.maximum, axes: [1], keepsAxes: true)), [x])
        constants.append(largest)  // the result does not depend on it
        let shifted = try emit(.binary(Binary(.sub)), [x, largest])
        let total = try emit(.reduce(Reduce(.sum, axes: [1], keepsAxes: true)), [emit(.unary(Unary(.exp)), [shifted])])
        return try emit(.binary(Binary(.sub)), [shifted, emit(.unary(Unary(.log)), [total])])
    }

    private mutating func crossEntropy(
        _ logits: ValueID, _ targets: ValueID, _ constants: inout [ValueID]
    ) throws(TrainingError) -> ValueID {
        let product = try emit(.binary(Binary(.mul)), [targets, logSoftmax(logits, &constants)])
        return try mean(emit(.unary(Unary(.negate)), [product]), over: shape(logits)[0])
    }

    private mutating func divergence(
        _ student: ValueID, from teacher: ValueID, _ temperature: Float, _ constants: inout [ValueID]
    ) throws(TrainingError) -> ValueID {
        let known = try logSoftmax(multiplied(teacher, 1 / temperature), &constants)
        let learned = try logSoftmax(multiplied(student, 1 / temperature), &constants)
        let difference = try emit(.binary(Binary(.sub)), [known, learned])
        let product = try emit(.binary(Binary(.mul)), [emit(.unary(Unary(.exp)), [known]), difference])
        return try multiplied(mean(product, over: shape(student)[0]), temperature * temperature)
    }

    private mutating func binaryCrossEntropy(
        _ x: ValueID, _ targets: ValueID, _ weights: [Float]?, _ focus: Float?
    ) throws(TrainingError) -> ValueID {
        // -log σ(x) = softplus(-x), -log(1 - σ(x)) = softplus(x).
        let one = addTrainingConstant([1], [1])
        let negative = try emit(.unary(Unary(.negate)), [x])
        var missed = try emit(.unary(Unary(.softplus)), [negative])
        var invented = try emit(.unary(Unary(.softplus)), [x])
        if let focus, focus > 0 {
            // (1 - p)^γ = exp(γ · log(1 - p)); 1 - p is σ(-x) where the target is 1, σ(x) where it is 0.
            let ease = try emit(.unary(Unary(.exp)), [multiplied(invented, -focus)])
            let opposite = try emit(.unary(Unary(.exp)), [multiplied(missed, -focus)])
            missed = try emit(.binary(Binary(.mul)), [missed, ease])
            invented = try emit(.binary(Binary(.mul)), [invented, opposite])
        }
        if let weights {
            missed = try emit(.binary(Binary(.mul)), [missed, addTrainingConstant([weights.count], weights)])
        }
        let others = try emit(.binary(Binary(.sub)), [one, targets])
        let terms = try emit(
            .binary(Binary(.add)),
            [
                emit(.binary(Binary(.mul)), [targets, missed]),
                emit(.binary(Binary(.mul)), [others, invented]),
            ])
        return try mean(terms, over: shape(x).elementCount)
    }
}
