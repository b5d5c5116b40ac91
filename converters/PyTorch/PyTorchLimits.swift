/// How much a checkpoint may ask for before it is refused. A file within the limits costs memory in proportion to its size.
public struct PyTorchLimits: Sendable, Equatable {
    /// Files of the zip archive. The largest published checkpoints have a few thousand tensors in a file.
    public var archiveEntries = 65_536
    /// Bytes of `data.pkl`, which describes the tensors.
    public var pickleBytes = 16 << 20
    /// Objects that `data.pkl` makes: a tensor takes about ten.
    public var pickleObjects = 1 << 20
    /// Axes of one tensor, as in NumPy before 2.0.
    public var rank = 32
    /// UTF-8 bytes of one tensor name.
    public var nameBytes = 1024
    /// Decompressed bytes, and bytes of views that are not dense, together: so many, and so many a byte of the file. Checkpoints are
    /// stored uncompressed, and hardly any has such views.
    public var expansionBytes = 16 << 20
    public var expansionRatio = 16

    public init() {}

    public static let `default` = PyTorchLimits()

    /// What may be allocated for a file of that size.
    func budget(fileBytes: Int) -> Int {
        let (product, overflow) = fileBytes.multipliedReportingOverflow(by: expansionRatio)
        return overflow
            ? Int.max : product.addingReportingOverflow(expansionBytes).overflow ? Int.max : product + expansionBytes
    }
}
