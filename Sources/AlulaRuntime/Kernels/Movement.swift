import AlulaGraph
import AlulaKernels

/// A copy of `shape` elements between two places, strides counted in elements.
struct StridedCopy {
    let arguments: alula_copy_args
    let items: Int

    init(
        input: UnsafeRawPointer, inputStrides: [Int], output: UnsafeMutableRawPointer, outputStrides: [Int],
        shape: [Int], elementBytes: Int
    ) {
        var axes = StridedAxes(shape, [inputStrides, outputStrides])
        axes.merge(innerLimit: elementGrain)
        axes.split(innerLimit: elementGrain)
        arguments = alula_copy_args(
            input: input, output: output, element_bytes: size(elementBytes), rank: size(axes.rank),
            shape: axes.kernelShape, in_strides: axes.kernelStrides(0), out_strides: axes.kernelStrides(1))
        items = axes.rows
    }
}

extension StepBuilder {
    /// Moved elements keep their type, and u8 numbers their meaning.
    private func checkSameElements(_ x: BoundValue, _ result: BoundValue) throws(RuntimeError) {
        guard x.type.dataType == result.type.dataType, x.type.quantization == result.type.quantization else {
            throw unsupported("the result's element type or quantization differs from the operand's")
        }
    }

    /// Appends a copy of `shape` elements between two places, offsets and strides counted in elements.
    private mutating func appendCopy(
        from source: BoundValue, offset sourceOffset: Int = 0, strides sourceStrides: [Int],
        to target: BoundValue, at targetOffset: Int = 0, strides targetStrides: [Int], shape: [Int],
        parallel: Bool = false
    ) throws(RuntimeError) {
        let bytes = source.type.dataType.size
        let copy = StridedCopy(
            input: UnsafeRawPointer(source.address + sourceOffset * bytes), inputStrides: sourceStrides,
            output: target.address + targetOffset * bytes, outputStrides: targetStrides, shape: shape,
            elementBytes: bytes)
        try append(copy, parallel: parallel)
    }

    mutating func append(_ copy: StridedCopy, parallel: Bool = false) throws(RuntimeError) {
        try append(.copy, copy.arguments, items: copy.items, parallel: parallel)
    }

    /// Copies a whole value: an output that is an input or a constant.
    mutating func appendCopy(_ source: BoundValue, to target: BoundValue) throws(RuntimeError) {
        try appendCopy(
            from: source, strides: source.shape.strides, to: target, strides: source.shape.strides,
            shape: source.shape.dimensions)
    }

    mutating func bind(_ op: Transpose, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        try checkSameElements(x, result)
        let strides = x.shape.strides
        try appendCopy(
            from: x, strides: op.permutation.map { strides[$0] }, to: result, strides: result.shape.strides,
            shape: result.shape.dimensions)
    }

    mutating func bind(_ op: Slice, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        try checkSameElements(x, result)
        var strides = x.shape.strides
        let offset = op.begin * strides[op.axis]
        strides[op.axis] *= op.step
        try appendCopy(
            from: x, offset: offset, strides: strides, to: result, strides: result.shape.strides,
            shape: result.shape.dimensions)
    }

    mutating func bind(_ op: Concat, _ node: Node) throws(RuntimeError) {
        let result = try result(node)
        let strides = result.shape.strides
        var position = 0
        for index in node.inputs.indices {
            let x = try operand(node, index)
            try checkSameElements(x, result)
            try appendCopy(
                from: x, strides: x.shape.strides, to: result, at: position * strides[op.axis], strides: strides,
                shape: x.shape.dimensions, parallel: index > 0)
            position += x.shape[op.axis]
        }
    }

    mutating func bind(_ op: Split, _ node: Node) throws(RuntimeError) {
        let x = try operand(node, 0)
        let strides = x.shape.strides
        var position = 0
        for index in node.outputs.indices {
            let part = try result(node, index)
            try checkSameElements(x, part)
            try appendCopy(
                from: x, offset: position * strides[op.axis], strides: strides, to: part, strides: part.shape.strides,
                shape: part.shape.dimensions, parallel: index > 0)
            position += part.shape[op.axis]
        }
    }

    mutating func bind(_ op: Gather, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        try checkSameElements(x, result)
        let outer = x.shape.count(0..<op.axis)
        let count = result.shape[op.axis]
        let arguments = alula_gather_args(
            input: UnsafeRawPointer(x.address), index: try checkedIndices(node.inputs[1], of: op.axis, x),
            output: result.address, element_bytes: size(x.type.dataType.size), outer: size(outer),
            n: size(x.shape[op.axis]), inner: size(x.shape.count(op.axis + 1..<x.shape.rank)), count: size(count))
        try append(.gather, arguments, items: outer * count)
    }

    /// Constant i32 indices, each within an axis of `x`.
    mutating func checkedIndices(_ id: ValueID, of axis: Int, _ x: BoundValue) throws(RuntimeError)
        -> UnsafePointer<Int32>
    {
        let count = graph.shape(id).elementCount
        guard graph.type(id).dataType == .i32 else { throw unsupported("indices are not i32") }
        let byteCount = count * MemoryLayout<Int32>.size
        let data = try constantData(id, layout: .plain, byteCount: byteCount)
        for position in 0..<count {
            let index = Int(data.load(position, as: Int32.self))
            guard index >= 0, index < x.shape[axis] else {
                throw .invalidConstant(
                    name: label(id, in: graph),
                    problem: "index \(index) is outside of axis \(axis) of \(x.shape.description)")
            }
        }
        return UnsafePointer(try bindConstant(id, layout: .plain, byteCount: byteCount).pointer())
    }

    /// The elements that stay in order, and those that wrap around.
    mutating func bind(_ op: Roll, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        try checkSameElements(x, result)
        let strides = x.shape.strides
        let count = x.shape[op.axis]
        let shift = ((op.shift % count) + count) % count
        let parts = [(from: 0, to: shift, count: count - shift), (from: count - shift, to: 0, count: shift)]
        for part in parts where part.count > 0 {
            var shape = x.shape.dimensions
            shape[op.axis] = part.count
            try appendCopy(
                from: x, offset: part.from * strides[op.axis], strides: strides, to: result,
                at: part.to * strides[op.axis],
                strides: strides, shape: shape, parallel: part.from > 0)
        }
    }

    mutating func bind(_ op: Pad, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        try checkSameElements(x, result)
        var arguments = alula_fill_args()
        arguments.output = result.address
        arguments.element_bytes = size(x.type.dataType.size)
        try setFill(&arguments, op.value, x)
        try append(.fill, arguments, items: result.shape.elementCount, grain: elementGrain)
        let strides = result.shape.strides
        let offset = op.before.indices.reduce(0) { $0 + op.before[$1] * strides[$1] }
        try appendCopy(
            from: x, strides: x.shape.strides, to: result, at: offset, strides: strides, shape: x.shape.dimensions)
    }

    private func setFill(_ arguments: inout alula_fill_args, _ value: Float, _ x: BoundValue) throws(RuntimeError) {
        switch x.type.dataType {
        case .f32:
            withUnsafeMutableBytes(of: &arguments.value) { $0.storeBytes(of: value, as: Float.self) }
        case .u8 where x.type.quantization != nil:
            arguments.value.0 = try quantization(x).number(value)
        case _ where value == 0:
            break  // zero is all bits zero in every element type
        default:
            throw unsupported("pads \(x.type.dataType.name) with zeros only")
        }
    }

    mutating func bind(_ op: Expand, _ node: Node) throws(RuntimeError) {
        let (x, result) = (try operand(node, 0), try result(node))
        try checkSameElements(x, result)
        try appendCopy(
            from: x, strides: broadcastStrides(x.shape, to: result.shape), to: result, strides: result.shape.strides,
            shape: result.shape.dimensions)
    }
}
