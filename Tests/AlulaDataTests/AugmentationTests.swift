import AlulaData
import AlulaGraph
import Testing

@Suite struct AugmentationTests {
    private func picture() throws -> Image { try noise(width: 32, height: 24) }

    // MARK: Pictures

    @Test(arguments: ImageOperation.allCases) func strengthZeroChangesNothing(_ operation: ImageOperation) throws {
        let image = try picture()
        #expect(operation.applied(to: image, strength: 0) == image)
        var changed = 0
        for strength in [-1, -0.5, 0.5, 1] {
            let result = operation.applied(to: image, strength: strength)
            #expect(result.width == 32 && result.height == 24 && result.bytes.count == image.bytes.count)
            if result != image { changed += 1 }
        }
        // Noise fills 0…255 already, so that stretching its contrast does nothing.
        #expect(changed == (operation == .autoContrast ? 0 : 4))
    }

    @Test func stretchingContrastFillsTheRange() throws {
        let dull = try Image(width: 2, height: 1, bytes: [100, 100, 100, 150, 150, 150])
        #expect(ImageOperation.autoContrast.applied(to: dull, strength: 1).bytes == [0, 0, 0, 255, 255, 255])
    }

    @Test func nothingAskedForIsTheIdentity() throws {
        var random = SplitMix64(seed: 1)
        let image = try picture()
        #expect(try ImageAugmentation().applied(to: image, using: &random) == image)
        var none = ImageAugmentation()
        none.cropScale = 1...1
        // Of the whole area only a square picture can be cut without changing the aspect; the rest falls back to the whole.
        let result = try none.applied(to: image, using: &random)
        #expect(result.width == image.width && result.height == image.height)
    }

    @Test func mirroringTwiceIsTheIdentity() throws {
        let image = try picture()
        #expect(image.mirrored() != image && image.mirrored().mirrored() == image)
    }

    @Test func theSeedDecidesEverything() throws {
        var augmentation = ImageAugmentation()
        (augmentation.padding, augmentation.flips, augmentation.operations) = (4, true, 2)
        (augmentation.cropScale, augmentation.colorJitter) = (0.5...1, 0.3)
        func run(_ seed: UInt64) throws -> [Image] {
            var random = SplitMix64(seed: seed)
            return try (0..<20).map { _ in try augmentation.applied(to: try picture(), using: &random) }
        }
        #expect(try run(5) == run(5))
        #expect(try run(5) != run(6))
        #expect(Set(try run(5).map { sha256($0.bytes) }).count == 20)
    }

    @Test func paddedCropsReachEveryShiftAndNoOther() throws {
        // One bright pixel in the middle shows the shift.
        var bytes = [UInt8](repeating: 0, count: 3 * 81)
        for channel in 0..<3 { bytes[3 * 40 + channel] = 255 }
        let image = try Image(width: 9, height: 9, bytes: bytes)
        var augmentation = ImageAugmentation()
        augmentation.padding = 2
        var random = SplitMix64(seed: 2)
        var counts: [Int: Int] = [:]
        for _ in 0..<5000 {
            let result = try augmentation.applied(to: image, using: &random)
            counts[(result.bytes.firstIndex(of: 255) ?? -3) / 3, default: 0] += 1
        }
        #expect(Set(counts.keys) == Set((2...6).flatMap { y in (2...6).map { x in 9 * y + x } }))
        #expect(counts.values.allSatisfy { (120...280).contains($0) })
    }

    @Test func halfOfThePicturesAreFlipped() throws {
        var augmentation = ImageAugmentation()
        augmentation.flips = true
        let image = try picture()
        var random = SplitMix64(seed: 3)
        let flipped = try (0..<1000).filter { _ in try augmentation.applied(to: image, using: &random) != image }.count
        #expect((420...580).contains(flipped))
    }

    // MARK: Batches

    private func batch(_ count: Int) -> (inputs: [[Float]], targets: [[Float]]) {
        let inputs = (0..<count).map { [Float](repeating: Float($0), count: 16 * 16 * 3) }
        return (inputs, (0..<count).map { index in (0..<count).map { $0 == index ? 1 : 0 } })
    }

    @Test func mixupMixesInputsAndTargetsAlike() {
        var random = SplitMix64(seed: 4)
        var shares: [Double] = []
        for _ in 0..<500 {
            var (inputs, targets) = batch(4)
            let share = BatchMixing(mixup: 0.2).apply(&inputs, &targets, height: 16, width: 16, using: &random)
            shares.append(share)
            for index in 0..<4 {
                let expected = Float(share) * Float(index) + Float(1 - share) * Float(3 - index)
                #expect(inputs[index].allSatisfy { abs($0 - expected) < 1e-5 })
                #expect(abs(targets[index].reduce(0, +) - 1) < 1e-6)
                #expect(abs(targets[index][index] - Float(share)) < 1e-6)
            }
        }
        // Beta(0.2, 0.2): mean 1/2, variance 1/(4 (2 * 0.2 + 1)).
        #expect(abs(shares.mean - 0.5) < 0.06)
        #expect(abs(shares.map { ($0 - 0.5) * ($0 - 0.5) }.mean - 1 / 5.6) < 0.02)
    }

    @Test func cutmixTakesAsMuchOfTheTargetAsOfThePicture() {
        var random = SplitMix64(seed: 5)
        for _ in 0..<300 {
            var (inputs, targets) = batch(2)
            let share = BatchMixing(cutmix: 1).apply(&inputs, &targets, height: 16, width: 16, using: &random)
            let own = Double(inputs[0].filter { $0 == 0 }.count) / Double(inputs[0].count)
            #expect(abs(own - share) < 1e-9)
            #expect(abs(Double(targets[0][0]) - share) < 1e-6 && abs(Double(targets[0][1]) - (1 - share)) < 1e-6)
        }
    }

    @Test func unmixedBatchesAreLeftAlone() {
        var random = SplitMix64(seed: 6)
        let (inputs, targets) = batch(3)
        var (changed, changedTargets) = (inputs, targets)
        var never = BatchMixing(mixup: 1, cutmix: 1)
        never.probability = 0
        for mixing in [BatchMixing(), never] {
            #expect(mixing.apply(&changed, &changedTargets, height: 16, width: 16, using: &random) == 1)
        }
        #expect(changed == inputs && changedTargets == targets)
    }

    @Test func erasingTakesTheShareItShould() {
        var random = SplitMix64(seed: 7)
        var erased: [Double] = []
        for _ in 0..<2000 {
            var input = [Float](repeating: 100, count: 32 * 32 * 3)
            RandomErasing(probability: 0.25).apply(&input, height: 32, width: 32, using: &random)
            let share = Double(input.filter { $0 != 100 }.count) / Double(input.count)
            if share > 0 { erased.append(share) }
        }
        #expect((400...600).contains(erased.count))
        #expect(erased.allSatisfy { (0.012...0.36).contains($0) })
    }

    @Test func smoothedTargetsAddUpToOne() {
        let target = smoothed([0, 1, 0, 0], by: 0.1)
        #expect(abs(target.reduce(0, +) - 1) < 1e-6 && abs(target[1] - 0.925) < 1e-6 && target[0] == 0.025)
    }

    // MARK: Signals

    private func augmented(
        _ change: (inout SignalAugmentation) -> Void, seed: UInt64 = 8, _ input: [Float]? = nil
    ) -> [Float] {
        var augmentation = SignalAugmentation()
        change(&augmentation)
        var random = SplitMix64(seed: seed)
        var values = input ?? (0..<12_000).map { Float($0 % 101) - 50 }
        augmentation.apply(&values, leads: 12, rate: 100, using: &random)
        return values
    }

    @Test func signalsChangeAsAskedFor() {
        let source = augmented { _ in }
        #expect(source == (0..<12_000).map { Float($0 % 101) - 50 })
        let noisy = zip(augmented { $0.noise = 0.5 }, source).map { Double($0 - $1) }
        #expect(abs(noisy.mean) < 0.02 && abs(noisy.map { $0 * $0 }.mean.squareRoot() - 0.5) < 0.02)
        let wandering = zip(augmented { $0.wander = 2 }, source).map { Double($0 - $1) }
        #expect(wandering.allSatisfy { abs($0) <= 2.001 } && wandering.contains { abs($0) > 0.2 })
        let scaled = augmented { $0.amplitude = 0.2 }
        let factor = scaled[0] / source[0]
        #expect((0.8...1.2).contains(factor) && factor != 1)
        #expect(zip(scaled, source).allSatisfy { abs($0 - factor * $1) < 1e-3 })
        #expect(augmented({ $0.noise = 1 }, seed: 1) == augmented({ $0.noise = 1 }, seed: 1))
        #expect(augmented({ $0.noise = 1 }, seed: 1) != augmented({ $0.noise = 1 }, seed: 2))
    }

    @Test func droppedLeadsAreSilentAndOneStays() {
        let ones = [Float](repeating: 1, count: 12_000)
        var silent = 0
        for seed in UInt64(0)..<200 {
            let values = augmented({ $0.leadDropout = 0.3 }, seed: seed, ones)
            for lead in 0..<12 {
                let samples = stride(from: lead, to: 12_000, by: 12).map { values[$0] }
                #expect(samples.allSatisfy { $0 == 0 } || samples.allSatisfy { $0 == 1 })
                if samples[0] == 0 { silent += 1 }
            }
            let all = augmented({ $0.leadDropout = 1 }, seed: seed, ones)
            #expect(all.prefix(12).filter { $0 == 1 }.count == 1)
        }
        // 0.3 of the eleven leads that may go.
        #expect((560...760).contains(silent))
    }

    @Test func shiftsMoveAllLeadsTogether() {
        let ramp = (0..<1000).flatMap { sample in [Float](repeating: Float(sample + 1), count: 12) }
        for seed in UInt64(0)..<50 {
            let values = augmented({ $0.shift = 0.2 }, seed: seed, ramp)
            let sample = 500
            let distance = Float(sample + 1) - values[sample * 12]
            #expect(abs(distance) <= 200)
            #expect(values[sample * 12..<sample * 12 + 12].allSatisfy { $0 == values[sample * 12] })
            let expected = (0..<1000).map { index -> Float in
                let from = index - Int(distance)
                return (0..<1000).contains(from) ? Float(from + 1) : 0
            }
            #expect((0..<1000).allSatisfy { values[12 * $0] == expected[$0] })
        }
    }
}
