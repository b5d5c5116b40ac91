import AlulaGraph
import ModelBuilding

extension EdgeViTConfiguration {
    /// Reads a configuration off a checkpoint's names and shapes. What they do not show gets the published value and a note.
    public init(inferringFrom checkpoint: Checkpoint) throws(ModelError) {
        let prefix = EdgeViT.prefix(checkpoint)
        func shape(_ name: String, rank: Int) throws(ModelError) -> [Int] {
            guard let tensor = checkpoint[prefix + name] else {
                throw .tensors(missing: [prefix + name], misshapen: [])
            }
            guard tensor.shape.count == rank, tensor.shape.allSatisfy({ (1...(1 << 24)).contains($0) }) else {
                throw .invalidTensor(
                    name: prefix + name,
                    problem: "has the shape \(Shape(tensor.shape).description), not \(rank) axes in 1 to \(1 << 24)")
            }
            return tensor.shape
        }
        (depths, widths, rates, mlpRatios) = ([], [], [], [])
        let first = try shape("patch_embed1.proj.weight", rank: 4)
        (channels, patch) = (first[1], first[2])
        while checkpoint[prefix + "patch_embed\(depths.count + 1).proj.weight"] != nil, depths.count < 16 {
            let stage = depths.count + 1
            let block = "blocks\(stage).0.SelfAttn."
            widths.append(try shape("patch_embed\(stage).proj.weight", rank: 4)[0])
            depths.append(EdgeViTConfiguration.count(prefix + "blocks\(stage).", checkpoint))
            let isSampled = checkpoint[prefix + block + "attn.LocalProp.weight"] != nil
            rates.append(isSampled ? try shape(block + "attn.LocalProp.weight", rank: 4)[2] : 1)
            let hidden = try shape(block + "mlp.fc1.weight", rank: 2)[0]
            var ratio = Double(hidden) / Double(widths[stage - 1])
            // The quotient may be rounded to just below what gives the hidden width back.
            if Int(ratio * Double(widths[stage - 1])) < hidden { ratio = ratio.nextUp }
            mlpRatios.append(ratio)
        }
        headDim = widths[0]
        notes.append(
            "no configuration: read off the tensors as \(architecture); assumed one head in the first stage and an input of "
                + "\(width) x \(height)")
        try validate()
    }

    /// Blocks by their highest number, so that a gap shows up as missing tensors and not as a smaller model.
    private static func count(_ prefix: String, _ checkpoint: Checkpoint) -> Int {
        let numbers = checkpoint.tensors.lazy.filter { $0.name.hasPrefix(prefix) }
            .compactMap { Int($0.name.dropFirst(prefix.count).prefix { $0 != "." }) }.filter { (0...1001).contains($0) }
        return (numbers.max() ?? 0) + 1
    }
}
