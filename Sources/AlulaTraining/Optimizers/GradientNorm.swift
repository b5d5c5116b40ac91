/// The size of gradients, for clipping and for finding where training went wrong.
package enum GradientNorm {
    /// The Euclidean norm of all gradients together; not a number or infinite where one of them is.
    package static func value(_ parameters: [ParameterBuffer]) -> Double {
        parameters.reduce(0.0) { $0 + squares($1.gradient) }.squareRoot()
    }

    /// What gradients of the given norm are multiplied by so that it is at most `limit`, as `torch.nn.utils.clip_grad_norm_`.
    package static func scale(norm: Double, limit: Double) -> Float {
        limit > 0 ? Float(min(1, limit / (norm + 1e-6))) : 1
    }

    /// The sum of squares, in sixteen lanes of single precision over short stretches, these in double precision: always in the same order.
    static func squares(_ values: UnsafeMutableBufferPointer<Float>) -> Double {
        guard let start = values.baseAddress else { return 0 }
        let (lanes, stretch) = (16, 4096)
        var total = 0.0
        var place = 0
        while place + lanes <= values.count {
            let end = min(values.count, place + stretch)
            var sums = SIMD16<Float>()
            while place + lanes <= end {
                let part = UnsafeRawPointer(start + place).loadUnaligned(as: SIMD16<Float>.self)
                sums += part * part
                place += lanes
            }
            total += Double(sums.sum())
        }
        while place < values.count {
            total += Double(start[place]) * Double(start[place])
            place += 1
        }
        return total
    }
}
