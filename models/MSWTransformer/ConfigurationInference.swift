import AlulaGraph
import ModelBuilding

extension MSWTransformerConfiguration {
    /// Reads a configuration off a checkpoint's names and shapes, which must have positions and relative biases: these show the number of
    /// tokens, the heads and the windows. What nothing shows gets its default and a note.
    public init(inferringFrom checkpoint: Checkpoint) throws(ModelError) {
        func has(_ name: String) -> Bool { checkpoint[name] != nil }
        func shape(_ name: String, rank: Int) throws(ModelError) -> [Int] {
            guard let tensor = checkpoint[name] else { throw .tensors(missing: [name], misshapen: []) }
            guard tensor.shape.count == rank, tensor.shape.allSatisfy({ (1...(1 << 24)).contains($0) }) else {
                throw .invalidTensor(
                    name: name,
                    problem: "has the shape \(Shape(tensor.shape).description), not \(rank) axes in 1 to \(1 << 24)")
            }
            return tensor.shape
        }
        let embedding = try shape("patch_embed.proj.weight", rank: 3)
        (dim, leads, patch) = (embedding[0], embedding[1], embedding[2])
        length = try shape("pos_embed", rank: 3)[1] * patch
        sharesScales = has("shared.blocks.0.norm1.weight")
        windows = []
        repeat {
            let table = try shape("scales.\(windows.count).blocks.0.attn.rel_bias", rank: 2)
            heads = table[0]
            windows.append((table[1] + 1) / 2)
        } while has("scales.\(windows.count).blocks.0.attn.rel_bias") && windows.count < 64
        let stem = sharesScales ? "shared.blocks." : "scales.0.blocks."
        layers = (1...1000).first { !has("\(stem)\($0).norm1.weight") } ?? 1000
        hasQKVBias = has(stem + "0.attn.qkv.bias")
        mlpRatio = Double(try shape(stem + "0.mlp.fc1.weight", rank: 2)[0]) / Double(dim)
        fusion = has("fusion.weights") ? .weights : .softmax
        notes.append(
            "no configuration: read off the tensors as \(architecture) for \(length) samples; assumed windows shifted by half, "
                + "wrapped tokens masked")
        try validate()
    }
}
