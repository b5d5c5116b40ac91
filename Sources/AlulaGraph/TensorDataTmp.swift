public struct TensorData: Sendable { public var count: Int { 0 } }
