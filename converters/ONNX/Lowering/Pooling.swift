import AlulaGraph

extension Importer {
    mutating func pooling(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        guard x.rank >= 3 else { throw LoweringProblem.invalid("an input of \(x.rank) axes") }
        switch node.op {
        case "GlobalAveragePool":
            return [.view(try mean(x, axes: Array(2..<x.rank), keepsAxes: true))]
        case "GlobalMaxPool":
            return [.view(try reduce(.maximum, x, axes: Array(2..<x.rank), keepsAxes: true))]
        default: return [.view(try pool(node, x))]
        }
    }

    private mutating func pool(_ node: NodeContext, _ x: View) throws -> View {
        guard let kernel = try node.ints("kernel_shape") else {
            throw LoweringProblem.invalid("kernel_shape is missing")
        }
        let geometry = try WindowGeometry(node, kernel: kernel, spatial: Array(x.shape.dropFirst(2)))
        if x.rank == 5 { return try volumePool(node, x, geometry) }
        guard x.rank <= 4 else { throw LoweringProblem.unsupported(needed: "pools with \(x.rank - 2) spatial axes") }
        let plane = geometry.asImage
        let op = Pool(
            node.op == "MaxPool" ? .maximum : .average, kernel: plane.kernelPair, stride: plane.strides,
            padding: try plane.padding(), dilation: plane.dilations, countsPadding: try node.flag("count_include_pad"),
            roundsUp: try node.flag("ceil_mode"))
        var result = try fromImage(emit(.pool(op), [image(x)]), rank: x.rank)
        result.type = x.type
        return result
    }
}
