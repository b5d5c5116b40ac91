import CImageCodecs

/// Reads the pixels of one file as they are stored, not yet turned upright.
struct ImageDecoder {
    let format: ImageFormat
    let bytes: UnsafeRawBufferPointer

    func decode(limits: ImageLimits) throws(ImageError) -> Image {
        var info = alula_codec_info()
        try check(header(&info), info)
        let (width, height) = (Int(info.width), Int(info.height))
        let count = try limits.checkedPixels(width: width, height: height) * Int(info.components)

        var status = ALULA_CODEC_OK
        let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            status = decode(into: buffer, &info)
            initialized = status == ALULA_CODEC_OK ? count : 0
        }
        try check(status, info)
        return Image(
            uncheckedWidth: width, height: height, bytes: info.components == 4 ? rgb(invertedCMYK: pixels) : pixels)
    }

    private func header(_ info: inout alula_codec_info) -> alula_codec_status {
        let start = bytes.assumingMemoryBound(to: UInt8.self).baseAddress
        switch format {
        case .jpeg: return alula_jpeg_header(start, bytes.count, &info)
        case .png: return alula_png_header(start, bytes.count, &info)
        }
    }

    private func decode(into pixels: UnsafeMutableBufferPointer<UInt8>, _ info: inout alula_codec_info)
        -> alula_codec_status
    {
        let start = bytes.assumingMemoryBound(to: UInt8.self).baseAddress
        switch format {
        case .jpeg: return alula_jpeg_decode(start, bytes.count, pixels.baseAddress, pixels.count, &info)
        case .png: return alula_png_decode(start, bytes.count, pixels.baseAddress, pixels.count, &info)
        }
    }

    private func check(_ status: alula_codec_status, _ info: alula_codec_info) throws(ImageError) {
        if status == ALULA_CODEC_OK { return }
        let reason = withUnsafeBytes(of: info.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        switch status {
        case ALULA_CODEC_TRUNCATED: throw .truncated(format, reason: reason)
        case ALULA_CODEC_UNSUPPORTED: throw .unsupported(format, reason: reason)
        case ALULA_CODEC_MEMORY: throw .outOfMemory(format)
        default: throw .corrupt(format, reason: reason)
        }
    }
}

/// RGB of a JPEG's CMYK, which Adobe's convention (and practically every file) stores inverted: 255 is no ink.
///
/// The product of two inverted values is rounded as Pillow rounds it.
private func rgb(invertedCMYK stored: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: stored.count / 4 * 3) { rgb, initialized in
        for pixel in 0..<stored.count / 4 {
            let light = Int(stored[4 * pixel + 3])
            for channel in 0..<3 {
                let product = (255 - Int(stored[4 * pixel + channel])) * light + 128
                let absorbed = ((product >> 8) + product) >> 8
                rgb[3 * pixel + channel] = UInt8(max(0, light - absorbed))
            }
        }
        initialized = stored.count / 4 * 3
    }
}
