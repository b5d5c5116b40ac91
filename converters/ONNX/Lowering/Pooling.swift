import AlulaGraph

extension Importer {
    mutating func pooling(_ node: NodeContext) throws -> [ImportedValue] {
        let x = try view(node.input(0))
        guard x.rank >= 3 else { throw LoweringProblem.invalid("an input of \(x.rank) axes") }
        switch node.op {
        case "GlobalAveragePool":
            return [.view(try mean(x, axes: Array(2..<x.rank), keepsAxes: true))]
        case "GlobalMaxPool":
            guard x.rank <= 4 else { throw LoweringProblem.unsupported(needed: "\(x.rank - 2) spatial axes") }
            let spatial = Array(x.shape.dropFirst(2))
            let kernel = spatial.count == 1 ? [1] + spatial : spatial
            let op = Pool(.maximum, kernel: Pair(kernel[0], kernel[1]), stride: Pair(1))
            return [.view(try fromImage(emit(.pool(op), [image(x)]), rank: x.rank))]
        default: return [.view(try pool(node, x))]
        }
    }

    private mutating func pool(_ node: NodeContext, _ x: View) throws -> View {
        guard x.rank <= 4 else {
            throw LoweringProblem.unsupported(needed: "pools with \(x.rank - 2) spatial axes")
        }
        guard let kernel = try node.ints("kernel_shape") else {
            throw LoweringProblem.invalid("kernel_shape is missing")
        }
        let spatial = Array(x.shape.dropFirst(2))
        let geometry = try WindowGeometry(node, kernel: kernel, spatial: spatial).asImage
        guard geometry.dilation.allSatisfy({ $0 == 1 }) else { throw LoweringProblem.unsupported(needed: "dilations") }
        guard try !node.flag("ceil_mode") || roundsEvenly(geometry, spatial) else {
            throw LoweringProblem.unsupported(needed: "ceil_mode")
        }
        let op = Pool(
            node.op == "MaxPool" ? .maximum : .average, kernel: geometry.kernelPair, stride: geometry.strides,
            padding: try geometry.padding(), countsPadding: try node.flag("count_include_pad"))
        return try fromImage(emit(.pool(op), [image(x)]), rank: x.rank)
    }

    /// Whether windows cover the input without a rest, so that rounding up changes nothing.
    private func roundsEvenly(_ geometry: WindowGeometry, _ spatial: [Int]) -> Bool {
        let sizes = spatial.count == 1 ? [1] + spatial : spatial
        return sizes.indices.allSatisfy {
            (sizes[$0] + geometry.before[$0] + geometry.after[$0] - geometry.span($0)) % geometry.stride[$0] == 0
        }
    }
}
