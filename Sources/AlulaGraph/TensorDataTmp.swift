public struct TensorData: Sendable {}
