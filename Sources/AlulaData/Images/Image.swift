import Foundation

/// An 8-bit RGB picture: rows from the top, pixels from the left, three bytes each.
///
/// Reading matches what Python programs get from Pillow with `ImageOps.exif_transpose(Image.open(path)).convert("RGB")`,
/// byte for byte: palettes are looked up, alpha is dropped (not blended), CMYK is converted without a colour profile, and
/// the picture is turned upright as its EXIF orientation says. Two cases differ on purpose: 16-bit gray keeps its high byte
/// (Pillow clips at 255, so that most of the picture is white), and a file that ends early is an error.
public struct Image: Sendable, Equatable {
    /// Bytes a pixel.
    public static let channels = 3

    public let width: Int
    public let height: Int
    /// `height * width * 3` bytes, red first.
    public let bytes: [UInt8]

    /// A picture of the given RGB bytes.
    public init(width: Int, height: Int, bytes: [UInt8]) throws(ImageError) {
        let pixels = try ImageLimits.none.checkedPixels(width: width, height: height)
        guard bytes.count == pixels * Image.channels else {
            throw .byteCount(expected: pixels * Image.channels, found: bytes.count)
        }
        self.init(uncheckedWidth: width, height: height, bytes: bytes)
    }

    init(uncheckedWidth width: Int, height: Int, bytes: [UInt8]) {
        self.width = width
        self.height = height
        self.bytes = bytes
    }

    /// Reads a JPEG or PNG file; its name's extension plays no part.
    public init(contentsOf path: String, limits: ImageLimits = .standard) throws(ImageError) {
        let data = try Image.read(path, limit: limits.fileBytes)
        self = try data.withImageBytes { (bytes) throws(ImageError) in try Image(decoding: bytes, limits: limits) }
    }

    /// Decodes the contents of a JPEG or PNG file.
    public init(decoding bytes: [UInt8], limits: ImageLimits = .standard) throws(ImageError) {
        self = try bytes.withImageBytes { (bytes) throws(ImageError) in try Image(decoding: bytes, limits: limits) }
    }

    /// Decodes the contents of a JPEG or PNG file.
    public init(decoding bytes: UnsafeRawBufferPointer, limits: ImageLimits = .standard) throws(ImageError) {
        guard bytes.count <= limits.fileBytes else { throw .fileTooLarge(limit: limits.fileBytes) }
        guard let format = ImageFormat(signatureOf: bytes) else {
            throw .unknownFormat(firstBytes: Array(bytes.prefix(8)))
        }
        let stored = try ImageDecoder(format: format, bytes: bytes).decode(limits: limits)
        self = stored.oriented(ExifOrientation(of: format, in: bytes))
    }

    private static func read(_ path: String, limit: Int) throws(ImageError) -> Data {
        do {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            let data = try file.read(upToCount: limit == .max ? limit : limit + 1) ?? Data()
            guard data.count <= limit else { throw ImageError.fileTooLarge(limit: limit) }
            return data
        } catch let error as ImageError {
            throw error
        } catch {
            throw .unreadable(reason: systemReason(error))
        }
    }
}

/// The operating system's words for a Foundation error, without the file's name.
func systemReason(_ error: any Error) -> String {
    let error = error as NSError
    let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError ?? error
    if cause.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(cause.code))) }
    switch (error as? CocoaError)?.code {
    case .fileNoSuchFile, .fileReadNoSuchFile: return String(cString: strerror(ENOENT))
    case .fileReadNoPermission, .fileWriteNoPermission: return String(cString: strerror(EACCES))
    default: return error.localizedDescription
    }
}

extension ContiguousBytes {
    /// `withUnsafeBytes` that keeps the error's type.
    func withImageBytes<Success>(
        _ body: (UnsafeRawBufferPointer) throws(ImageError) -> Success
    ) throws(ImageError) -> Success {
        let result = withUnsafeBytes { bytes in
            Result { () throws(ImageError) in try body(bytes) }
        }
        return try result.get()
    }
}
