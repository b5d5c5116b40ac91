import AlulaGraph
import AlulaRuntime

/// The golden test that a quantized model carries: an input that a seed determines and the outputs that every machine must give for it,
/// bit for bit. The outputs are the tensors `alula.golden.0`, … of the file, in the order of the graph's outputs.
public enum Golden {
    package static let prefix = "alula.golden."

    /// The bytes of every input, in order, from one generator: u8 elements are the top byte of each number drawn; f32 elements are its
    /// top 24 bits divided by 2^23, minus 1, so from -1 up to 1. Elements of other types are 0 and draw nothing.
    public static func inputs(_ graph: Graph, seed: UInt64) -> [[UInt8]] {
        var random = SplitMix64(seed: seed)
        return graph.inputs.map { id in
            let type = graph.type(id)
            switch type.dataType {
            case .u8: return (0..<type.shape.elementCount).map { _ in UInt8(random.next() >> 56) }
            case .f32:
                let values = (0..<type.shape.elementCount).map { _ in Float(random.next() >> 40) / 8_388_608 - 1 }
                return values.withUnsafeBytes { Array($0) }
            default: return [UInt8](repeating: 0, count: type.byteCount)
            }
        }
    }

    /// The bytes of every output for the golden input.
    public static func outputs(_ session: Session, _ graph: Graph, seed: UInt64) throws(CompilerError) -> [[UInt8]] {
        do throws(RuntimeError) {
            for (index, bytes) in inputs(graph, seed: seed).enumerated() {
                try session.setInput(index, bytes: bytes)
            }
        } catch { throw .runtime(error) }
        session.run()
        return graph.outputs.indices.map { index in session.output(index) }
    }

    /// Runs the golden input on this CPU's best instruction set and stores the outputs, the seed and the working memory needed.
    public static func add(to model: inout ModelFile, seed: UInt64) throws(CompilerError) {
        let graph = model.graph
        var arena: [String] = []
        for threads in [1, 2] {
            let session: Session
            do throws(RuntimeError) {
                session = try Session(graph, options: SessionOptions(threads: threads))
            } catch { throw .runtime(error) }
            arena.append("\"\(threads)\":\(session.memory.arena + session.memory.scratch)")
            guard threads == 1 else { continue }
            model.extras.removeAll { $0.name.hasPrefix(prefix) }
            for (index, bytes) in try outputs(session, graph, seed: seed).enumerated() {
                let type = graph.type(graph.outputs[index])
                model.extras.append(
                    (prefix + String(index), TensorType(type.dataType, type.shape), TensorData(elements: bytes)))
            }
        }
        model.metadata[ModelFile.Key.golden] = "{\"seed\":\(seed)}"
        model.metadata[ModelFile.Key.arena] = "{" + arena.joined(separator: ",") + "}"
    }

    /// What a comparison with the stored outputs gave.
    public enum Verdict: Sendable, Equatable {
        case identical
        /// A float graph within the tolerance: the largest difference, relative to the largest stored value.
        case close(Double)
        case different(output: String, problem: String)
    }

    /// Relative to the largest value of an output; f32 sums depend on the order of their terms, which the instruction sets choose.
    public static let floatTolerance = 1e-4

    /// Runs the stored golden test. nil: the model carries none.
    public static func check(_ model: ModelFile, _ options: SessionOptions) throws(CompilerError) -> Verdict? {
        guard let text = model.metadata[ModelFile.Key.golden], let seed = seed(text) else { return nil }
        return try check(model.graph, against: model.extras, seed: seed, options)
    }

    /// Runs `graph`, which may be an optimized form of the one in the file, against stored outputs.
    package static func check(
        _ graph: Graph, against extras: [(name: String, type: TensorType, data: TensorData)], seed: UInt64,
        _ options: SessionOptions
    ) throws(CompilerError) -> Verdict {
        let session: Session
        do throws(RuntimeError) { session = try Session(graph, options: options) } catch { throw .runtime(error) }
        let isQuantized = graph.isQuantized
        var largest = 0.0
        for (index, bytes) in try outputs(session, graph, seed: seed).enumerated() {
            let name = graph.displayName(graph.outputs[index])
            let type = graph.type(graph.outputs[index])
            guard let stored = extras.first(where: { $0.name == prefix + String(index) }) else {
                return .different(output: name, problem: "the file has no golden output \(index)")
            }
            guard stored.type.dataType == type.dataType, stored.type.shape == type.shape,
                stored.data.count == bytes.count
            else {
                return .different(
                    output: name, problem: "the golden output is \(stored.type.text), the graph gives \(type.text)")
            }
            let expected = stored.data.array(of: UInt8.self)
            if expected == bytes { continue }
            guard !isQuantized, type.dataType == .f32 else {
                let count = zip(expected, bytes).count { $0 != $1 }
                return .different(
                    output: name, problem: "\(count) of \(bytes.count) bytes differ from the golden output")
            }
            let difference = relativeDifference(
                stored.data.array(of: Float.self), TensorData(elements: bytes).array(of: Float.self))
            guard difference <= floatTolerance else {
                return .different(
                    output: name,
                    problem: "differs from the golden output by \(difference) relative, more than \(floatTolerance)")
            }
            largest = max(largest, difference)
        }
        return largest > 0 ? .close(largest) : .identical
    }

    private static func relativeDifference(_ expected: [Float], _ found: [Float]) -> Double {
        let largest = expected.reduce(Float.leastNormalMagnitude) { max($0, abs($1)) }
        var difference: Float = 0
        for (a, b) in zip(expected, found) {
            // NaN compares false with everything: it must not pass.
            guard abs(a - b) <= .greatestFiniteMagnitude else { return .infinity }
            difference = max(difference, abs(a - b))
        }
        return Double(difference) / Double(largest)
    }

    /// The seed in the metadata's JSON, `{"seed":N}`.
    package static func seed(_ json: String) -> UInt64? {
        let found: Int? = try? Array(json.utf8).withUnsafeBytes { (bytes) throws(JSONError) in
            var reader = JSONReader(bytes)
            var seed: Int?
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let value = try reader.integer()
                if key == "seed" { seed = value }
            }
            try reader.finish()
            return seed
        }
        return found.flatMap { UInt64(exactly: $0) }
    }
}

extension Graph {
    /// Whether any activation is u8.
    public var isQuantized: Bool { values.contains { $0.constant == nil && $0.type.dataType == .u8 } }

    /// Whether weights are in a kernel's order already.
    public var isPacked: Bool { values.contains { ($0.constant?.layout ?? .plain) != .plain } }
}
