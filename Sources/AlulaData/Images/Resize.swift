// Resizing as Pillow does it: along rows first, rounded to bytes, then along columns, rounded again.

extension Image {
    /// The picture scaled to a new size; equal to Pillow's `resize` with the same filter, byte for byte.
    public func resized(
        width newWidth: Int, height newHeight: Int, filter: ResizeFilter = .bicubic, limits: ImageLimits = .standard
    ) throws(ImageError) -> Image {
        let count = try limits.checkedPixels(width: newWidth, height: newHeight) * Image.channels
        if newWidth == width, newHeight == height { return self }
        if filter == .nearest { return nearest(newWidth, newHeight) }

        let columns = newWidth == width ? nil : ResizeWeights(from: width, to: newWidth, filter: filter)
        let rows = newHeight == height ? nil : ResizeWeights(from: height, to: newHeight, filter: filter)
        if let rows { _ = try limits.checkedPixels(width: newWidth, height: rows.window) }  // rows kept meanwhile
        let scaled = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            bytes.withUnsafeBufferPointer { source in
                if let rows {
                    mixRows(source, width: width, into: target, width: newWidth, columns: columns, rows: rows)
                } else if let columns {
                    for y in 0..<height {
                        mixColumns(row(y, of: source, width: width), into: row(y, of: target, width: newWidth), columns)
                    }
                }
            }
            initialized = count
        }
        return Image(uncheckedWidth: newWidth, height: newHeight, bytes: scaled)
    }

    private func nearest(_ newWidth: Int, _ newHeight: Int) -> Image {
        let columns = nearestPositions(from: width, to: newWidth)
        let rows = nearestPositions(from: height, to: newHeight)
        let count = newWidth * newHeight * Image.channels
        let scaled = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            var position = 0
            for y in rows {
                for x in columns {
                    let from = (y * width + x) * Image.channels
                    for channel in 0..<Image.channels { target[position + channel] = bytes[from + channel] }
                    position += Image.channels
                }
            }
            initialized = count
        }
        return Image(uncheckedWidth: newWidth, height: newHeight, bytes: scaled)
    }
}

/// The input under each output's centre. The centre is found by repeated addition, whose rounding Pillow shares.
private func nearestPositions(from inputSize: Int, to outputSize: Int) -> [Int] {
    let step = Double(inputSize) / Double(outputSize)
    var center = step * 0.5
    return (0..<outputSize).map { _ in
        defer { center += step }
        return min(Int(center), inputSize - 1)
    }
}

private func row(_ y: Int, of pixels: UnsafeBufferPointer<UInt8>, width: Int) -> UnsafeBufferPointer<UInt8> {
    let stride = width * Image.channels
    return UnsafeBufferPointer(rebasing: pixels[(y * stride)..<((y + 1) * stride)])
}

private func row(_ y: Int, of pixels: UnsafeMutableBufferPointer<UInt8>, width: Int)
    -> UnsafeMutableBufferPointer<UInt8>
{
    let stride = width * Image.channels
    return UnsafeMutableBufferPointer(rebasing: pixels[(y * stride)..<((y + 1) * stride)])
}

/// Fills `target` row by row. Of the rows scaled along their length only those under the current window are kept.
private func mixRows(
    _ source: UnsafeBufferPointer<UInt8>, width: Int, into target: UnsafeMutableBufferPointer<UInt8>,
    width newWidth: Int, columns: ResizeWeights?, rows: ResizeWeights
) {
    let stride = newWidth * Image.channels
    let kept = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: columns == nil ? 0 : rows.window * stride)
    let sums = UnsafeMutableBufferPointer<Int32>.allocate(capacity: stride)
    defer {
        kept.deallocate()
        sums.deallocate()
    }
    var ready = 0  // the next source row to scale
    for (y, span) in rows.spans.enumerated() {
        sums.initialize(repeating: 1 << (ResizeWeights.fractionBits - 1))
        ready = max(ready, span.first)
        for tap in 0..<span.count {
            let inputRow = span.first + tap
            let input: UnsafeBufferPointer<UInt8>
            if let columns {
                let slot = row(inputRow % rows.window, of: kept, width: newWidth)
                if inputRow == ready {
                    mixColumns(row(inputRow, of: source, width: width), into: slot, columns)
                    ready += 1
                }
                input = UnsafeBufferPointer(slot)
            } else {
                input = row(inputRow, of: source, width: width)
            }
            let weight = rows.values[y * rows.window + tap]
            for index in 0..<stride { sums[index] &+= Int32(input[index]) &* weight }
        }
        let output = row(y, of: target, width: newWidth)
        for index in 0..<stride { output[index] = byte(sums[index]) }
    }
}

/// Scales one row along its length.
private func mixColumns(
    _ source: UnsafeBufferPointer<UInt8>, into target: UnsafeMutableBufferPointer<UInt8>, _ columns: ResizeWeights
) {
    columns.values.withUnsafeBufferPointer { values in
        for (x, span) in columns.spans.enumerated() {
            let half: Int32 = 1 << (ResizeWeights.fractionBits - 1)
            var (red, green, blue) = (half, half, half)
            var position = span.first * Image.channels
            for index in (x * columns.window)..<(x * columns.window + span.count) {
                let weight = values[index]
                red &+= Int32(source[position]) &* weight
                green &+= Int32(source[position + 1]) &* weight
                blue &+= Int32(source[position + 2]) &* weight
                position += Image.channels
            }
            target[x * Image.channels] = byte(red)
            target[x * Image.channels + 1] = byte(green)
            target[x * Image.channels + 2] = byte(blue)
        }
    }
}

@inline(__always)
private func byte(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(max(sum >> Int32(ResizeWeights.fractionBits), 0), 255))
}
