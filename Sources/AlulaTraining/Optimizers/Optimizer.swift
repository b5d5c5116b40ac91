/// How parameters follow their gradients. Updates are those of `torch.optim` with the same names and defaults.
package final class Optimizer {
    package enum Method: String, CaseIterable, Sendable {
        /// Stochastic gradient descent with momentum (Sutskever et al., ICML 2013). Weight decay is added to the gradient.
        case sgd
        /// Kingma and Ba, ICLR 2015. Weight decay is added to the gradient.
        case adam
        /// Loshchilov and Hutter, ICLR 2019: weight decay apart from the gradient.
        case adamw

        /// How many numbers are kept for each parameter.
        var slotCount: Int { self == .sgd ? 1 : 2 }
    }

    package struct Options: Sendable, Equatable {
        package var method = Method.adamw
        /// Of SGD.
        package var momentum: Float = 0.9
        package var nesterov = false
        /// Decay of the gradient's and of its square's running mean, for Adam and AdamW.
        package var beta1: Float = 0.9
        package var beta2: Float = 0.999
        package var epsilon: Float = 1e-8
        package var weightDecay: Float = 0.01

        package init() {}
    }

    package let options: Options
    /// Steps that were made.
    package private(set) var steps = 0
    /// The method's running means, of the gradient, then of its square, for each parameter.
    private let means: [[UnsafeMutableBufferPointer<Float>]]
    private let rateScales: [Float]
    private let decays: [Bool]

    /// - Parameter rateScales: for each parameter, its share of the rate; see `LayerDecay`. All 1 when nil.
    package init(_ options: Options, for parameters: [ParameterBuffer], rateScales: [Float]? = nil) {
        self.options = options
        self.rateScales = rateScales ?? Array(repeating: 1, count: parameters.count)
        precondition(self.rateScales.count == parameters.count, "a parameter without a rate")
        decays = parameters.map(\.decays)
        means = (0..<options.method.slotCount).map { _ in
            parameters.map { parameter in
                let mean = UnsafeMutableBufferPointer<Float>.allocate(capacity: parameter.values.count)
                mean.initialize(repeating: 0)
                return mean
            }
        }
    }

    deinit { for mean in means.joined() { mean.deallocate() } }

    /// The method's running means, of the gradient, then of its square, for each parameter.
    package var slots: [[[Float]]] { means.map { $0.map(Array.init) } }

    /// Takes up where another run stopped.
    ///
    /// - Parameter slots: as this type's `slots` were, of the same sizes.
    package func restore(steps: Int, slots: [[[Float]]]) {
        precondition(slots.count == means.count, "running means of another method")
        for (mean, values) in zip(means.joined(), slots.joined()) {
            precondition(mean.count == values.count, "running means of another model")
            _ = mean.update(fromContentsOf: values)
        }
        self.steps = steps
    }

    /// Moves every parameter by its gradient.
    ///
    /// - Parameter gradientScale: what gradients are multiplied by first, as clipping asks.
    package func step(_ parameters: [ParameterBuffer], rate: Float, gradientScale: Float = 1) {
        precondition(parameters.count == decays.count, "other parameters than at the start")
        steps += 1
        for (index, parameter) in parameters.enumerated() {
            let update = Update(
                count: parameter.values.count, rate: rate * rateScales[index],
                decay: decays[index] ? options.weightDecay : 0, scale: gradientScale, isFirst: steps == 1)
            switch options.method {
            case .sgd: sgd(update, parameter, means[0][index])
            case .adam, .adamw: adam(update, parameter, means[0][index], means[1][index])
            }
        }
    }

    private struct Update {
        var count: Int
        var rate: Float
        var decay: Float
        var scale: Float
        var isFirst: Bool
    }

    private func sgd(_ update: Update, _ parameter: ParameterBuffer, _ momentum: UnsafeMutableBufferPointer<Float>) {
        guard let values = parameter.values.baseAddress, let gradient = parameter.gradient.baseAddress,
            let buffer = momentum.baseAddress
        else { return }
        // The first step takes the gradient itself, as PyTorch's does.
        let (kept, nesterov) = (update.isFirst ? 0 : options.momentum, options.nesterov ? options.momentum : 0)
        let own: Float = options.nesterov ? 1 : 0
        let (rate, decay, scale) = (update.rate, update.decay, update.scale)
        for place in 0..<update.count {
            let slope = gradient[place] * scale + decay * values[place]
            let moved = kept * buffer[place] + slope
            buffer[place] = moved
            values[place] -= rate * (own * slope + (own > 0 ? nesterov : 1) * moved)
        }
    }

    private func adam(
        _ update: Update, _ parameter: ParameterBuffer, _ mean: UnsafeMutableBufferPointer<Float>,
        _ square: UnsafeMutableBufferPointer<Float>
    ) {
        guard let values = parameter.values.baseAddress, let gradient = parameter.gradient.baseAddress,
            let first = mean.baseAddress, let second = square.baseAddress
        else { return }
        let (beta1, beta2, epsilon, scale) = (options.beta1, options.beta2, options.epsilon, update.scale)
        // Powers in double precision, as PyTorch has them.
        let correction1 = 1 - Optimizer.power(Double(beta1), steps)
        let correction2 = 1 - Optimizer.power(Double(beta2), steps)
        let stepSize = Float(Double(update.rate) / correction1)
        let root = Float(1 / correction2.squareRoot())
        let isDecoupled = options.method == .adamw
        let added = isDecoupled ? 0 : update.decay
        let shrunk = isDecoupled ? 1 - update.rate * update.decay : 1
        let (gain1, gain2) = (1 - beta1, 1 - beta2)
        // Eight at a time: left alone, the compiler makes this loop of single numbers, which takes twice as long.
        typealias Lanes = SIMD8<Float>
        let whole = update.count / Lanes.scalarCount * Lanes.scalarCount
        for place in stride(from: 0, to: whole, by: Lanes.scalarCount) {
            func load(_ start: UnsafeMutablePointer<Float>) -> Lanes {
                UnsafeRawPointer(start + place).loadUnaligned(as: Lanes.self)
            }
            func store(_ lanes: Lanes, _ start: UnsafeMutablePointer<Float>) {
                UnsafeMutableRawPointer(start + place).storeBytes(of: lanes, as: Lanes.self)
            }
            let value = load(values) * shrunk
            let slope = load(gradient) * scale + added * value
            let old = load(first)
            let direction = old + gain1 * (slope - old)
            let size = beta2 * load(second) + gain2 * slope * slope
            store(direction, first)
            store(size, second)
            store(value - stepSize * direction / (size.squareRoot() * root + epsilon), values)
        }
        for place in whole..<update.count {
            let value = values[place] * shrunk
            let slope = gradient[place] * scale + added * value
            let direction = first[place] + gain1 * (slope - first[place])
            let size = beta2 * second[place] + gain2 * slope * slope
            first[place] = direction
            second[place] = size
            values[place] = value - stepSize * direction / (size.squareRoot() * root + epsilon)
        }
    }

    private static func power(_ base: Double, _ exponent: Int) -> Double {
        var (result, factor, rest) = (1.0, base, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result *= factor }
            factor *= factor
            rest >>= 1
        }
        return result
    }
}
