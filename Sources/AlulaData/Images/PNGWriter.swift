import CImageCodecs
import Foundation

extension Image {
    /// The picture as the contents of a PNG file.
    public func pngData() throws(ImageError) -> [UInt8] {
        try encodePNG(bytes, width: width, height: height, channels: Image.channels)
    }

    /// Writes the picture as a PNG file, replacing what is there.
    public func write(toPNG path: String) throws(ImageError) {
        try writeFile(pngData(), path)
    }
}

/// The contents of a PNG file of 8-bit gray (one channel) or RGB (three channels), for pictures and plots.
package func encodePNG(_ pixels: [UInt8], width: Int, height: Int, channels: Int) throws(ImageError) -> [UInt8] {
    precondition(channels == 1 || channels == 3, "a PNG is written with one channel or three")
    let count = try ImageLimits.none.checkedPixels(width: width, height: height) * channels
    guard width <= Int(Int32.max), height <= Int(Int32.max) else { throw .invalidSize(width: width, height: height) }
    guard pixels.count == count else { throw .byteCount(expected: count, found: pixels.count) }

    var file: [UInt8] = []
    var info = alula_codec_info()
    let status = withUnsafeMutablePointer(to: &file) { file in
        alula_png_encode(
            pixels, UInt32(width), UInt32(height), UInt32(channels),
            { context, bytes, count in
                guard let context, let bytes else { return }
                let file = context.assumingMemoryBound(to: [UInt8].self)
                file.pointee.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
            }, file, &info)
    }
    guard status == ALULA_CODEC_OK else { throw .outOfMemory(.png) }
    return file
}

private func writeFile(_ bytes: [UInt8], _ path: String) throws(ImageError) {
    do {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    } catch {
        throw .unwritable(reason: systemReason(error))
    }
}
