import AlulaGraph

extension GradientEmitter {
    mutating func differentiate(_ op: Unary, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        guard node.input(1).isNone else { throw refuse(node, "training takes the float graph, not the int8 one") }
        try accumulate(emit(.unaryGradient(UnaryGradient(op)), dy, node.inputs[0]), to: node.inputs[0])
    }

    mutating func differentiateSelect(_ node: Node, _ dy: ValueID) throws(TrainingError) {
        let (condition, a, b) = (node.inputs[0], node.inputs[1], node.inputs[2])
        guard !needs(condition) else { throw refuse(node, "its condition depends on parameters") }
        let zero = number(0)
        if needs(a) { try accumulate(sum(emit(.select(Select()), condition, dy, zero), to: shape(a)), to: a) }
        if needs(b) { try accumulate(sum(emit(.select(Select()), condition, zero, dy), to: shape(b)), to: b) }
    }

    mutating func differentiate(_ op: Binary, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        guard op.activation == nil else { throw refuse(node, "its activation is fused") }
        let (a, b, y) = (node.inputs[0], node.inputs[1], node.outputs[0])
        switch op.kind {
        case .equal, .less, .lessEqual: return  // flat
        case .add:
            try accumulateSum(dy, to: a)
            try accumulateSum(dy, to: b)
        case .sub:
            try accumulateSum(dy, to: a)
            if needs(b) { try accumulate(unary(.negate, sum(dy, to: shape(b))), to: b) }
        case .mul:
            if needs(a) { try accumulateProduct(dy, b, to: a) }
            if needs(b) { try accumulateProduct(dy, a, to: b) }
        case .div:
            if needs(a) { try accumulateSum(binary(.div, dy, b), to: a) }
            if needs(b) { try accumulateSum(unary(.negate, binary(.mul, dy, binary(.div, y, b))), to: b) }
        case .max, .min:
            // Where both are equal, each gets half.
            let (low, high) = op.kind == .max ? (b, a) : (a, b)
            let strictly = try binary(.less, low, high)
            let share = try binary(.add, strictly, scaled(binary(.equal, a, b), 0.5))
            let part = try binary(.mul, dy, share)
            try accumulateSum(part, to: a)
            if needs(b) { try accumulateSum(binary(.sub, dy, part), to: b) }
        case .pow:
            if needs(a) {
                let slope = try binary(.mul, b, binary(.pow, a, binary(.sub, b, number(1))))
                try accumulateSum(binary(.mul, dy, slope), to: a)
            }
            if needs(b) { try accumulateSum(binary(.mul, dy, binary(.mul, y, unary(.log, a))), to: b) }
        case .mod, .fmod:
            // a - b · q, where the whole number q is flat.
            try accumulateSum(dy, to: a)
            guard needs(b) else { return }
            let quotient = try unary(.round, binary(.div, binary(.sub, a, y), b))
            try accumulateSum(unary(.negate, binary(.mul, dy, quotient)), to: b)
        case .prelu:
            let isNegative = try binary(.less, a, number(0))
            if needs(a) {
                try accumulateSum(binary(.mul, dy, emit(.select(Select()), isNegative, b, number(1))), to: a)
            }
            if needs(b) { try accumulateSum(binary(.mul, dy, binary(.min, a, number(0))), to: b) }
        }
    }

    private mutating func accumulateSum(_ x: ValueID, to id: ValueID) throws(TrainingError) {
        guard needs(id) else { return }
        try accumulate(sum(x, to: shape(id)), to: id)
    }

    private mutating func accumulateProduct(_ x: ValueID, _ y: ValueID, to id: ValueID) throws(TrainingError) {
        try accumulate(sumOfProducts(x, y, to: shape(id)), to: id)
    }
}
