/// How large a safetensors header may be before a reader refuses it. A file within the limits costs memory in proportion
/// to its header; tensor data are mapped and cost none.
public struct SafetensorsLimits: Sendable, Equatable {
    /// Bytes of the header; the default is that of the safetensors library.
    public var headerBytes = 100_000_000
    /// Entries, fillers included. The largest published models have a few thousand tensors in a file.
    public var tensors = 65_536
    /// Axes of one tensor, as in NumPy before 2.0.
    public var rank = 32
    /// UTF-8 bytes of one tensor name.
    public var nameBytes = 1024
    /// Entries of `__metadata__`.
    public var metadataEntries = 4096

    public init() {}

    public static let `default` = SafetensorsLimits()
}
