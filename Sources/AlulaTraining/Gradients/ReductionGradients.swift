import AlulaGraph

// Pools and reductions.

extension GradientEmitter {
    mutating func differentiate(_ op: Pool, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        try accumulate(poolGradient(op, dy, of: node.inputs[0]), to: node.inputs[0])
    }

    private mutating func poolGradient(_ op: Pool, _ dy: ValueID, of x: ValueID) throws(TrainingError) -> ValueID {
        let gradient = PoolGradient(op, size: Pair(shape(x)[1], shape(x)[2]))
        return try emit(.poolGradient(gradient), op.kind == .average ? [dy] : [dy, x])
    }

    /// y = x + s · (average(x) - x).
    mutating func differentiate(_ op: PoolMixer, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let (x, scale) = (node.inputs[0], node.input(PoolMixer.scale))
        guard !scale.isNone else { throw refuse(node, "training takes the float graph, not the int8 one") }
        let pool = Pool(.average, kernel: Pair(op.size), stride: Pair(1), padding: Padding(op.size / 2))
        if needs(scale) {
            let mixed = try binary(.sub, emit(.pool(pool), x), x)
            try accumulate(sumOfProducts(dy, mixed, to: shape(scale)), to: scale)
        }
        guard needs(x) else { return }
        let branch = try binary(.mul, dy, scale)
        let pooled = try poolGradient(pool, branch, of: x)
        try accumulate(binary(.add, binary(.sub, dy, branch), pooled), to: x)
    }

    mutating func differentiate(_ op: Reduce, _ node: Node, _ dy: ValueID) throws(TrainingError) {
        let x = node.inputs[0]
        var kept = shape(x)
        for axis in op.axes { kept[axis] = 1 }
        let count = Float(op.axes.reduce(1) { $0 * shape(x)[$1] })
        let spread = try reshape(dy, kept)
        switch op.kind {
        case .sum: try accumulate(emit(.expand(Expand(shape(x))), spread), to: x)
        case .mean: try accumulate(emit(.expand(Expand(shape(x))), scaled(spread, 1 / count)), to: x)
        case .maximum, .minimum:
            // Equal ones share it.
            let isBest = try binary(.equal, x, reshape(node.outputs[0], kept))
            let winners = try emit(.reduce(Reduce(.sum, axes: op.axes, keepsAxes: true)), isBest)
            try accumulate(binary(.mul, isBest, binary(.div, spread, winners)), to: x)
        case .product: try accumulate(binary(.mul, spread, productOfOthers(x, op.axes)), to: x)
        }
    }

    /// For each element the product of all others along the axes, right where some are 0.
    private mutating func productOfOthers(_ x: ValueID, _ axes: [Int]) throws(TrainingError) -> ValueID {
        let (zero, one) = (number(0), number(1))
        let isZero = try binary(.equal, x, zero)
        let zeros = try emit(.reduce(Reduce(.sum, axes: axes, keepsAxes: true)), isZero)
        let withoutZeros = try emit(.select(Select()), isZero, one, x)
        let product = try emit(.reduce(Reduce(.product, axes: axes, keepsAxes: true)), withoutZeros)
        // An element's others hold a zero unless it is the only one, or there is none.
        let othersWithZero = try binary(.sub, zeros, isZero)
        return try emit(.select(Select()), othersWithZero, zero, binary(.div, product, withoutZeros))
    }

    mutating func differentiateChannelSum(_ node: Node, _ dy: ValueID) throws(TrainingError) {
        let (a, b) = (node.inputs[0], node.input(1))
        let spread = try emit(.expand(Expand(shape(a))), dy)
        guard !b.isNone else { return try accumulate(spread, to: a) }
        if needs(a) { try accumulate(binary(.mul, spread, b), to: a) }
        if needs(b) { try accumulate(binary(.mul, spread, a), to: b) }
    }
}
