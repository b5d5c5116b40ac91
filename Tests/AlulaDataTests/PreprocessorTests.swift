import AlulaData
import Testing

private let published = """
    {"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_normalize": true, "do_rescale": true,
     "do_resize": true, "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "EfficientFormerImageProcessor",
     "image_std": [0.229, 0.224, 0.225], "resample": 3, "rescale_factor": 0.00392156862745098,
     "size": {"shortest_edge": 256}}
    """

private func huggingFace(_ text: String) throws(PreprocessorError) -> ImagePreprocessor {
    try ImagePreprocessor(huggingFace: Array(text.utf8))
}

private func timm(_ text: String) throws(PreprocessorError) -> ImagePreprocessor {
    try ImagePreprocessor(timm: Array(text.utf8))
}

@Suite struct PreprocessorTests {
    static let cases = "fixtures/preprocess_efficientformer/cases.safetensors"
    static let sizes: [(name: String, size: String, crop: Int)] = [
        ("landscape_down", #"{"shortest_edge": 64}"#, 56), ("portrait_down", #"{"shortest_edge": 64}"#, 56),
        ("square_up", #"{"shortest_edge": 64}"#, 56), ("odd_crop", #"{"shortest_edge": 61}"#, 48),
        ("crop_larger_than_image", #"{"shortest_edge": 40}"#, 56), ("exact_hw", #"{"height": 56, "width": 56}"#, 56),
        ("published_256_224", #"{"shortest_edge": 256}"#, 224),
    ]

    @Test(.enabled(if: sharedExists(cases), "skipped: ../shared/\(cases) is absent"), arguments: sizes)
    func resultsEqualHuggingFace(_ name: String, _ size: String, _ crop: Int) throws {
        let file = try Safetensors(contents(shared(PreprocessorTests.cases)))
        let source = try file.bytes("\(name).image_u8")
        let image = try Image(width: source.shape[1], height: source.shape[0], bytes: source.values)
        let preprocessor = try huggingFace(#"{"size": \#(size), "crop_size": \#(crop)}"#)

        let expected = try file.bytes("\(name).cropped_u8_chw")
        let cropped = try preprocessor.bytes(image)
        #expect([3, cropped.height, cropped.width] == expected.shape)
        let different = zip(channelsFirst(cropped.bytes), expected.values).count { $0 != $1 }
        #expect(different == 0)

        if name == "published_256_224" { return }  // stored without its numbers, which follow from the bytes
        let numbers = try file.floats("\(name).pixel_values")
        let input = try preprocessor.normalized(image)
        let difference = zip(channelsFirst(input.values), numbers.values).map { abs($0 - $1) }.max()
        #expect(input.values.count == numbers.values.count)
        #expect(difference == 0)
    }

    @Test func publishedConfigurationIsRead() throws {
        let expected = try ImagePreprocessor(
            resize: .shortestEdge(256), crop: .init(width: 224, height: 224), mean: [0.485, 0.456, 0.406],
            deviation: [0.229, 0.224, 0.225])
        #expect(try huggingFace(published) == expected)
    }

    @Test func missingKeysGetTheClassDefaults() throws {
        let expected = try ImagePreprocessor(
            resize: .exact(width: 224, height: 224), filter: .bicubic, crop: .init(width: 224, height: 224),
            mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
        #expect(try huggingFace("{}") == expected)
        let named = #"{"size": null, "feature_extractor_type": "EfficientFormerFeatureExtractor"}"#
        #expect(try huggingFace(named) == expected)
    }

    @Test func sizesHaveManySpellings() throws {
        #expect(try huggingFace(#"{"size": 48}"#).resize == .exact(width: 48, height: 48))
        #expect(try huggingFace(#"{"size": [48, 52]}"#).resize == .exact(width: 52, height: 48))
        #expect(try huggingFace(#"{"size": {"height": 48, "width": 52}}"#).resize == .exact(width: 52, height: 48))
        #expect(try huggingFace(#"{"crop_size": {"height": 4, "width": 5}}"#).crop == .init(width: 5, height: 4))
    }

    @Test func stepsCanBeLeftOut() throws {
        let text = #"{"do_resize": false, "do_center_crop": false, "do_rescale": false, "do_normalize": false}"#
        let image = try Image(width: 2, height: 1, bytes: [0, 1, 2, 253, 254, 255])
        #expect(try huggingFace(text).normalized(image).values == [0, 1, 2, 253, 254, 255])
        let rescaled = try huggingFace(#"{"do_resize": false, "do_center_crop": false, "do_normalize": false}"#)
        #expect(try rescaled.normalized(image).values[5] == 1)
    }

    @Test(arguments: zip(0..<6, [ResizeFilter.nearest, .lanczos, .bilinear, .bicubic, .box, .hamming]))
    func filtersAreNumberedAsInPillow(_ number: Int, _ filter: ResizeFilter) throws {
        #expect(try huggingFace(#"{"resample": \#(number)}"#).filter == filter)
    }

    @Test(arguments: [
        (#"{"resample": 6}"#, "'resample' is 6, expected a filter's number, 0…5"),
        (#"{"resample": "cubic"}"#, "'resample' is \"cubic\", expected a filter's number, 0…5"),
        (
            #"{"size": {"longest_edge": 5}}"#,
            "'size' is an object with longest_edge, expected a number, {height, width} or {shortest_edge}"
        ),
        (#"{"size": 0}"#, "'size' is 0, expected 1…65535"),
        (#"{"size": 1e30}"#, "'size' is 1e+30, expected a number, {height, width} or {shortest_edge}"),
        (#"{"crop_size": {"shortest_edge": 9}}"#, "'crop_size' is a shortest edge, which is not supported"),
        (#"{"image_std": [1, 0, 1]}"#, "'std' is [1.0, 0.0, 1.0], expected numbers other than zero"),
        (#"{"image_mean": [1, 2]}"#, "'image_mean' is a list of 2, expected 3 numbers"),
        (#"{"do_resize": 1}"#, "'do_resize' is 1, expected true or false"),
        (#"{"do_pad": true}"#, "'do_pad' is true, which is not supported"),
        (
            #"{"image_processor_type": "ViTImageProcessor"}"#,
            "'do_resize' is missing in the configuration of a ViTImageProcessor"
        ),
        ("[1]", "the preprocessing configuration is no JSON object"),
        ("{", "the preprocessing configuration is no JSON object"),
    ])
    func unusableConfigurationIsExplained(_ text: String, _ message: String) {
        #expect { try huggingFace(text) } throws: { "\($0)" == message }
    }

    @Test func timmConfigurationIsRead() throws {
        let inner = """
            {"crop_pct": 0.95, "input_size": [3, 224, 224], "interpolation": "bicubic", "mean": [0.485, 0.456, 0.406],
             "std": [0.229, 0.224, 0.225]}
            """
        let expected = try ImagePreprocessor(
            resize: .shortestEdge(235), crop: .init(width: 224, height: 224, rounding: .halfToEven),
            mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
        #expect(try timm(inner) == expected)
        #expect(try timm(#"{"architecture": "x", "pretrained_cfg": \#(inner)}"#) == expected)
        #expect(try timm("{}").resize == .shortestEdge(256))
        let squashed = try timm(#"{"crop_mode": "squash", "input_size": [3, 100, 200]}"#)
        #expect(squashed.resize == .exact(width: 228, height: 114))
    }

    @Test(arguments: [
        (#"{"interpolation": "random"}"#, "'interpolation' is random, which is not supported"),
        (#"{"crop_pct": 0}"#, "'crop_pct' is 0, expected a number in 0.01…1"),
        (#"{"crop_mode": "border"}"#, "'crop_mode' is border, which is not supported"),
        (#"{"input_size": [1, 224, 224]}"#, "'input_size' is a list of 3, expected [3, height, width]"),
    ])
    func unusableTimmConfigurationIsExplained(_ text: String, _ message: String) {
        #expect { try timm(text) } throws: { "\($0)" == message }
    }

    @Test func modelFileTextIsStable() throws {
        let text =
            #"{"crop":[224,224],"filter":"bicubic","kind":"image","mean":[0.485,0.456,0.406],"#
            + #""rescale":0.00392156862745098,"resize":256,"rounding":"down","std":[0.229,0.224,0.225],"version":1}"#
        #expect(try huggingFace(published).json == text)
    }

    @Test(arguments: [
        published,
        #"{"size": [7, 9]}"#,
        #"{"do_resize": false, "do_center_crop": false, "do_rescale": false}"#,
        #"{"image_mean": 0.1, "image_std": [1, 2.5, 1e-7], "resample": 5}"#,
    ])
    func modelFileTextReadsBack(_ text: String) throws {
        let preprocessor = try huggingFace(text)
        #expect(try ImagePreprocessor(json: preprocessor.json) == preprocessor)
    }

    @Test func unknownModelFileTextIsRefused() throws {
        let text = try huggingFace(published).json
        let changes = [
            ("\"version\":1", "\"version\":2"), ("\"kind\":\"image\"", "\"kind\":\"ecg\""), ("\"down\"", "\"up\""),
            ("\"std\":", "\"stddev\":"), ("\"rescale\":", "\"mean\":"), ("[224,224]", "224"),
        ]
        for (old, new) in changes {
            #expect(throws: PreprocessorError.self, "\(old) to \(new)") {
                try ImagePreprocessor(json: text.replacing(old, with: new))
            }
        }
    }

    @Test func extremeShapesAreRefusedNotComputed() throws {
        let line = try Image(width: 100_000, height: 1, bytes: [UInt8](repeating: 9, count: 300_000))
        #expect(throws: ImageError.sideTooLong(width: 25_600_000, height: 256, limit: 1 << 20)) {
            try huggingFace(published).bytes(line)
        }
    }
}

private func channelsFirst<Element>(_ values: [Element]) -> [Element] {
    (0..<3).flatMap { channel in stride(from: channel, to: values.count, by: 3).map { values[$0] } }
}
