/// How much a file may ask for before it is refused. The limits of names, axes, groups and objects are in `Reader/walk.h`.
public struct HDF5Limits: Sendable, Equatable {
    /// Tensors of a file, and names that its attributes list.
    public var objects = 65_536
    /// UTF-8 bytes of one path in the file.
    public var nameBytes = 1024
    public var rank = 32
    /// Bytes of all tensors together: so many, and so many a byte of the file. Keras stores uncompressed; gzip hardly reaches 2.
    public var expansionBytes = 16 << 20
    public var expansionRatio = 16
    /// Processor time of the reader: so many seconds, and one more for so many bytes of the file.
    public var seconds = 4
    public var bytesPerSecond = 16 << 20
    /// Milliseconds that the reader may be silent.
    public var silence = 60_000

    public init() {}

    public static let `default` = HDF5Limits()

    func budget(fileBytes: Int) -> Int {
        let (product, overflow) = fileBytes.multipliedReportingOverflow(by: expansionRatio)
        return overflow || product > Int.max / 4 ? Int.max / 4 : product + expansionBytes
    }

    func processorSeconds(fileBytes: Int) -> Int { seconds + fileBytes / bytesPerSecond }
}
