import AlulaGraph
import Foundation
import MSWTransformer

/// MSW-Transformer in f64 from its fact sheet, one token after another: windows are found by asking which tokens may see each other, without
/// padding, rolling or masks. It shares nothing with the builder but the configuration and the tensors' names.
struct Definition {
    let configuration: MSWTransformerConfiguration
    let checkpoint: Checkpoint

    typealias Tokens = [[Double]]

    func tensor(_ name: String) throws -> [Double] {
        guard let tensor = checkpoint[name] else { throw CheckpointError.missing(name: name) }
        return try tensor.floats().map { Double($0) }
    }

    /// Logits for `signal[sample * leads + lead]`.
    func logits(_ signal: [Float]) throws -> [Double] {
        let tokens = try embedding(signal)
        var fused = Tokens(repeating: [Double](repeating: 0, count: configuration.dim), count: tokens.count)
        let weights = try fusionWeights()
        for (scale, window) in configuration.windows.enumerated() {
            var x = tokens
            for layer in 0..<configuration.layers { x = try block(x, scale, layer, window) }
            let features = try linear(x, "fusion.proj.\(scale)")
            for token in fused.indices {
                for channel in fused[token].indices {
                    fused[token][channel] += weights[scale] * features[token][channel]
                }
            }
        }
        let normed = try norm(fused, "norm")
        let mean = normed[0].indices.map { channel in
            normed.reduce(0) { $0 + $1[channel] } / Double(normed.count)
        }
        return try linear([mean], "head")[0]
    }

    private func embedding(_ signal: [Float]) throws -> Tokens {
        let (patch, leads, length) = (configuration.patch, configuration.leads, configuration.length)
        let (weight, bias) = (try tensor("patch_embed.proj.weight"), try tensor("patch_embed.proj.bias"))
        let count = Int((Double(length) / Double(patch)).rounded(.up))
        let patches = (0..<count).map { token in
            (0..<configuration.dim).map { channel in
                var sum = bias[channel]
                for lead in 0..<leads {
                    for tap in 0..<patch where token * patch + tap < length {
                        sum +=
                            weight[(channel * leads + lead) * patch + tap]
                            * Double(signal[(token * patch + tap) * leads + lead])
                    }
                }
                return sum
            }
        }
        var tokens = try norm(patches, "patch_embed.norm")
        if configuration.usesPositions {
            let positions = try tensor("pos_embed")
            for token in tokens.indices {
                for channel in tokens[token].indices {
                    tokens[token][channel] += positions[token * configuration.dim + channel]
                }
            }
        }
        return tokens
    }

    private func block(_ input: Tokens, _ scale: Int, _ layer: Int, _ window: Int) throws -> Tokens {
        let own = "scales.\(scale).blocks.\(layer)."
        let name = configuration.sharesScales ? "shared.blocks.\(layer)." : own
        let shift = configuration.shift == .half ? window / 2 : 0
        var x = input
        x = try sum(x, attention(norm(x, name + "norm1"), name + "attn", own + "attn", window, shift: 0))
        x = try sum(
            x, attention(norm(x, name + "norm2"), name + "shifted_attn", own + "shifted_attn", window, shift: shift))
        let hidden = try linear(norm(x, name + "norm3"), name + "mlp.fc1").map { $0.map(gelu) }
        return try sum(x, linear(hidden, name + "mlp.fc2"))
    }

    /// The window of a token and its place in it, in the sequence that is filled up to whole windows and turned left by `shift`.
    private func place(_ token: Int, _ window: Int, _ shift: Int) -> (window: Int, index: Int, isWrapped: Bool) {
        let filled = (configuration.tokens + window - 1) / window * window
        let position = token - shift
        return position >= 0
            ? (position / window, position % window, false)
            : ((position + filled) / window, (position + filled) % window, true)
    }

    private func attention(
        _ x: Tokens, _ name: String, _ biasName: String, _ window: Int, shift: Int
    ) throws -> Tokens {
        let (dim, heads) = (configuration.dim, configuration.heads)
        let width = dim / heads
        let packed = try linear(x, name + ".qkv", hasBias: configuration.hasQKVBias)
        let table = configuration.usesRelativeBias ? try tensor(biasName + ".rel_bias") : []
        var mixed = Tokens(repeating: [Double](repeating: 0, count: dim), count: x.count)
        for query in x.indices {
            let at = place(query, window, shift)
            let keys = x.indices.filter { key in
                let other = place(key, window, shift)
                return other.window == at.window
                    && (!configuration.masksWrapped || other.isWrapped == at.isWrapped)
            }
            for head in 0..<heads {
                let scores = keys.map { key in
                    var score = 0.0
                    for channel in head * width..<(head + 1) * width {
                        score += packed[query][channel] * packed[key][dim + channel]
                    }
                    score *= pow(Double(width), -0.5)
                    guard !table.isEmpty else { return score }
                    let distance = at.index - place(key, window, shift).index
                    return score + table[head * (2 * window - 1) + distance + window - 1]
                }
                let shares = softmax(scores)
                for channel in head * width..<(head + 1) * width {
                    mixed[query][channel] = zip(shares, keys).reduce(0) { $0 + $1.0 * packed[$1.1][2 * dim + channel] }
                }
            }
        }
        return try linear(mixed, name + ".proj")
    }

    private func fusionWeights() throws -> [Double] {
        configuration.fusion == .softmax ? softmax(try tensor("fusion.logits")) : try tensor("fusion.weights")
    }

    // MARK: Arithmetic

    private func softmax(_ scores: [Double]) -> [Double] {
        let exponentials = scores.map { exp($0 - (scores.max() ?? 0)) }
        return exponentials.map { $0 / exponentials.reduce(0, +) }
    }

    private func gelu(_ x: Double) -> Double { x * 0.5 * (1 + erf(x / 2.0.squareRoot())) }

    private func sum(_ a: Tokens, _ b: Tokens) -> Tokens { zip(a, b).map { zip($0, $1).map { $0 + $1 } } }

    private func norm(_ x: Tokens, _ name: String) throws -> Tokens {
        let (gamma, beta) = (try tensor(name + ".weight"), try tensor(name + ".bias"))
        return x.map { token in
            let mean = token.reduce(0, +) / Double(token.count)
            let variance = token.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(token.count)
            let factor = 1 / (variance + Double(configuration.normEpsilon)).squareRoot()
            return token.indices.map { (token[$0] - mean) * factor * gamma[$0] + beta[$0] }
        }
    }

    private func linear(_ x: Tokens, _ name: String, hasBias: Bool = true) throws -> Tokens {
        let weight = try tensor(name + ".weight")
        let inputs = x[0].count
        let bias = hasBias ? try tensor(name + ".bias") : [Double](repeating: 0, count: weight.count / inputs)
        return x.map { token in
            bias.indices.map { row in
                token.indices.reduce(bias[row]) { $0 + weight[row * inputs + $1] * token[$1] }
            }
        }
    }
}
