import Testing

@Suite struct UsageTests {
    static let verbs: [[String]] = [
        [], ["convert"], ["quantize"], ["run"], ["bench"], ["inspect"], ["verify"], ["create"],
        ["create", "image-sample"],
        ["create", "efficientformer-sample"],
    ]

    @Test(arguments: verbs) func helpShowsAnExample(verb: [String]) throws {
        let outcome = try Tool.alula(verb + ["--help"])
        #expect(outcome.status == 0)
        #expect(outcome.text.contains("alula " + (verb.first ?? "convert")))
        #expect(verb.isEmpty || outcome.text.contains("Example:"))
        #expect(outcome.error.isEmpty)
    }

    static let wrongUsages: [[String]] = [
        ["fly"], ["convert"], ["convert", "a", "b", "-o", "c"], ["convert", "a"],
        ["quantize", "a.alula", "-o", "b.alula"],
        ["quantize", "a.alula", "-o", "b.alula", "--calibrate", "videos:x"],
        ["quantize", "a", "-o", "b", "--calibrate", "images:"],
        ["quantize", "a", "-o", "b", "--calibrate", "images:x", "--samples", "0"],
        ["quantize", "a", "-o", "b", "--calibrate", "images:x", "--method", "guess"],
        ["quantize", "a", "-o", "b", "--calibrate", "images:x", "--percentile", "101"],
        ["run", "a.alula"], ["run", "a.alula", "x", "--top", "-1"], ["run", "a.alula", "-", "-"],
        ["run", "a", "x", "--isa", "mmx"],
        ["run", "a.alula", "x", "--memory-limit", "0"], ["run", "a.alula", "x", "--wings"], ["bench"],
        ["bench", "a", "--threads", "1,x"],
        ["bench", "a", "--runs", "0"], ["inspect"], ["verify"], ["verify", "a", "--isa", "mmx"],
        ["create", "image-sample"],
        ["create", "image-sample", "-o", "x.png", "--size", "12"], ["create", "bird"],
    ]

    @Test(arguments: wrongUsages) func wrongUsageExitsWithTwo(arguments: [String]) throws {
        let outcome = try Tool.alula(arguments)
        #expect(outcome.status == 2)
        #expect(outcome.output.isEmpty)
        #expect(!outcome.error.isEmpty)
    }

    @Test func aVersionIsPrinted() throws {
        let outcome = try Tool.alula("--version")
        #expect(outcome.status == 0)
        #expect(outcome.text.split(separator: ".").count == 3)
    }

    @Test(arguments: [
        [], ["fly"], ["run"], ["run", "a", "b"], ["run", "a", "--threads"], ["bench", "a", "--runs", "none"],
    ])
    func theRunnerAlsoExitsWithTwo(arguments: [String]) throws {
        #expect(try Tool.runner(arguments).status == 2)
    }

    @Test func theRunnerHelps() throws {
        let outcome = try Tool.runner("--help")
        #expect(outcome.status == 0)
        #expect(outcome.text.contains("Example:"))
    }
}
