import AlulaGraph

/// The axes of a loop over several tensors: a size, and for each tensor the elements from one index to the next.
struct StridedAxes {
    private(set) var shape: [Int]
    /// By tensor, then by axis.
    private(set) var strides: [[Int]]

    /// At least one axis: a scalar becomes one axis of size 1.
    init(_ shape: [Int], _ strides: [[Int]]) {
        self.shape = shape.isEmpty ? [1] : shape
        self.strides = shape.isEmpty ? strides.map { _ in [0] } : strides
    }

    var rank: Int { shape.count }

    /// Removes axes of size 1 and joins neighbours that all tensors walk as one. The innermost axis stays shorter than
    /// twice `innerLimit` where it can, so that the others remain for threads to divide.
    mutating func merge(innerLimit: Int = .max) {
        for axis in shape.indices.reversed() where shape[axis] == 1 && rank > 1 { remove(axis) }
        var axis = rank - 2
        while axis >= 0 {
            let isInnermost = axis == rank - 2
            let joins = strides.allSatisfy { $0[axis] == $0[axis + 1] * shape[axis + 1] }
            if joins, !isInnermost || shape[axis + 1] < innerLimit {
                shape[axis] *= shape[axis + 1]
                for tensor in strides.indices { strides[tensor][axis] = strides[tensor][axis + 1] }
                remove(axis + 1)
            }
            axis -= 1
        }
    }

    /// Cuts a long only axis in two, as far as its size has a suitable divisor.
    mutating func split(innerLimit: Int) {
        guard rank == 1, shape[0] >= 2 * innerLimit else { return }
        guard let inner = (innerLimit..<2 * innerLimit).first(where: { shape[0] % $0 == 0 }) else { return }
        shape = [shape[0] / inner, inner]
        for tensor in strides.indices { strides[tensor] = [strides[tensor][0] * inner, strides[tensor][0]] }
    }

    private mutating func remove(_ axis: Int) {
        shape.remove(at: axis)
        for tensor in strides.indices { strides[tensor].remove(at: axis) }
    }

    /// Each tensor's first element at one index of all axes but the last.
    func offsets(outerIndex: Int) -> [Int] {
        var rest = outerIndex
        var result = [Int](repeating: 0, count: strides.count)
        for axis in stride(from: rank - 2, through: 0, by: -1) {
            for tensor in strides.indices { result[tensor] += rest % shape[axis] * strides[tensor][axis] }
            rest /= shape[axis]
        }
        return result
    }

    /// The product of all sizes but the last: kernels call them rows.
    var rows: Int { shape.dropLast().reduce(1, *) }

    // Kernels take up to eight axes, in C arrays: tuples in Swift. What follows the last axis is not read.

    var kernelShape: KernelShape {
        (sizeAt(0), sizeAt(1), sizeAt(2), sizeAt(3), sizeAt(4), sizeAt(5), sizeAt(6), sizeAt(7))
    }

    func kernelStrides(_ tensor: Int) -> KernelStrides {
        let at = strides[tensor]
        return (
            strideAt(0, at), strideAt(1, at), strideAt(2, at), strideAt(3, at), strideAt(4, at), strideAt(5, at),
            strideAt(6, at), strideAt(7, at)
        )
    }

    private func sizeAt(_ axis: Int) -> Int32 { axis < rank ? size(shape[axis]) : 1 }
    private func strideAt(_ axis: Int, _ strides: [Int]) -> Int64 { axis < rank ? Int64(strides[axis]) : 0 }
}

typealias KernelShape = (Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32)
typealias KernelStrides = (Int64, Int64, Int64, Int64, Int64, Int64, Int64, Int64)

/// The strides of a dense tensor as an operand whose result has the shape `target`: 0 along repeated and missing axes.
func broadcastStrides(_ shape: Shape, to target: Shape) -> [Int] {
    let dense = shape.strides
    let missing = target.rank - shape.rank
    return target.dimensions.indices.map { axis in
        axis < missing || shape[axis - missing] == 1 ? 0 : dense[axis - missing]
    }
}
