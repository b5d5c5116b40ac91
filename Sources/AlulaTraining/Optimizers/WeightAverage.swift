/// The exponential moving average of weights along the training: a smoother model than the last step's.
package struct WeightAverage {
    package let decay: Float
    /// Updates that were made.
    package private(set) var updates = 0
    /// By tensor, in the order in which they were given.
    package private(set) var values: [[Float]]

    /// - Parameter decay: what is kept at each update; below 1.
    package init(decay: Float, of tensors: [[Float]]) { (self.decay, values) = (decay, tensors) }

    /// Takes up where another run stopped.
    package mutating func restore(updates: Int, values: [[Float]]) {
        precondition(zip(values, self.values).allSatisfy { $0.count == $1.count }, "averages of another model")
        (self.updates, self.values) = (updates, values)
    }

    /// Moves towards the weights as they are now. The first updates keep less, so that the start is soon forgotten:
    /// `min(decay, (1 + n) / (10 + n))` at update n, as TensorFlow's and timm's averages do.
    package mutating func update(_ parameters: [UnsafeBufferPointer<Float>], _ statistics: [[Float]] = []) {
        precondition(parameters.count + statistics.count == values.count, "other tensors than at the start")
        let share = 1 - min(decay, Float(1 + updates) / Float(10 + updates))
        updates += 1
        for (index, parameter) in parameters.enumerated() { move(index, towards: parameter, by: share) }
        for (index, statistic) in statistics.enumerated() {
            statistic.withUnsafeBufferPointer { move(parameters.count + index, towards: $0, by: share) }
        }
    }

    private mutating func move(_ index: Int, towards tensor: UnsafeBufferPointer<Float>, by share: Float) {
        values[index].withUnsafeMutableBufferPointer { average in
            guard let average = average.baseAddress, let current = tensor.baseAddress else { return }
            for place in 0..<tensor.count { average[place] += share * (current[place] - average[place]) }
        }
    }
}
