import AlulaGraph
import Foundation

/// Random changes to pictures that leave what they show the same. Every step takes its randomness from one generator, so that a seed
/// decides everything.
public struct ImageAugmentation: Sendable, Equatable {
    /// Zeros around the picture from which a crop of its own size is taken; 0 for none.
    public var padding = 0
    /// The share of the area that a random crop keeps, resized to the picture's size; nil for none.
    public var cropScale: ClosedRange<Double>?
    /// Mirrors half of the pictures.
    public var flips = false
    /// RandAugment: operations one after another, and their strength in 0…10 (Cubuk et al., NeurIPS 2020).
    public var operations = 0
    public var magnitude = 9.0
    /// Standard deviation of the strength, as timm's `mstd`.
    public var magnitudeDeviation = 0.5
    /// Largest relative change of brightness, contrast and saturation.
    public var colorJitter = 0.0

    public init() {}

    public func applied(to image: Image, using random: inout SplitMix64) throws(ImageError) -> Image {
        var image = image
        if let cropScale { image = try image.randomResizedCrop(scale: cropScale, using: &random) }
        if padding > 0 { image = image.shifted(upTo: padding, using: &random) }
        if flips, random.chance(0.5) { image = image.mirrored() }
        for _ in 0..<operations {
            let strength = max(0, min(10, magnitude + magnitudeDeviation * random.normal())) / 10
            let operation = ImageOperation.allCases[random.integer(0..<ImageOperation.allCases.count)]
            image = operation.applied(to: image, strength: random.chance(0.5) ? strength : -strength)
        }
        if colorJitter > 0 {
            for operation in [ImageOperation.brightness, .contrast, .saturation] {
                let factor = random.uniform(-colorJitter...colorJitter)
                image = operation.applied(to: image, strength: factor / 0.9)
            }
        }
        return image
    }
}

/// One operation of RandAugment, each with the bytes that torchvision gives for Pillow's pictures. Strength lies in -1…1; 0 leaves the
/// picture as it is, and 1 is RandAugment's largest magnitude. Those that have no magnitude there are blended in by theirs.
public enum ImageOperation: String, Sendable, CaseIterable {
    case brightness, contrast, saturation, sharpness, posterize, solarize, autoContrast, equalize
    case rotate, shearX, shearY, translateX, translateY

    public func applied(to image: Image, strength: Double) -> Image {
        guard strength != 0 else { return image }
        switch self {
        case .brightness: return image.mapped { Image.blended(0, $0, 1 + 0.9 * strength) }
        case .contrast: return image.contrasted(1 + 0.9 * strength)
        case .saturation: return image.saturated(1 + 0.9 * strength)
        case .sharpness: return image.sharpened(1 + 0.9 * strength)
        case .posterize:
            let bits = UInt8(8 - Int((4 * abs(strength)).rounded()))
            let mask = bits >= 8 ? 0xFF : UInt8.max << (8 - bits)
            return image.mapped { $0 & mask }
        case .solarize:
            let limit = 256 * (1 - abs(strength))
            return image.mapped { Double($0) >= limit ? 255 - $0 : $0 }
        case .autoContrast: return image.stretched(share: abs(strength))
        case .equalize: return image.equalized(share: abs(strength))
        case .rotate:
            let angle = strength * 30 * .pi / 180
            return image.affine(cos(angle), -sin(angle), 0, sin(angle), cos(angle), 0)
        case .shearX: return image.affine(1, 0.3 * strength, 0, 0, 1, 0)
        case .shearY: return image.affine(1, 0, 0, 0.3 * strength, 1, 0)
        case .translateX: return image.affine(1, 0, 0.45 * strength * Double(image.width), 0, 1, 0)
        case .translateY: return image.affine(1, 0, 0, 0, 1, 0.45 * strength * Double(image.height))
        }
    }
}

/// Sides of a box by its area and their ratio, as torchvision rounds them.
package func sides(area: Double, aspect: Double) -> (Int, Int) {
    let (long, short) = ((area * aspect).squareRoot(), (area / aspect).squareRoot())
    return (Int(long.rounded(.toNearestOrEven)), Int(short.rounded(.toNearestOrEven)))
}

extension Image {
    static func clamped(_ value: Double) -> UInt8 { UInt8(max(0, min(255, value.rounded()))) }

    /// Pillow's `Image.blend`: from `a` at factor 0 over `b` at 1 and beyond, in f32 and cut off, not rounded.
    static func blended(_ a: UInt8, _ b: UInt8, _ factor: Double) -> UInt8 {
        UInt8(max(0, min(255, Float(a) + Float(factor) * Float(Int(b) - Int(a)))))
    }

    func mapped(_ transform: (UInt8) -> UInt8) -> Image {
        let table = (0...255).map { transform(UInt8($0)) }
        return Image(uncheckedWidth: width, height: height, bytes: bytes.map { table[Int($0)] })
    }

    /// Left and right exchanged.
    public func mirrored() -> Image { gathered { x, y in (width - 1 - x, y) } }

    /// Moved by up to `distance` pixels each way, with black where nothing was: a random crop of the padded picture.
    func shifted(upTo distance: Int, using random: inout SplitMix64) -> Image {
        let right = random.integer(-distance..<distance + 1)
        return moved(fromRight: right, fromBelow: random.integer(-distance..<distance + 1))
    }

    package func moved(fromRight right: Int, fromBelow down: Int) -> Image {
        right == 0 && down == 0 ? self : gathered { x, y in (x + right, y + down) }
    }

    /// A part with `scale` of the area and an aspect of 3/4 to 4/3, resized to the whole's size (torchvision's RandomResizedCrop).
    func randomResizedCrop(scale: ClosedRange<Double>, using random: inout SplitMix64) throws(ImageError) -> Image {
        for _ in 0..<10 {
            let area = Double(width * height) * random.uniform(scale)
            let aspect = exp(random.uniform(log(3.0 / 4)...log(4.0 / 3)))
            let (w, h) = sides(area: area, aspect: aspect)
            guard w > 0, h > 0, w <= width, h <= height else { continue }
            let (left, top) = (random.integer(0..<width - w + 1), random.integer(0..<height - h + 1))
            return try part(left, top, w, h).resized(width: width, height: height, filter: .bilinear)
        }
        return self
    }

    package func part(_ left: Int, _ top: Int, _ width: Int, _ height: Int) -> Image {
        var cut: [UInt8] = []
        cut.reserveCapacity(3 * width * height)
        for y in top..<top + height {
            let start = 3 * (y * self.width + left)
            cut += bytes[start..<start + 3 * width]
        }
        return Image(uncheckedWidth: width, height: height, bytes: cut)
    }

    /// Every pixel from the place that `source` names; black where that is outside.
    private func gathered(_ source: (Int, Int) -> (Int, Int)) -> Image {
        var result = [UInt8](repeating: 0, count: bytes.count)
        for y in 0..<height {
            for x in 0..<width {
                let (fromX, fromY) = source(x, y)
                guard fromX >= 0, fromX < width, fromY >= 0, fromY < height else { continue }
                let (to, from) = (3 * (y * width + x), 3 * (fromY * width + fromX))
                for channel in 0..<3 { result[to + channel] = bytes[from + channel] }
            }
        }
        return Image(uncheckedWidth: width, height: height, bytes: result)
    }

    /// An affine map around the middle with the nearest pixel of each place.
    func affine(_ a: Double, _ b: Double, _ right: Double, _ c: Double, _ d: Double, _ down: Double) -> Image {
        let (middleX, middleY) = (Double(width - 1) / 2, Double(height - 1) / 2)
        return gathered { x, y in
            let (dx, dy) = (Double(x) - middleX, Double(y) - middleY)
            return (
                Int((a * dx + b * dy + middleX + right + 0.5).rounded(.down)),
                Int((c * dx + d * dy + middleY + down + 0.5).rounded(.down))
            )
        }
    }

    /// Luma of ITU-R 601, as Pillow converts to gray.
    private func gray(_ pixel: Int) -> UInt8 {
        let (red, green, blue) = (Int(bytes[3 * pixel]), Int(bytes[3 * pixel + 1]), Int(bytes[3 * pixel + 2]))
        return UInt8((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)
    }

    func contrasted(_ factor: Double) -> Image {
        let sum = (0..<width * height).reduce(0) { $0 + Int(gray($1)) }
        let mean = Image.clamped(Double(sum) / Double(width * height))
        return mapped { Image.blended(mean, $0, factor) }
    }

    func saturated(_ factor: Double) -> Image {
        var result = bytes
        for pixel in 0..<width * height {
            let level = gray(pixel)
            for place in 3 * pixel..<3 * pixel + 3 { result[place] = Image.blended(level, bytes[place], factor) }
        }
        return Image(uncheckedWidth: width, height: height, bytes: result)
    }

    /// Away from, or towards, the picture smoothed over 3 x 3 pixels with a fivefold middle (Pillow's SMOOTH); the edge stays.
    func sharpened(_ factor: Double) -> Image {
        guard width > 2, height > 2 else { return self }
        var result = bytes
        for y in 1..<height - 1 {
            for x in 1..<width - 1 {
                for channel in 0..<3 {
                    var sum = 4 * Int(bytes[3 * (y * width + x) + channel])
                    for row in y - 1...y + 1 {
                        for column in x - 1...x + 1 { sum += Int(bytes[3 * (row * width + column) + channel]) }
                    }
                    let (smooth, place) = (UInt8((2 * sum + 13) / 26), 3 * (y * width + x) + channel)
                    result[place] = Image.blended(smooth, bytes[place], factor)
                }
            }
        }
        return Image(uncheckedWidth: width, height: height, bytes: result)
    }

    /// Towards the picture whose channels each fill 0…255.
    func stretched(share: Double) -> Image {
        remapped { values in
            guard let low = values.firstIndex(where: { $0 > 0 }), let high = values.lastIndex(where: { $0 > 0 }),
                low < high
            else { return nil }
            let scale = 255 / Double(high - low)
            return (0...255).map { level in
                let target = max(0, min(255, Double(level) * scale - Double(low) * scale)).rounded(.down)
                return Image.clamped(Double(level) + share * (target - Double(level)))
            }
        }
    }

    /// Towards the picture whose channels each have a flat histogram.
    func equalized(share: Double) -> Image {
        remapped { values in
            let step = (values.reduce(0, +) - (values.last { $0 > 0 } ?? 0)) / 255
            guard step > 0 else { return nil }
            var below = step / 2
            return values.enumerated().map { level, count in
                let target = min(255, below / step)
                below += count
                return Image.clamped(Double(level) + share * Double(target - level))
            }
        }
    }

    /// New levels by channel, from its histogram.
    private func remapped(_ levels: ([Int]) -> [UInt8]?) -> Image {
        var result = bytes
        for channel in 0..<3 {
            var histogram = [Int](repeating: 0, count: 256)
            for place in stride(from: channel, to: bytes.count, by: 3) { histogram[Int(bytes[place])] += 1 }
            guard let table = levels(histogram) else { continue }
            for place in stride(from: channel, to: bytes.count, by: 3) { result[place] = table[Int(bytes[place])] }
        }
        return Image(uncheckedWidth: width, height: height, bytes: result)
    }
}
