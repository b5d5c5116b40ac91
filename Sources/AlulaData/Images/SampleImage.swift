/// Drawn pictures: inputs for demonstrations and tests that need no photographer's licence.
///
/// Only additions, multiplications, divisions and square roots make them, so that they have the same bytes on every machine.
public enum SampleImage: String, CaseIterable, Sendable {
    /// A bird's wing at dusk.
    case wing
    /// An apple on a table.
    case apple

    /// The picture in the given size; its content scales with the shorter side.
    public func draw(width: Int, height: Int) throws(ImageError) -> Image {
        let aspect = Double(width) / Double(height)
        return switch self {
        case .wing: try SampleImage.draw(WingScene(aspect: aspect), width, height)
        case .apple: try SampleImage.draw(AppleScene(aspect: aspect), width, height)
        }
    }

    private static func draw(_ scene: some Scene, _ width: Int, _ height: Int) throws(ImageError) -> Image {
        let count = try ImageLimits.standard.checkedPixels(width: width, height: height) * Image.channels
        let unit = 1 / Double(min(width, height))  // one pixel in the scene, whose short side is 1
        let samples = [0.25, 0.75]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for y in 0..<height {
            for x in 0..<width {
                var sum = Color(0, 0, 0)
                for sy in samples {
                    for sx in samples {
                        let point = Point((Double(x) + sx) * unit, (Double(y) + sy) * unit)
                        sum += scene.color(at: point, softness: unit / 2)
                    }
                }
                let mean = sum / Double(samples.count * samples.count)
                for channel in 0..<Image.channels {
                    bytes.append(UInt8((min(max(mean[channel], 0), 1) * 255).rounded()))
                }
            }
        }
        return Image(uncheckedWidth: width, height: height, bytes: bytes)
    }
}

private typealias Point = SIMD2<Double>
private typealias Color = SIMD3<Double>

/// What is to be seen at a point; x and y from the upper left, the short side is 1. Edges are `softness` wide.
private protocol Scene {
    func color(at point: Point, softness: Double) -> Color
}

private func smooth(_ value: Double) -> Double {
    let t = min(max(value, 0), 1)
    return t * t * (3 - 2 * t)
}

private func blend(_ from: Color, _ to: Color, _ amount: Double) -> Color {
    from + (to - from) * min(max(amount, 0), 1)
}

private func norm(_ vector: Point) -> Double {
    (vector * vector).sum().squareRoot()
}

/// A triangle wave between 0 and 1 of period 1.
private func wave(_ x: Double) -> Double {
    let phase = x - x.rounded(.down)
    return phase < 0.5 ? 2 * phase : 2 - 2 * phase
}

/// One feather: a bent blade around a shaft, from its root along a direction.
private struct Feather {
    var root: Point
    var direction: Point
    var length: Double
    var width: Double
    var bend: Double
    var base: Color
    var tip: Color

    /// The feather's colour at a point and how much of it covers what lies behind.
    func color(at point: Point, softness: Double) -> (Color, Double)? {
        let offset = point - root
        let along = (offset * direction).sum() / length
        guard along > 0, along < 1 else { return nil }
        let normal = Point(-direction.y, direction.x)
        let across = (offset * normal).sum() / length - bend * along * along
        let half = halfWidth(along)
        guard abs(across) < half + 3 * softness / length else { return nil }

        let edge = min(half - abs(across), 1 - along, along + 0.01) * length
        let cover = smooth(edge / softness / 2 + 0.5)
        // The rear vane is lighter, barbs run slanted, the rim and the shaft's shadow are dark.
        var color = blend(base, tip, smooth(along * 1.25 - 0.15))
        let relative = across / max(half, 1e-9)
        let barbs = wave(along * 46 - abs(relative) * 5)
        color *= 0.90 + 0.10 * barbs + 0.16 * relative
        color *= 0.62 + 0.38 * smooth(edge / (0.16 * width * length) + 0.1)
        let shaft = abs(across) * length / (0.0016 + 0.0052 * (1 - along) * length)
        color = blend(color, Color(0.98, 0.93, 0.82), 0.85 * smooth(1.6 - shaft) * smooth((1 - along) * 12))
        return (color, cover)
    }

    /// Narrow at the root, widest at two thirds, round at the tip.
    private func halfWidth(_ along: Double) -> Double {
        let t = min(max(along, 0), 1)
        if t < 0.66 { return width * (0.16 + 0.84 * smooth(t / 0.66)) }
        let end = (t - 0.66) / 0.34
        return width * max(0, 1 - end * end).squareRoot()
    }
}

/// Sky, sun, hills and the wing in front of them.
private struct WingScene: Scene {
    private let size: Point
    private let feathers: [Feather]

    init(aspect: Double) {
        size = aspect >= 1 ? Point(aspect, 1) : Point(1, 1 / aspect)
        let center = size / 2
        let shoulder = Point(center.x - 0.38, center.y + 0.33)
        var feathers: [Feather] = []
        // Three rows, far to near: flight feathers, then two rows of shorter coverts, each fanned out from the shoulder.
        let rows: [(count: Int, length: Double, width: Double, spread: Double, base: Color, tip: Color)] = [
            (11, 0.84, 0.064, 1.00, Color(0.05, 0.42, 0.62), Color(0.03, 0.11, 0.32)),
            (10, 0.60, 0.085, 0.96, Color(0.10, 0.68, 0.70), Color(0.04, 0.36, 0.60)),
            (8, 0.36, 0.125, 0.92, Color(0.96, 0.62, 0.22), Color(0.13, 0.66, 0.62)),
        ]
        for row in rows {
            for index in 0..<row.count {
                let t = Double(index) / Double(row.count - 1)
                // A direction from nearly upward to nearly level, without trigonometry.
                let slope = Point(0.24 + 0.98 * t, -1.05 + 1.16 * t * row.spread)
                let hue = blend(row.tip, Color(0.42, 0.16, 0.50), 0.55 * t)
                feathers.append(
                    Feather(
                        root: shoulder + Point(0.05 * t, 0.05 * t), direction: slope / norm(slope),
                        length: row.length * (1 - 0.24 * t * t), width: row.width, bend: 0.10 - 0.03 * t,
                        base: row.base, tip: hue))
            }
        }
        // The alula itself: a few small bright feathers on the leading edge.
        for index in 0..<3 {
            let t = Double(index) / 2
            let slope = Point(0.02 + 0.24 * t, -1)
            feathers.append(
                Feather(
                    root: shoulder + Point(-0.015 + 0.02 * t, -0.02), direction: slope / norm(slope),
                    length: 0.30 - 0.05 * t, width: 0.10, bend: 0.16, base: Color(0.99, 0.80, 0.36),
                    tip: Color(0.93, 0.33, 0.20)))
        }
        self.feathers = feathers
    }

    func color(at point: Point, softness: Double) -> Color {
        var color = background(at: point, softness: softness)
        for feather in feathers {
            guard let (ink, cover) = feather.color(at: point, softness: softness) else { continue }
            color = blend(color, ink, cover)
        }
        return color
    }

    private func background(at point: Point, softness: Double) -> Color {
        let height = point.y / size.y
        var color = blend(Color(0.19, 0.30, 0.55), Color(0.93, 0.66, 0.55), smooth(height * 1.15))
        color = blend(color, Color(1.0, 0.86, 0.62), smooth((height - 0.45) * 1.6))
        let sun = norm(point - size * Point(0.74, 0.66))
        color = blend(color, Color(1.0, 0.93, 0.74), 0.75 / (1 + 60 * sun * sun))
        color = blend(color, Color(1.0, 0.98, 0.90), smooth((0.105 - sun) / softness / 2 + 0.5))
        let hills: [(Double, Double, Double, Color)] = [
            (0.80, 1.7, 0.070, Color(0.72, 0.52, 0.60)), (0.87, 2.6, 0.055, Color(0.45, 0.38, 0.55)),
            (0.94, 3.9, 0.040, Color(0.20, 0.24, 0.38)),
        ]
        for (level, frequency, amplitude, ink) in hills {
            let ridge = size.y * level - amplitude * smooth(wave(point.x * frequency / 2 + level * 3))
            color = blend(color, ink, smooth((point.y - ridge) / softness / 2 + 0.5))
        }
        return color
    }
}

/// A red apple with its leaf on a pale table.
private struct AppleScene: Scene {
    private let center: Point

    init(aspect: Double) {
        let size = aspect >= 1 ? Point(aspect, 1) : Point(1, 1 / aspect)
        center = size / 2 + Point(0, 0.06)
    }

    func color(at point: Point, softness: Double) -> Color {
        let (place, softness) = ((point - center) / 1.1, softness / 1.1)
        var color = blend(Color(0.97, 0.96, 0.94), Color(0.90, 0.88, 0.86), smooth((place.y + 0.1) * 1.6))
        func paint(_ ink: Color, _ inside: Double) { color = blend(color, ink, smooth(inside / softness / 2 + 0.5)) }

        let shadow = norm((place - Point(0.05, 0.36)) * Point(1, 3.6))
        color = blend(color, Color(0.58, 0.55, 0.55), 0.75 * smooth(1.45 - shadow / 0.28))

        // Two overlapping lobes, narrower below, with a dent where the stem is.
        let narrow = 1 + 0.12 * smooth((place.y + 0.05) / 0.45)
        let lobe = norm(Point((abs(place.x) * narrow - 0.07) / 0.95, place.y / 1.04))
        let dent = norm((place - Point(0, -0.35)) * Point(1, 1.5)) - 0.085
        let body = min(0.29 - max(lobe, 0), dent)
        let light = norm(place - Point(-0.13, -0.14))
        var skin = blend(Color(0.70, 0.06, 0.10), Color(0.22, 0.01, 0.05), smooth(light * 1.9 - 0.25))
        let stripes = wave(place.x / (0.06 + 0.30 * max(0, 0.3 - place.y * place.y)) * 2.2)
        skin = blend(skin, Color(0.95, 0.52, 0.22), 0.30 * stripes * smooth(0.9 - light * 1.6))
        skin = blend(skin, Color(1, 0.92, 0.88), 0.85 * smooth(1.25 - light / 0.075))
        paint(skin, body)

        let bend = place.x - 0.05 * (place.y + 0.25) * (place.y + 0.25) * 8 - 0.012
        paint(Color(0.30, 0.19, 0.09), min(0.014 - abs(bend), min(place.y + 0.42, -0.235 - place.y)))
        // A leaf is where two circles meet.
        let leaf = min(0.15 - norm(place - Point(0.075, -0.42)), 0.15 - norm(place - Point(0.155, -0.26)))
        let vein = abs((place - Point(0.115, -0.34)).y + 0.5 * (place - Point(0.115, -0.34)).x)
        paint(blend(Color(0.36, 0.62, 0.20), Color(0.62, 0.80, 0.38), smooth(1.4 - vein / 0.008)), leaf)
        return color
    }
}
