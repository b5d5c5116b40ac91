import AlulaData
import Foundation
import Testing

@Suite struct WritingTests {
    @Test func writtenPictureReadsBackTheSame() throws {
        let image = try SampleImage.wing.draw(width: 61, height: 43)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("alula-\(UUID().uuidString).png").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try image.write(toPNG: path)
        #expect(try Image(contentsOf: path) == image)
    }

    @Test func grayIsWrittenWithOneChannel() throws {
        let file = try encodePNG([0, 7, 255, 128, 1, 2], width: 3, height: 2, channels: 1)
        #expect(file[25] == 0)  // colour type in the header: gray
        #expect(try Image(decoding: file).bytes == [0, 7, 255, 128, 1, 2].flatMap { [$0, $0, $0] })
    }

    @Test func wrongByteCountsAndSizesAreRefused() {
        #expect(throws: ImageError.byteCount(expected: 12, found: 11)) {
            try Image(width: 2, height: 2, bytes: [UInt8](repeating: 0, count: 11))
        }
        #expect(throws: ImageError.byteCount(expected: 4, found: 5)) {
            try encodePNG([0, 0, 0, 0, 0], width: 2, height: 2, channels: 1)
        }
        #expect(throws: ImageError.invalidSize(width: 0, height: 2)) { try Image(width: 0, height: 2, bytes: []) }
    }

    @Test func missingFolderIsUnwritable() throws {
        let image = try SampleImage.wing.draw(width: 4, height: 4)
        #expect(throws: ImageError.unwritable(reason: "No such file or directory")) {
            try image.write(toPNG: fixture("no/such/folder.png"))
        }
    }

    @Test(arguments: [(1, 1), (224, 224), (640, 200), (90, 300)])
    func sampleIsColourfulAndTheSameEveryTime(_ width: Int, _ height: Int) throws {
        let image = try SampleImage.wing.draw(width: width, height: height)
        #expect(image.bytes.count == width * height * 3)
        #expect(try SampleImage.wing.draw(width: width, height: height) == image)
        let colours = Set((0..<(width * height)).map { Array(image.bytes[(3 * $0)..<(3 * $0 + 3)]) })
        #expect(colours.count >= width * height / 20)
    }

    @Test(arguments: [
        (SampleImage.wing, "1c30aa989c67f6094c3c3aee18ec93762f304d11fe5b7931922f2316985ce2aa"),
        (.apple, "7776d3b76ac9c38e7a758d2b74f2e6bad5cca032ee162b1726d5142fba663b89"),
    ])
    func samplesKeepTheirBytes(_ sample: SampleImage, _ expected: String) throws {
        #expect(sha256(try sample.draw(width: 96, height: 64).bytes) == expected)
    }
}
