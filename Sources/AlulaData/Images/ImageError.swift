/// The picture formats that Alula reads, told apart by a file's first bytes.
public enum ImageFormat: String, Sendable, Equatable {
    case jpeg = "JPEG"
    case png = "PNG"

    /// The format whose signature `bytes` starts with.
    init?(signatureOf bytes: UnsafeRawBufferPointer) {
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else {
            return nil
        }
    }
}

/// Why a picture could not be read, made or written. The file's name is the caller's to add.
public enum ImageError: Error, Equatable {
    /// The file could not be opened or read.
    case unreadable(reason: String)
    /// The file could not be created or written.
    case unwritable(reason: String)
    /// The file is larger than `limit` bytes.
    case fileTooLarge(limit: Int)
    /// Neither JPEG nor PNG; `firstBytes` holds up to eight bytes of what was found.
    case unknownFormat(firstBytes: [UInt8])
    /// The file ends before its picture does.
    case truncated(ImageFormat, reason: String)
    /// The file contradicts its format.
    case corrupt(ImageFormat, reason: String)
    /// A valid file of a kind that is not read, such as a 12-bit JPEG.
    case unsupported(ImageFormat, reason: String)
    /// The picture has, or would get, more than `limit` pixels.
    case tooManyPixels(width: Int, height: Int, limit: Int)
    /// The picture is, or would get, more than `limit` pixels wide or high.
    case sideTooLong(width: Int, height: Int, limit: Int)
    /// A side is zero or negative.
    case invalidSize(width: Int, height: Int)
    /// The bytes handed over do not make a picture of the size named.
    case byteCount(expected: Int, found: Int)
    /// The codec could not allocate its working memory.
    case outOfMemory(ImageFormat)
}

extension ImageError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreadable(let reason): return "cannot be read: \(reason)"
        case .unwritable(let reason): return "cannot be written: \(reason)"
        case .fileTooLarge(let limit): return "is larger than the limit of \(limit) bytes"
        case .unknownFormat(let firstBytes):
            let found = firstBytes.isEmpty ? "it is empty" : "it starts with the bytes \(firstBytes.map(hexadecimal))"
            return "is neither a JPEG nor a PNG picture (\(found))"
        case .truncated(let format, let reason): return "is a truncated \(format.rawValue) picture: \(reason)"
        case .corrupt(let format, let reason): return "is a damaged \(format.rawValue) picture: \(reason)"
        case .unsupported(let format, let reason):
            return "is a \(format.rawValue) picture of a kind that is not supported: \(reason)"
        case .tooManyPixels(let width, let height, let limit):
            return "has \(width) x \(height) pixels, more than the limit of \(limit)"
        case .sideTooLong(let width, let height, let limit):
            return "is \(width) x \(height), a side longer than the limit of \(limit)"
        case .invalidSize(let width, let height): return "\(width) x \(height) is no size of a picture"
        case .byteCount(let expected, let found): return "\(found) bytes given where the size asks for \(expected)"
        case .outOfMemory(let format): return "needs more memory than there is to decode \(format.rawValue)"
        }
    }
}

private func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
}

/// What a picture may cost before it is refused. Checked from the header, before memory is allocated.
public struct ImageLimits: Sendable, Equatable {
    /// Pillow refuses pictures beyond the same number of pixels.
    public static let standard = ImageLimits(pixels: 178_956_970, side: 1 << 20, fileBytes: 256 << 20)

    /// Most pixels a picture may have.
    public var pixels: Int
    /// Most pixels of its width and of its height; bounds the tables that resizing needs.
    public var side: Int
    /// Most bytes a file may have.
    public var fileBytes: Int

    static let none = ImageLimits(pixels: .max, side: .max, fileBytes: .max)

    public init(pixels: Int = standard.pixels, side: Int = standard.side, fileBytes: Int = standard.fileBytes) {
        self.pixels = pixels
        self.side = side
        self.fileBytes = fileBytes
    }

    /// The number of pixels, when the size is positive and within the limit.
    func checkedPixels(width: Int, height: Int) throws(ImageError) -> Int {
        guard width > 0, height > 0 else { throw .invalidSize(width: width, height: height) }
        guard max(width, height) <= side else { throw .sideTooLong(width: width, height: height, limit: side) }
        let (count, overflow) = width.multipliedReportingOverflow(by: height)
        guard !overflow, count <= min(pixels, Int.max / Image.channels / 2) else {
            throw .tooManyPixels(width: width, height: height, limit: pixels)
        }
        return count
    }
}
