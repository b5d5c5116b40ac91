import AlulaData
import Testing

@Suite struct DecodingTests {
    @Test func hashMatchesTheStandardsExample() {
        #expect(sha256(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test(arguments: Golden.recorded.files.keys.sorted())
    func drawnPictureDecodesAsInPillow(_ name: String) throws {
        let golden = try #require(Golden.recorded.files[name])
        let image = try Image(contentsOf: fixture(name))
        #expect(image.width == golden.width && image.height == golden.height)
        #expect(sha256(image.bytes) == golden.sha256)
    }

    @Test(
        .enabled(if: sharedExists("data/photos"), "skipped: ../shared/data/photos is absent"),
        arguments: Golden.recorded.shared.keys.filter { $0.hasPrefix("photos/") }.sorted())
    func photoDecodesAsInPillow(_ name: String) throws {
        let golden = try #require(Golden.recorded.shared[name])
        let image = try Image(contentsOf: shared("data/" + name))
        #expect(image.width == golden.width && image.height == golden.height)
        #expect(sha256(image.bytes) == golden.sha256)
    }

    @Test(
        .enabled(if: sharedExists("data/imagenet-sample"), "skipped: ../shared/data/imagenet-sample is absent"),
        arguments: Golden.recorded.shared.keys.filter { $0.hasPrefix("imagenet-sample/") }.sorted())
    func imageNetPictureDecodesAsInPillow(_ name: String) throws {
        let golden = try #require(Golden.recorded.shared[name])
        let image = try Image(contentsOf: shared("data/" + name))
        #expect(image.width == golden.width && image.height == golden.height)
        #expect(sha256(image.bytes) == golden.sha256)
    }

    @Test(.enabled(if: sharedExists("data/photos"), "skipped: ../shared/data/photos is absent"))
    func truncatedPhotoIsRefused() {
        #expect { try Image(contentsOf: shared("data/photos/truncated.jpg")) } throws: { error in
            if case .truncated(.jpeg, _)? = error as? ImageError { true } else { false }
        }
    }

    @Test(arguments: ["baseline_420.jpg", "restarts.jpg", "progressive.jpg", "rgb.png", "interlaced.png"])
    func everyProperPrefixIsRefused(_ name: String) throws {
        let file = try contents(fixture(name))
        for count in 8..<file.count {
            do {
                _ = try Image(decoding: Array(file.prefix(count)))
                Issue.record("\(name) cut to \(count) of \(file.count) bytes was accepted")
            } catch ImageError.truncated {
            } catch {
                Issue.record("\(name) cut to \(count) bytes: \(error)")
            }
        }
    }

    @Test(arguments: ["progressive.jpg", "cmyk.jpg", "orientation_6.jpg", "interlaced.png", "palette_transparent.png"])
    func damagedBytesNeverCrash(_ name: String) throws {
        let file = try contents(fixture(name))
        var generator: UInt64 = 1
        var refused = 0
        for _ in 0..<2000 {
            var damaged = file
            for _ in 0..<3 {
                generator = generator &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                damaged[Int(generator >> 33) % file.count] = UInt8(truncatingIfNeeded: generator >> 25)
            }
            do {
                let image = try Image(decoding: damaged, limits: ImageLimits(pixels: 1 << 20))
                #expect(image.bytes.count == image.width * image.height * 3)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0)
    }

    @Test func textNamedLikeAPictureIsOfUnknownFormat() throws {
        #expect(throws: ImageError.unknownFormat(firstBytes: [104, 101, 108, 108, 111])) {
            try Image(decoding: Array("hello".utf8))
        }
        #expect(throws: ImageError.unknownFormat(firstBytes: Array("\"\"\"Draws".utf8))) {
            try Image(contentsOf: fixture("make_fixtures.py"))
        }
        #expect(throws: ImageError.unknownFormat(firstBytes: [])) { try Image(decoding: [UInt8]()) }
    }

    @Test func missingFileAndFolderAreUnreadable() {
        #expect(throws: ImageError.unreadable(reason: "No such file or directory")) {
            try Image(contentsOf: fixture("none.png"))
        }
        #expect(throws: ImageError.unreadable(reason: "Is a directory")) { try Image(contentsOf: fixture("")) }
    }

    @Test(arguments: ["rgb.png", "gray.jpg", "cmyk.jpg"])
    func limitsAreCheckedFromTheHeader(_ name: String) throws {
        let file = try contents(fixture(name))
        #expect(throws: ImageError.tooManyPixels(width: 45, height: 31, limit: 45 * 31 - 1)) {
            try Image(decoding: file, limits: ImageLimits(pixels: 45 * 31 - 1))
        }
        #expect(throws: ImageError.sideTooLong(width: 45, height: 31, limit: 44)) {
            try Image(decoding: file, limits: ImageLimits(side: 44))
        }
        #expect(throws: ImageError.fileTooLarge(limit: file.count - 1)) {
            try Image(contentsOf: fixture(name), limits: ImageLimits(fileBytes: file.count - 1))
        }
        let exact = ImageLimits(pixels: 45 * 31, side: 45, fileBytes: file.count)
        #expect(try Image(contentsOf: fixture(name), limits: exact).width == 45)
    }

    @Test func hostileSizesAreRefusedBeforeAllocation() throws {
        // A frame header that promises 65,500 x 65,500 pixels.
        var jpeg = try contents(fixture("baseline_420.jpg"))
        let frame = try #require(jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
        jpeg.replaceSubrange((frame + 5)..<(frame + 9), with: [0xFF, 0xDC, 0xFF, 0xDC])
        let limit = ImageLimits.standard.pixels
        #expect(throws: ImageError.tooManyPixels(width: 65_500, height: 65_500, limit: limit)) {
            try Image(decoding: jpeg)
        }
    }

    @Test func twelveBitJPEGIsUnsupported() throws {
        var jpeg = try contents(fixture("baseline_420.jpg"))
        let frame = try #require(jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
        jpeg[frame + 4] = 12
        #expect { try Image(decoding: jpeg) } throws: { error in
            if case .unsupported(.jpeg, _)? = error as? ImageError { true } else { false }
        }
    }

    @Test func changedPNGByteIsCorrupt() throws {
        var png = try contents(fixture("rgb.png"))
        png[png.count / 2] ^= 0x10
        #expect { try Image(decoding: png) } throws: { error in
            if case .corrupt(.png, _)? = error as? ImageError { true } else { false }
        }
    }

    @Test func errorsExplainThemselves() {
        #expect(
            "\(ImageError.unknownFormat(firstBytes: [0x0A, 0xFF]))"
                == "is neither a JPEG nor a PNG picture (it starts with the bytes [\"0a\", \"ff\"])")
        #expect("\(ImageError.truncated(.png, reason: "x"))" == "is a truncated PNG picture: x")
    }
}
