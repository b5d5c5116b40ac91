import AlulaGraph

extension Importer {
    /// Columns `[N, C · taps, blocks]` added up where their blocks lie in images: a transposed convolution
    /// whose weights put each tap of a channel at its own place.
    mutating func imageOfColumns(_ node: NodeContext) throws -> ImportedValue {
        let columns = try view(node.input(0))
        guard let image = try node.integers(1, "the image's shape"),
            let block = try node.integers(2, "the block's shape"), columns.rank == 3, !block.isEmpty,
            image.count == block.count
        else { throw LoweringProblem.invalid("its image and block have other axes") }
        guard block.count <= 2 else { throw LoweringProblem.unsupported(needed: "\(block.count) spatial axes") }
        let limit = 1 << 12
        guard (image + block).allSatisfy({ (1...1 << 20).contains($0) }), let taps = Importer.product(block),
            taps <= limit, columns.shape[1] % taps == 0
        else { throw LoweringProblem.invalid("\(columns.shape[1]) numbers a column do not fit the block") }
        let channels = columns.shape[1] / taps
        guard columns.shape[1] * taps <= model.limits.constantElements else {
            throw LoweringProblem.unsupported(needed: "\(columns.shape[1]) numbers a column")
        }
        let window = try WindowGeometry(node, kernel: block, spatial: image)
        let outputs = try image.indices.map { axis -> Int in
            let size = image[axis] + window.before[axis] + window.after[axis] - window.span(axis)
            guard size >= 0 else { throw LoweringProblem.invalid("its blocks are larger than the image") }
            return size / window.stride[axis] + 1
        }
        guard Importer.product(outputs) == columns.shape[2] else {
            throw LoweringProblem.invalid("\(columns.shape[2]) columns for \(Shape(outputs).description) blocks")
        }
        var weights = [Double](repeating: 0, count: columns.shape[1] * taps)
        for row in 0..<columns.shape[1] { weights[row * taps + row % taps] = 1 }
        var transposed = node
        transposed.node.attributes["group"] = .int(channels)
        // Rows at the end that no block reaches.
        transposed.node.attributes["output_padding"] = .ints(
            image.indices.map { axis in
                image[axis] + window.before[axis] + window.after[axis] - window.span(axis)
                    - (outputs[axis] - 1) * window.stride[axis]
            })
        let blocks = try reshaped(columns, to: [columns.shape[0], columns.shape[1]] + outputs)
        let kernel = HostTensor(.f32, [columns.shape[1], 1] + block, reals: weights)
        return try floatResult(transposed, "ConvTranspose", [.view(blocks), .host(kernel)])
    }
}
