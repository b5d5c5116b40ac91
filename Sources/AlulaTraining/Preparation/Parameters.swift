import AlulaGraph

/// What a constant of a float graph is to training.
package enum ConstantRole: Equatable {
    case parameter
    /// A mean or variance of a batch norm: follows the data, has no gradient.
    case statistic
    /// Numbers that belong to the computation: tables, masks, factors.
    case fixed
}

extension Graph {
    /// Which constants can be trained, by value index.
    ///
    /// Weights, biases, gammas and betas of layers; and vectors and tables that are added, multiplied or moved on their way (positions, layer scales, attention
    /// biases, class tokens). Single numbers belong to formulas. Tables that hold -50 or less are masks in front of a softmax.
    package func constantRoles() -> [ConstantRole] {
        var roles = [ConstantRole](repeating: .fixed, count: values.count)
        // Backwards, so that what reads a moved constant is known before the move.
        var reaches = [Bool](repeating: false, count: values.count)
        for node in nodes.reversed() {
            for (index, id) in node.inputs.enumerated() where !id.isNone {
                switch node.op.role(ofOperand: index) {
                case .parameter: reaches[Int(id.index)] = true
                case .statistic: roles[Int(id.index)] = .statistic
                case .fixed: break
                }
            }
        }
        for id in constants where reaches[Int(id.index)] && roles[Int(id.index)] == .fixed {
            guard let constant = self[id].constant, constant.layout == .plain, let data = constant.data,
                type(id).dataType == .f32
            else { continue }
            let isLayer = nodes.contains { $0.isLayer && $0.inputs.dropFirst().contains(id) }
            let isMask = !isLayer && data.array(of: Float.self).contains { !($0 > -50) }
            if isLayer || (shape(id).elementCount > 1 && !isMask) { roles[Int(id.index)] = .parameter }
        }
        return roles
    }
}

extension Node {
    fileprivate var isLayer: Bool {
        switch op {
        case .conv2D, .convTranspose2D, .linear, .batchNorm, .layerNorm, .poolMixer: true
        default: false
        }
    }
}

extension Operator {
    fileprivate func role(ofOperand index: Int) -> ConstantRole {
        switch self {
        case .batchNorm: index >= 3 ? .statistic : index > 0 ? .parameter : .fixed
        case .conv2D, .convTranspose2D, .linear, .layerNorm, .poolMixer: .parameter
        case .matmul, .attention, .softmax, .reshape, .transpose, .slice, .concat, .split, .roll, .expand, .pad:
            .parameter
        case .gather, .resample: index == 0 ? .parameter : .fixed
        case .binary(let op):
            switch op.kind {
            case .add, .sub, .mul, .div, .prelu: .parameter
            case .max, .min, .pow, .equal, .less, .lessEqual, .mod, .fmod: .fixed
            }
        case .unary, .select, .pool, .reduce, .topK, .quantize, .dequantize, .requantize, .dynamicQuantize:
            .fixed
        case .conv2DWeightGradient, .unaryGradient, .channelSum, .batchStatistics, .batchNormGradient,
            .layerNormGradient, .poolGradient, .attentionGradient:
            .fixed
        }
    }
}

/// A pattern of parameter names, as a shell has them: `*` stands for any text, `?` for one character. Without either it names all
/// parameters that it begins: `stages.0` is `stages.0*`.
public struct NamePattern: Sendable, Equatable {
    public let text: String
    public init(_ text: String) { self.text = text }

    public func matches(_ name: String) -> Bool {
        let isPlain = !text.contains("*") && !text.contains("?")
        return NamePattern.matches(Array((isPlain ? text + "*" : text).utf8)[...], Array(name.utf8)[...])
    }

    private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        // Two positions are enough: a later star makes earlier choices irrelevant.
        var (p, n) = (pattern.startIndex, name.startIndex)
        var star: (pattern: Int, name: Int)?
        while n < name.endIndex {
            if p < pattern.endIndex, pattern[p] == UInt8(ascii: "*") {
                star = (p, n)
                p += 1
            } else if p < pattern.endIndex, pattern[p] == name[n] || pattern[p] == UInt8(ascii: "?") {
                (p, n) = (p + 1, n + 1)
            } else if let last = star {
                star = (last.pattern, last.name + 1)
                (p, n) = (last.pattern + 1, last.name + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
