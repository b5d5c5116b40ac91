/// How a centred crop splits an odd margin.
public enum CropRounding: String, Sendable, CaseIterable {
    /// The offset is rounded down (and so, below zero, the padding in front up), as Hugging Face does.
    case down
    /// The offset is rounded half to even and the padding in front down, as torchvision, and so timm, does.
    case halfToEven

    /// Where the crop starts along one axis; negative where it starts in the padding.
    func offset(size: Int, crop: Int) -> Int {
        let margin = size - crop
        switch self {
        case .down: return margin >> 1
        case .halfToEven:
            guard margin > 0 else { return margin / 2 }
            let half = margin / 2
            return margin % 2 == 1 && half % 2 == 1 ? half + 1 : half
        }
    }
}

extension Image {
    /// The middle of the picture, with black around it where the picture is smaller.
    public func centerCropped(
        width newWidth: Int, height newHeight: Int, rounding: CropRounding = .down, limits: ImageLimits = .standard
    ) throws(ImageError) -> Image {
        let count = try limits.checkedPixels(width: newWidth, height: newHeight) * Image.channels
        if newWidth == width, newHeight == height { return self }
        let left = rounding.offset(size: width, crop: newWidth)
        let top = rounding.offset(size: height, crop: newHeight)
        let columns = max(left, 0)..<min(left + newWidth, width)

        let cropped = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            target.initialize(repeating: 0)
            bytes.withUnsafeBufferPointer { source in
                for y in max(top, 0)..<min(top + newHeight, height) {
                    let from = (y * width + columns.lowerBound) * Image.channels
                    let to = ((y - top) * newWidth + columns.lowerBound - left) * Image.channels
                    for index in 0..<(columns.count * Image.channels) { target[to + index] = source[from + index] }
                }
            }
            initialized = count
        }
        return Image(uncheckedWidth: newWidth, height: newHeight, bytes: cropped)
    }
}
