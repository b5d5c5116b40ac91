import AlulaGraph
import AlulaRuntime

/// A trainable parameter and its place in the buffers of a `TrainingSession`.
public struct Parameter: Sendable, Equatable {
    /// The name of the constant in the graph.
    public let name: String
    public let shape: Shape
    /// Where its numbers lie in `TrainingSession.values` and `TrainingSession.gradients`. Parameters begin on 64-byte boundaries; what lies between two
    /// is 0 and stays so.
    public let range: Range<Int>
    /// Whether the loss depends on it.
    public let hasGradient: Bool
    /// Biases, norms' gammas and betas and other vectors: weight decay usually leaves them out.
    public var isVector: Bool { shape.dimensions.filter { $0 > 1 }.count <= 1 }
}

/// Numbers of all parameters in one piece of memory, zeros at first.
final class ParameterStore {
    let memory: Memory
    let count: Int

    init(count: Int) throws(TrainingError) {
        self.count = count
        do throws(RuntimeError) { memory = try Memory(count: count * MemoryLayout<Float>.stride) } catch {
            throw .runtime(error)
        }
    }

    var floats: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: memory.start.assumingMemoryBound(to: Float.self), count: count)
    }
}
