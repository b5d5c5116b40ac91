import AlulaGraph
import AlulaKernels

// Weights that change from run to run (training), and those of transposed convolutions: copied into the order that kernels read by steps of the run.

/// Where the elements of a layer's weights lie: elements from group to group, output to output, tap to tap and input to input of a group.
struct WeightStrides {
    var group, output, tap, input: Int
    /// Where the first tap's lie.
    var start = 0
}

extension StepBuilder {
    /// Plain weights `[O,taps,I/groups]`, packed in every run into memory that later nodes use again.
    mutating func packInRun(
        _ node: Node, _ geometry: WeightGeometry, _ type: DataType
    ) throws(RuntimeError) -> (UnsafeMutableRawPointer, Layout) {
        let weight = try operand(node, WeightedOperand.weight)
        guard type == .f32, all(.f32, weight) else {
            throw unsupported("weight %\(label(weight.id, in: graph)) is not a constant")
        }
        let output = geometry.taps * geometry.inputs
        let strides = WeightStrides(
            group: geometry.outputs * output, output: output, tap: geometry.inputs, input: 1)
        let layout = geometry.packedLayout(.f32)
        let target = try workspace(geometry.byteCount(layout, .f32)!)
        for (index, copy) in packing(weight.address, strides, geometry, geometry, row: 0, into: target).enumerated() {
            try append(copy, parallel: index > 0)
        }
        return (target, layout)
    }

    /// A vector over output channels that is not constant; between groups it is padded.
    mutating func channelVectorInRun(
        _ id: ValueID, _ geometry: WeightGeometry, isDense: Bool
    ) throws(RuntimeError) -> UnsafeMutableRawPointer? {
        guard let vector = try value(id) else { return nil }
        if isDense { return vector.address }
        let padded = roundUp(geometry.outputs, 16)
        let target = try allocate(geometry.groups * padded * MemoryLayout<Float>.stride)
        try append(
            StridedCopy(
                input: UnsafeRawPointer(vector.address), inputStrides: [geometry.outputs, 1], output: target,
                outputStrides: [padded, 1], shape: [geometry.groups, geometry.outputs],
                elementBytes: MemoryLayout<Float>.stride))
        return target
    }

    // MARK: Transposed convolutions

    /// A transposed convolution is, for each phase of its stride, a convolution of stride 1: output rows `phase, phase + stride, …` see the same taps.
    mutating func bindPhases(
        _ op: ConvTranspose2D, _ node: Node, _ x: BoundValue, _ result: BoundValue
    ) throws(RuntimeError) {
        let weight = try operand(node, WeightedOperand.weight)
        let shape = weight.shape
        let (inputs, outputs) = (x.shape[3] / op.groups, shape[3])
        let rows = Phase.all(
            kernel: shape[1], stride: op.stride.height, dilation: op.dilation.height, padding: op.padding.top,
            size: result.shape[1])
        let columns = Phase.all(
            kernel: shape[2], stride: op.stride.width, dilation: op.dilation.width, padding: op.padding.left,
            size: result.shape[2])
        // Each phase's weights, and its result if that does not lie in one piece.
        let isSingle = rows.count == 1 && columns.count == 1
        let weightBytes = Workspace.packedBytes(shape, groups: op.groups)
        let memory = try workspace(weightBytes + (isSingle ? 0 : Workspace.phaseBytes(op, result.shape)))
        let biasGeometry = WeightGeometry(groups: op.groups, outputs: outputs, taps: 1, inputs: inputs)
        let isDepthwise = biasGeometry.isDepthwise
        let bias = try channelVector(node, WeightedOperand.bias, .f32, biasGeometry, isDepthwise ? .taps : .n16k1)
        for row in rows {
            for column in columns {
                let geometry = WeightGeometry(
                    groups: op.groups, outputs: outputs, taps: max(1, row.taps.count * column.taps.count),
                    inputs: inputs)
                var arguments = alula_conv_f32_args()
                arguments.window = alula_window(
                    batch: size(x.shape[0]), in_h: size(x.shape[1]), in_w: size(x.shape[2]), out_h: size(row.count),
                    out_w: size(column.count), in_c: size(x.shape[3]), out_c: size(result.shape[3]),
                    groups: size(op.groups), kernel_h: size(row.taps.count), kernel_w: size(column.taps.count),
                    stride_h: 1, stride_w: 1, pad_top: size(-row.offset), pad_left: size(-column.offset),
                    dilation_h: size(row.step), dilation_w: size(column.step))
                let target = isSingle ? result.address : memory + weightBytes
                arguments.input = UnsafePointer(x.pointer())
                arguments.weight = UnsafePointer(memory.assumingMemoryBound(to: Float.self))
                arguments.bias = bias.map { UnsafePointer($0.assumingMemoryBound(to: Float.self)) }
                arguments.pad_row = try paddingRowF32()
                arguments.output = target.assumingMemoryBound(to: Float.self)
                arguments.activation = try layerFunction(op.activation)
                if row.taps.isEmpty || column.taps.isEmpty {
                    // No input reaches these pixels: one tap that lies outside of the image everywhere.
                    (arguments.window.kernel_h, arguments.window.kernel_w) = (1, 1)
                    arguments.window.pad_top = size(x.shape[1] + row.count)
                    var zeros = alula_fill_args()
                    (zeros.output, zeros.element_bytes) = (memory, size(MemoryLayout<Float>.stride))
                    let count = geometry.byteCount(geometry.packedLayout(.f32), .f32)! / MemoryLayout<Float>.stride
                    try append(.fill, zeros, items: count, grain: elementGrain)
                } else {
                    try appendPhaseWeights(weight, row, column, geometry, into: memory)
                }
                if isDepthwise {
                    try append(.depthwiseF32, arguments, items: x.shape[0] * row.count)
                } else {
                    try append(
                        .convF32, arguments, items: x.shape[0] * row.count * column.count, grain: tileGrain,
                        scratch: alula_conv_f32_scratch(&arguments))
                }
                if !isSingle { try appendPhase(target, row, column, op, result) }
            }
        }
    }

    /// Weights `[I,kh,kw,O/groups]` of one phase's taps, in the order in which a convolution meets them: the last tap first.
    private mutating func appendPhaseWeights(
        _ weight: BoundValue, _ row: Phase, _ column: Phase, _ geometry: WeightGeometry,
        into target: UnsafeMutableRawPointer
    ) throws(RuntimeError) {
        let shape = weight.shape
        let input = shape.count(1..<4)
        let (tapRow, tapColumn) = (shape[2] * shape[3], shape[3])
        // Rows and columns of taps need two strides, so each row of taps is packed as if it were the whole kernel.
        let single = WeightGeometry(
            groups: geometry.groups, outputs: geometry.outputs, taps: column.taps.count, inputs: geometry.inputs)
        let stepColumn = column.taps.count > 1 ? column.taps[1] - column.taps[0] : 0
        var count = 0
        for (index, tap) in row.taps.enumerated() {
            let strides = WeightStrides(
                group: geometry.inputs * input, output: 1, tap: stepColumn * tapColumn, input: input,
                start: tap * tapRow + column.taps[0] * tapColumn)
            for copy in packing(weight.address, strides, single, geometry, row: index, into: target) {
                try append(copy, parallel: count > 0)
                count += 1
            }
        }
    }

    /// The copies that bring the taps of one row of a kernel of `whole.taps` taps into the layout that `whole.packedLayout` names.
    private func packing(
        _ source: UnsafeMutableRawPointer, _ strides: WeightStrides, _ part: WeightGeometry, _ whole: WeightGeometry,
        row: Int, into target: UnsafeMutableRawPointer
    ) -> [StridedCopy] {
        let bytes = MemoryLayout<Float>.stride
        let first = UnsafeRawPointer(source + strides.start * bytes)
        if whole.isDepthwise {
            let width = roundUp(whole.groups, 16)
            return [
                StridedCopy(
                    input: first, inputStrides: [strides.tap, strides.group],
                    output: target + row * part.taps * width * bytes, outputStrides: [width, 1],
                    shape: [part.taps, whole.groups], elementBytes: bytes)
            ]
        }
        let (blocks, rest) = (whole.outputs / 16, whole.outputs % 16)
        let block = whole.taps * whole.inputs * 16
        let group = (blocks + (rest > 0 ? 1 : 0)) * block
        let start = row * part.taps * whole.inputs * 16
        let copy = { (from: Int, blocks: Int, lanes: Int) in
            StridedCopy(
                input: first + from * 16 * strides.output * bytes,
                inputStrides: [strides.group, 16 * strides.output, strides.tap, strides.input, strides.output],
                output: target + (from * block + start) * bytes,
                outputStrides: [group, block, whole.inputs * 16, 16, 1],
                shape: [whole.groups, blocks, part.taps, whole.inputs, lanes], elementBytes: bytes)
        }
        return (blocks > 0 ? [copy(0, blocks, 16)] : []) + (rest > 0 ? [copy(blocks, 1, rest)] : [])
    }

    /// A phase's pixels, from where they were computed to their rows and columns.
    private mutating func appendPhase(
        _ source: UnsafeMutableRawPointer, _ row: Phase, _ column: Phase, _ op: ConvTranspose2D, _ result: BoundValue
    ) throws(RuntimeError) {
        let shape = [result.shape[0], row.count, column.count, result.shape[3]]
        let strides = result.shape.strides
        let start = row.first * strides[1] + column.first * strides[2]
        try append(
            StridedCopy(
                input: UnsafeRawPointer(source), inputStrides: Shape(shape).strides,
                output: result.address + start * MemoryLayout<Float>.stride,
                outputStrides: [strides[0], strides[1] * op.stride.height, strides[2] * op.stride.width, 1],
                shape: shape, elementBytes: MemoryLayout<Float>.stride))
    }
}

/// The output positions `first, first + stride, …` of a transposed convolution along one axis: `count` of them. Position number m reads inputs
/// `m + offset + step · i` through tap `taps[i]`.
private struct Phase {
    var first: Int
    var count: Int
    var taps: [Int]
    var offset = 0
    var step = 1

    static func all(kernel: Int, stride: Int, dilation: Int, padding: Int, size: Int) -> [Phase] {
        (0..<min(stride, size)).map { first in
            // Input i reaches output i · stride - padding + tap · dilation.
            let taps = (0..<kernel).filter { (first + padding - $0 * dilation) % stride == 0 }.reversed()
            var phase = Phase(first: first, count: (size - first + stride - 1) / stride, taps: Array(taps))
            let offsets = phase.taps.map { (first + padding - $0 * dilation) / stride }
            phase.offset = offsets.first ?? 0
            if offsets.count > 1 { phase.step = offsets[1] - offsets[0] }
            return phase
        }
    }
}

/// Memory beside arena and scratch that one node after another uses.
enum Workspace {
    /// What the largest node of a graph takes.
    static func byteCount(_ graph: Graph) -> Int {
        var most = 0
        for node in graph.nodes {
            let x = graph.shape(node.inputs[0])
            switch node.op {
            case .conv2D(let op) where graph[node.inputs[1]].constant == nil:
                most = max(most, packedBytes(graph.shape(node.inputs[1]), groups: op.groups))
            case .linear where graph[node.inputs[1]].constant == nil:
                most = max(most, packedBytes(graph.shape(node.inputs[1]), groups: 1))
            case .convTranspose2D(let op):
                let weight = graph.shape(node.inputs[1])
                most = max(
                    most, packedBytes(weight, groups: op.groups) + phaseBytes(op, graph.shape(node.outputs[0])))
            case .channelSum, .batchStatistics, .batchNormGradient, .layerNormGradient:
                most = max(most, channelBytes(x))
            default: break
            }
        }
        return most
    }

    /// More than any layout of the weights takes.
    static func packedBytes(_ weight: Shape, groups: Int) -> Int {
        let padded = roundUp(weight[0], 16) * weight.count(1..<weight.rank - 1) * roundUp(weight.last, 16)
        // Output channels of each group are padded by themselves.
        let outputs = max(roundUp(max(weight[0] / groups, 1), 16), roundUp(weight.last, 16)) * groups
        let inputs = max(weight.last, max(weight[0] / groups, 1))
        return max(padded, outputs * inputs * weight.count(1..<weight.rank - 1)) * MemoryLayout<Float>.stride
    }

    /// The result of a transposed convolution's largest phase.
    static func phaseBytes(_ op: ConvTranspose2D, _ result: Shape) -> Int {
        let height = (result[1] + op.stride.height - 1) / op.stride.height
        let width = (result[2] + op.stride.width - 1) / op.stride.width
        return op.stride == Pair(1) ? 0 : result[0] * height * width * result[3] * MemoryLayout<Float>.stride
    }

    static func chunks(_ x: Shape) -> Int {
        (x.elementCount / x.last + Int(ALULA_CHANNEL_ROWS) - 1) / Int(ALULA_CHANNEL_ROWS)
    }

    /// Two numbers a chunk and channel, two totals and three factors a channel.
    static func channelBytes(_ x: Shape) -> Int { (2 * chunks(x) + 5) * x.last * MemoryLayout<Float>.stride }
}
