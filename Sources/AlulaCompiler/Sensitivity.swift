import AlulaGraph
import AlulaRuntime
import Foundation

/// How much quantization changes each layer's result: the signal-to-quantization-noise ratio of an int8 graph against its float graph,
/// over samples.
public struct Sensitivity {
    public struct Layer: Sendable, Equatable {
        /// The value's name, the same in both graphs.
        public let name: String
        public let operatorName: String
        /// 10·log10(Σ float² / Σ (float − int8)²); infinite where nothing differs.
        public let decibels: Double
    }

    private struct Pair {
        var name: String
        var operatorName: String
        var float: ValueID
        var quantized: ValueID
        var signal = 0.0
        var noise = 0.0
    }

    private let floatSession: Session
    private let quantizedSession: Session
    private var pairs: [Pair] = []
    private var outputs: [Pair] = []

    /// - Parameters:
    ///   - float: the graph that was quantized, with named results, as `Pass.folding` leaves it.
    ///   - quantized: what `Quantizer` made of it, packed or not.
    public init(_ float: Graph, _ quantized: Graph, threads: Int = 1) throws(CompilerError) {
        let options = SessionOptions(threads: threads, keepsAllValues: true)
        do throws(RuntimeError) {
            floatSession = try Session(float, options: options)
            quantizedSession = try Session(quantized, options: options)
        } catch { throw .runtime(error) }
        var byName: [String: ValueID] = [:]
        for node in float.nodes { for id in node.outputs where !float[id].name.isEmpty { byName[float[id].name] = id } }
        for node in quantized.nodes {
            for id in node.outputs {
                guard let partner = byName[quantized[id].name], float.shape(partner) == quantized.shape(id) else {
                    continue
                }
                pairs.append(Pair(name: quantized[id].name, operatorName: node.op.name, float: partner, quantized: id))
            }
        }
        for (a, b) in zip(float.outputs, quantized.outputs) {
            outputs.append(Pair(name: float.displayName(a), operatorName: "output", float: a, quantized: b))
        }
    }

    /// Runs one sample: the float graph's inputs in order.
    public mutating func observe(_ inputs: [[Float]]) throws(CompilerError) {
        do throws(RuntimeError) {
            for (index, input) in inputs.enumerated() {
                try floatSession.setInput(index, floats: input)
                try quantizedSession.setInput(index, floats: input)
            }
        } catch { throw .runtime(error) }
        floatSession.run()
        quantizedSession.run()
        for index in pairs.indices { try add(&pairs[index]) }
        for index in outputs.indices { try add(&outputs[index]) }
    }

    /// Layers in the order of the int8 graph.
    public var layers: [Layer] { pairs.map(Sensitivity.layer) }
    /// The graph's outputs.
    public var outputLayers: [Layer] { outputs.map(Sensitivity.layer) }

    private static func layer(_ pair: Pair) -> Layer {
        let decibels = pair.noise == 0 ? Double.infinity : 10 * log10(pair.signal / pair.noise)
        return Layer(name: pair.name, operatorName: pair.operatorName, decibels: decibels)
    }

    private func add(_ pair: inout Pair) throws(CompilerError) {
        do throws(RuntimeError) {
            for (a, b) in zip(
                try floatSession.valueFloats(pair.float) ?? [], try quantizedSession.valueFloats(pair.quantized) ?? [])
            {
                let difference = Double(a) - Double(b)
                pair.signal += Double(a) * Double(a)
                pair.noise += difference * difference
            }
        } catch { throw .runtime(error) }
    }
}
