// Resizing as Pillow 13 does it: one axis, rounded to bytes, then the other, rounded again.

extension Image {
    /// The picture scaled to a new size; equal to the `resize` of Pillow 13 with the same filter, byte for byte.
    ///
    /// Pillow 13 scales the height first where it shrinks by more than twice the pixels that the width does; earlier
    /// versions never did, and differ there by a few levels. With one factor for both sides this concerns only pictures
    /// more than twice as high as wide.
    public func resized(
        width newWidth: Int, height newHeight: Int, filter: ResizeFilter = .bicubic, limits: ImageLimits = .standard
    ) throws(ImageError) -> Image {
        let count = try limits.checkedPixels(width: newWidth, height: newHeight) * Image.channels
        if newWidth == width, newHeight == height { return self }
        if filter == .nearest { return nearest(newWidth, newHeight) }

        let columns = newWidth == width ? nil : ResizeWeights(from: width, to: newWidth, filter: filter)
        let rows = newHeight == height ? nil : ResizeWeights(from: height, to: newHeight, filter: filter)
        let heightFirst = newHeight < height && height - newHeight > 2 * (width - newWidth)
        if let rows, !heightFirst {
            _ = try limits.checkedPixels(width: newWidth, height: rows.window)  // what is kept meanwhile
        }
        let scaled = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            bytes.withUnsafeBufferPointer { bytes in
                let source = PixelRows(pixels: bytes, stride: width * Image.channels)
                let target = MutablePixelRows(pixels: target, stride: newWidth * Image.channels)
                switch (columns, rows) {
                case (let columns?, let rows?) where heightFirst:
                    scaleHeightThenWidth(source, into: target, columns: columns, rows: rows)
                case (let columns?, let rows?): scaleWidthThenHeight(source, into: target, columns: columns, rows: rows)
                case (let columns?, nil): for y in 0..<height { mixColumns(source[y], into: target[y], columns) }
                case (nil, let rows?): scaleHeight(source, into: target, rows: rows)
                case (nil, nil): break
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

private struct PixelRows {
    let pixels: UnsafeBufferPointer<UInt8>
    let stride: Int

    subscript(y: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: pixels[(y * stride)..<((y + 1) * stride)])
    }
}

private struct MutablePixelRows {
    let pixels: UnsafeMutableBufferPointer<UInt8>
    let stride: Int

    subscript(y: Int) -> UnsafeMutableBufferPointer<UInt8> {
        UnsafeMutableBufferPointer(rebasing: pixels[(y * stride)..<((y + 1) * stride)])
    }
}

/// Of the rows whose width is scaled, only those under the current row's window are kept.
private func scaleWidthThenHeight(
    _ source: PixelRows, into target: MutablePixelRows, columns: ResizeWeights, rows: ResizeWeights
) {
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: rows.window * target.stride)
    defer { buffer.deallocate() }
    let kept = MutablePixelRows(pixels: buffer, stride: target.stride)
    var ready = 0  // the next source row to scale
    for y in rows.spans.indices {
        ready = max(ready, rows.spans[y].first)
        mixRows(y, rows, into: target[y]) { inputRow in
            let slot = kept[inputRow % rows.window]
            if inputRow == ready {
                mixColumns(source[inputRow], into: slot, columns)
                ready += 1
            }
            return UnsafeBufferPointer(slot)
        }
    }
}

private func scaleHeightThenWidth(
    _ source: PixelRows, into target: MutablePixelRows, columns: ResizeWeights, rows: ResizeWeights
) {
    let line = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: source.stride)
    defer { line.deallocate() }
    for y in rows.spans.indices {
        mixRows(y, rows, into: line) { source[$0] }
        mixColumns(UnsafeBufferPointer(line), into: target[y], columns)
    }
}

private func scaleHeight(_ source: PixelRows, into target: MutablePixelRows, rows: ResizeWeights) {
    for y in rows.spans.indices { mixRows(y, rows, into: target[y]) { source[$0] } }
}

/// Mixes the rows under the window of output row `y` into it.
private func mixRows(
    _ y: Int, _ rows: ResizeWeights, into target: UnsafeMutableBufferPointer<UInt8>,
    inputRow: (Int) -> UnsafeBufferPointer<UInt8>
) {
    let span = rows.spans[y]
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: target.count) { sums in
        sums.initialize(repeating: 1 << (ResizeWeights.fractionBits - 1))
        for tap in 0..<span.count {
            let input = inputRow(span.first + tap)
            let weight = rows.values[y * rows.window + tap]
            for index in 0..<target.count { sums[index] &+= Int32(input[index]) &* weight }
        }
        for index in 0..<target.count { target[index] = byte(sums[index]) }
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
