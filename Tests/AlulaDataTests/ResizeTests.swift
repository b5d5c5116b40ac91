import AlulaData
import Testing

@Suite struct ResizeTests {
    @Test(arguments: Golden.recorded.resizes)
    func resizeEqualsPillow(_ golden: Golden.Resize) throws {
        let filter = try #require(ResizeFilter(rawValue: golden.filter))
        let image = try noise(width: golden.size[0], height: golden.size[1])
        let resized = try image.resized(width: golden.new[0], height: golden.new[1], filter: filter)
        #expect(resized.width == golden.new[0] && resized.height == golden.new[1])
        #expect(sha256(resized.bytes) == golden.sha256)
    }

    @Test func everyFilterIsCompared() {
        #expect(Set(Golden.recorded.resizes.map(\.filter)) == Set(ResizeFilter.allCases.map(\.rawValue)))
    }

    @Test(arguments: ResizeFilter.allCases)
    func sameSizeChangesNothing(_ filter: ResizeFilter) throws {
        let image = try noise(width: 19, height: 8)
        #expect(try image.resized(width: 19, height: 8, filter: filter) == image)
    }

    @Test(arguments: ResizeFilter.allCases)
    func plainColourStaysPlain(_ filter: ResizeFilter) throws {
        let plain = try Image(width: 40, height: 30, bytes: (0..<1200).flatMap { _ in [255, 0, 77] as [UInt8] })
        let resized = try plain.resized(width: 17, height: 91, filter: filter)
        #expect(resized.bytes == (0..<(17 * 91)).flatMap { _ in [255, 0, 77] as [UInt8] })
    }

    @Test func hostileSizesAreRefused() throws {
        let image = try noise(width: 3, height: 2)
        #expect(throws: ImageError.invalidSize(width: 0, height: 5)) { try image.resized(width: 0, height: 5) }
        #expect(throws: ImageError.invalidSize(width: 5, height: -1)) { try image.resized(width: 5, height: -1) }
        #expect(throws: ImageError.sideTooLong(width: .max, height: .max, limit: 1 << 20)) {
            try image.resized(width: .max, height: .max)
        }
        #expect(throws: ImageError.tooManyPixels(width: 1 << 20, height: 1 << 20, limit: ImageLimits.standard.pixels)) {
            try image.resized(width: 1 << 20, height: 1 << 20)
        }
        #expect(throws: ImageError.tooManyPixels(width: .max, height: .max, limit: .max)) {
            try image.resized(width: .max, height: .max, limits: ImageLimits(pixels: .max, side: .max))
        }
    }

    @Test func cropTakesTheMiddleRoundedDown() throws {
        let image = try Image(width: 4, height: 1, bytes: (1...4).flatMap { [$0, $0, $0] as [UInt8] })
        func reds(_ width: Int, _ rounding: CropRounding) throws -> [UInt8] {
            let cropped = try image.centerCropped(width: width, height: 1, rounding: rounding)
            return (0..<width).map { cropped.bytes[3 * $0] }
        }
        #expect(try reds(1, .down) == [2])  // offset 3 // 2
        #expect(try reds(1, .halfToEven) == [3])  // offset round(1.5)
        #expect(try reds(3, .down) == [1, 2, 3])
        #expect(try reds(3, .halfToEven) == [1, 2, 3])  // offset round(0.5)
        #expect(try reds(7, .down) == [0, 0, 1, 2, 3, 4, 0])
        #expect(try reds(7, .halfToEven) == [0, 1, 2, 3, 4, 0, 0])
    }

    @Test func cropPadsOneAxisAndCutsTheOther() throws {
        let image = try Image(width: 3, height: 2, bytes: (1...6).flatMap { [$0, $0, $0] as [UInt8] })
        let cropped = try image.centerCropped(width: 1, height: 4)
        #expect((0..<4).map { cropped.bytes[3 * $0] } == [0, 2, 5, 0])
    }
}
