import AlulaGraph
import Foundation

/// Changes to prepared inputs: random erasing of one, mixup and CutMix of a batch.
public struct BatchMixing: Sendable, Equatable {
    /// Parameter of mixup's Beta distribution; 0 for none (Zhang et al., ICLR 2018).
    public var mixup = 0.0
    /// Parameter of CutMix's Beta distribution; 0 for none (Yun et al., ICCV 2019).
    public var cutmix = 0.0
    /// Where both are wanted, how often CutMix is taken.
    public var switchProbability = 0.5
    /// How often a batch is mixed at all.
    public var probability = 1.0

    public init(mixup: Double = 0, cutmix: Double = 0) {
        (self.mixup, self.cutmix) = (mixup, cutmix)
    }

    /// Mixes each input with its partner, the batch in reverse order, by one share for the whole batch; targets by the same share.
    ///
    /// - Parameters:
    ///   - inputs: equally long, `height * width * channels` numbers each with channels innermost.
    ///   - targets: a number a class each.
    ///   - size: nil where the input is a signal: CutMix then takes a stretch of time, one row of pixels.
    /// - Returns: The share of each input that is its own.
    @discardableResult
    public func apply(
        _ inputs: inout [[Float]], _ targets: inout [[Float]], height: Int, width: Int, using random: inout SplitMix64
    ) -> Double {
        guard inputs.count > 1, mixup > 0 || cutmix > 0, random.chance(probability) else { return 1 }
        let takesCut = cutmix > 0 && (mixup <= 0 || random.chance(switchProbability))
        var share = random.beta(takesCut ? cutmix : mixup)
        let partners = Array(inputs.reversed())
        if takesCut {
            let middle = (y: random.integer(0..<height), x: random.integer(0..<width))
            let box = BatchMixing.box(height, width, share: 1 - share, middle: middle)
            let channels = inputs[0].count / (height * width)
            for index in inputs.indices {
                for y in box.rows {
                    for place in (y * width + box.columns.lowerBound) * channels..<(y * width + box.columns.upperBound)
                        * channels
                    {
                        inputs[index][place] = partners[index][place]
                    }
                }
            }
            // What the clipped box really took.
            share = 1 - Double(box.rows.count * box.columns.count) / Double(height * width)
        } else {
            for index in inputs.indices { inputs[index] = BatchMixing.mixed(inputs[index], partners[index], share) }
        }
        let others = Array(targets.reversed())
        for index in targets.indices { targets[index] = BatchMixing.mixed(targets[index], others[index], share) }
        return share
    }

    package static func mixed(_ a: [Float], _ b: [Float], _ share: Double) -> [Float] {
        zip(a, b).map { Float(share) * $0 + Float(1 - share) * $1 }
    }

    /// A box of `share` of the area around its middle, cut at the edges (as torchvision's CutMix). Signals of one row are cut over all of
    /// their height.
    package static func box(
        _ height: Int, _ width: Int, share: Double, middle: (y: Int, x: Int)
    ) -> (rows: Range<Int>, columns: Range<Int>) {
        func range(_ size: Int, _ middle: Int, _ length: Double) -> Range<Int> {
            let half = Int(0.5 * length * Double(size))
            return max(0, middle - half)..<min(size, middle + half)
        }
        if height == 1 { return (0..<1, range(width, middle.x, share)) }
        return (range(height, middle.y, share.squareRoot()), range(width, middle.x, share.squareRoot()))
    }
}

/// Replaces a box of a prepared picture by noise (Zhong et al., AAAI 2020): area 2 to 33 %, aspect 0.3 to 3.3.
public struct RandomErasing: Sendable, Equatable {
    public var probability: Double

    public init(probability: Double = 0.25) { self.probability = probability }

    /// - Parameter input: `height * width * channels` normalized numbers, channels innermost.
    public func apply(_ input: inout [Float], height: Int, width: Int, using random: inout SplitMix64) {
        guard random.chance(probability) else { return }
        let channels = input.count / (height * width)
        for _ in 0..<10 {
            let area = Double(height * width) * random.uniform(0.02...0.33)
            let aspect = 0.3 * pow(11, random.unit())
            let (h, w) = sides(area: area, aspect: aspect)
            guard h > 0, w > 0, h < height, w < width else { continue }
            let (top, left) = (random.integer(0..<height - h + 1), random.integer(0..<width - w + 1))
            for y in top..<top + h {
                for place in (y * width + left) * channels..<(y * width + left + w) * channels {
                    input[place] = Float(random.normal())
                }
            }
            return
        }
    }
}

/// Soft targets: `smoothing / classes` everywhere and the rest where the class is.
public func smoothed(_ target: [Float], by smoothing: Float) -> [Float] {
    target.map { $0 * (1 - smoothing) + smoothing / Float(target.count) }
}
