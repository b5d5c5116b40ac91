/// How a camera was held: where the first stored row and column belong in the upright picture (EXIF tag 0x0112).
enum ExifOrientation: Int, CaseIterable {
    case upright = 1
    case mirrored
    case upsideDown
    case upsideDownMirrored
    case transposed
    case turnedLeft  // shown after a quarter turn clockwise
    case transversed
    case turnedRight  // shown after a quarter turn counterclockwise

    /// The orientation that a file states; upright where it states none or where its EXIF block is damaged.
    init(of format: ImageFormat, in file: UnsafeRawBufferPointer) {
        let block =
            switch format {
            case .jpeg: exifBlock(jpeg: file)
            case .png: exifBlock(png: file)
            }
        self = block.flatMap(orientationTag).flatMap(ExifOrientation.init(rawValue:)) ?? .upright
    }
}

/// Reads unsigned numbers at offsets that a file states, nil beyond its end.
private struct TIFFReader {
    let bytes: UnsafeRawBufferPointer
    var littleEndian = false

    func integer(at offset: Int, bytes count: Int) -> Int? {
        guard offset >= 0, offset <= bytes.count, count <= bytes.count - offset else { return nil }
        var value = 0
        for index in 0..<count {
            value = value << 8 | Int(bytes[offset + (littleEndian ? count - 1 - index : index)])
        }
        return value
    }
}

/// The first APP1 segment that holds EXIF, without its six bytes of name.
private func exifBlock(jpeg file: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    let reader = TIFFReader(bytes: file)
    var offset = 2  // after the start-of-image marker
    while let lead = reader.integer(at: offset, bytes: 1), lead == 0xFF,
        let marker = reader.integer(at: offset + 1, bytes: 1)
    {
        if marker == 0xFF {  // a fill byte
            offset += 1
            continue
        }
        if marker == 0x01 || (0xD0...0xD8).contains(marker) {  // markers without a length
            offset += 2
            continue
        }
        guard marker != 0xDA, marker != 0xD9, let length = reader.integer(at: offset + 2, bytes: 2), length >= 2,
            length <= file.count - offset - 2
        else { return nil }
        let segment = UnsafeRawBufferPointer(rebasing: file[(offset + 4)..<(offset + 2 + length)])
        if marker == 0xE1, segment.starts(with: [0x45, 0x78, 0x69, 0x66, 0, 0]) {  // "Exif"
            return UnsafeRawBufferPointer(rebasing: segment.dropFirst(6))
        }
        offset += 2 + length
    }
    return nil
}

/// The contents of the eXIf chunk.
private func exifBlock(png file: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    let reader = TIFFReader(bytes: file)
    var offset = 8  // after the signature
    while let length = reader.integer(at: offset, bytes: 4), let name = reader.integer(at: offset + 4, bytes: 4),
        length <= file.count - offset - 8
    {
        if name == 0x6558_4966 {  // "eXIf"
            return UnsafeRawBufferPointer(rebasing: file[(offset + 8)..<(offset + 8 + length)])
        }
        offset += 12 + length
    }
    return nil
}

/// The orientation entry of the first directory of a TIFF structure.
private func orientationTag(_ block: UnsafeRawBufferPointer) -> Int? {
    var reader = TIFFReader(bytes: block)
    switch reader.integer(at: 0, bytes: 4) {
    case 0x4949_2A00: reader.littleEndian = true
    case 0x4D4D_002A: reader.littleEndian = false
    default: return nil
    }
    guard let directory = reader.integer(at: 4, bytes: 4), let count = reader.integer(at: directory, bytes: 2) else {
        return nil
    }
    for index in 0..<count {
        let entry = directory + 2 + 12 * index
        guard let tag = reader.integer(at: entry, bytes: 2) else { return nil }
        guard tag == 0x0112 else { continue }
        switch reader.integer(at: entry + 2, bytes: 2) {
        case 1: return reader.integer(at: entry + 8, bytes: 1)
        case 3: return reader.integer(at: entry + 8, bytes: 2)
        case 4: return reader.integer(at: entry + 8, bytes: 4)
        default: return nil
        }
    }
    return nil
}

extension Image {
    /// The upright picture of one that a camera stored in the given orientation.
    func oriented(_ orientation: ExifOrientation) -> Image {
        // Where the pixel at the upright picture's (0, 0) lies, and the steps in pixels for one to the right and one down.
        let (right, bottom) = (width - 1, (height - 1) * width)
        let (start, column, row, turned): (Int, Int, Int, Bool)
        switch orientation {
        case .upright: return self
        case .mirrored: (start, column, row, turned) = (right, -1, width, false)
        case .upsideDown: (start, column, row, turned) = (right + bottom, -1, -width, false)
        case .upsideDownMirrored: (start, column, row, turned) = (bottom, 1, -width, false)
        case .transposed: (start, column, row, turned) = (0, width, 1, true)
        case .turnedLeft: (start, column, row, turned) = (bottom, -width, 1, true)
        case .transversed: (start, column, row, turned) = (right + bottom, -width, -1, true)
        case .turnedRight: (start, column, row, turned) = (right, width, -1, true)
        }
        let (newWidth, newHeight) = turned ? (height, width) : (width, height)
        let upright = [UInt8](unsafeUninitializedCapacity: bytes.count) { target, initialized in
            bytes.withUnsafeBufferPointer { source in
                var position = 0
                for y in 0..<newHeight {
                    var from = (start + y * row) * Image.channels
                    for _ in 0..<newWidth {
                        for channel in 0..<Image.channels { target[position + channel] = source[from + channel] }
                        position += Image.channels
                        from += column * Image.channels
                    }
                }
            }
            initialized = bytes.count
        }
        return Image(uncheckedWidth: newWidth, height: newHeight, bytes: upright)
    }
}
