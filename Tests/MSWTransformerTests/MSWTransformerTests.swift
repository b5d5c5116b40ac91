import AlulaCompiler
import AlulaGraph
import AlulaRuntime
import MSWTransformer
import ModelBuilding
import Testing

typealias Configuration = MSWTransformerConfiguration

/// A small model that needs no files: 10 tokens of 4 samples, with windows that do and do not divide them.
private func small(_ change: (inout Configuration) -> Void = { _ in }) -> Configuration {
    var configuration = Configuration()
    (configuration.leads, configuration.length, configuration.patch) = (3, 40, 4)
    (configuration.dim, configuration.heads, configuration.windows) = (16, 2, [2, 3, 5])
    (configuration.mlpRatio, configuration.classes) = (2, 4)
    change(&configuration)
    return configuration
}

private func signal(_ configuration: Configuration, seed: Int) -> [Float] {
    (0..<configuration.length * configuration.leads).map { index in
        Float((index * (13 + 2 * seed) + seed * 17) % 97) / 30 - 1.6
    }
}

private func run(_ graph: Graph, _ input: [Float], _ options: SessionOptions = .init()) throws -> [Float] {
    let session = try Session(graph, options: options)
    try session.setInput(0, floats: input)
    session.run()
    return try session.outputFloats(0)
}

/// The graph against a plain f64 definition that knows neither padding nor rolling.
@Suite struct DefinitionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var change: @Sendable (inout Configuration) -> Void

        init(_ description: String, _ change: @escaping @Sendable (inout Configuration) -> Void) {
            (testDescription, self.change) = (description, change)
        }
    }

    static let cases = [
        Case("windows that divide the tokens") { $0.windows = [2, 5, 10] },
        Case("windows that do not divide the tokens") { $0.windows = [3, 4, 6, 7] },
        Case("a window larger than the signal") { $0.windows = [13] },
        Case("a window of one token") { $0.windows = [1, 2] },
        Case("a signal that patches do not divide") { $0.length = 42 },
        Case("no shift") { $0.shift = .none },
        Case("no shift, windows that do not divide the tokens") { ($0.shift, $0.windows) = (.none, [3, 4]) },
        Case("wrapped tokens see each other") { $0.masksWrapped = false },
        Case("wrapped tokens see each other in windows that do not divide the tokens") {
            ($0.masksWrapped, $0.windows) = (false, [3, 6])
        },
        Case("no relative bias") { $0.usesRelativeBias = false },
        Case("no relative bias, no shift") { ($0.usesRelativeBias, $0.shift) = (false, .none) },
        Case("no positions, no bias of q, k and v") { ($0.usesPositions, $0.hasQKVBias) = (false, false) },
        Case("scales that share weights") { $0.sharesScales = true },
        Case("two layers") { $0.layers = 2 },
        Case("fusion by plain weights") { $0.fusion = .weights },
    ]

    @Test(arguments: cases) func theGraphIsTheDefinition(_ test: Case) throws {
        let configuration = small(test.change)
        let checkpoint = try MSWTransformer.checkpoint(configuration, .sample, seed: 7)
        let (graph, report) = try MSWTransformer.build(configuration, checkpoint)
        try graph.verify()
        #expect(report.unused == [] && report.usedCount == checkpoint.tensors.count)
        let definition = Definition(configuration: configuration, checkpoint: checkpoint)
        let compiled = try Pass.run(Pass.folding + Pass.floatOnly, on: graph)
        for seed in 0..<3 {
            let input = signal(configuration, seed: seed)
            let expected = try definition.logits(input)
            let scale = expected.reduce(0) { max($0, abs($1)) }
            for (name, form) in [("as built", graph), ("compiled", compiled)] {
                let logits = try run(form, input)
                let difference = zip(logits, expected).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
                #expect(difference <= 2e-5 * scale, "signal \(seed), \(name): \(logits), not \(expected)")
            }
        }
    }

    /// Each choice that the cases above make changes the result, so none of them passes by not mattering.
    @Test func everyChoiceMatters() throws {
        let plain = small { $0.windows = [3, 6] }
        let checkpoint = try MSWTransformer.checkpoint(plain, .sample, seed: 7)
        let input = signal(plain, seed: 1)
        let expected = try run(MSWTransformer.build(plain, checkpoint).graph, input)
        let changes: [(String, (inout Configuration) -> Void)] = [
            ("shift", { $0.shift = .none }), ("mask", { $0.masksWrapped = false }),
            ("rel_bias", { $0.usesRelativeBias = false }), ("abs_pos", { $0.usesPositions = false }),
            ("qkv_bias", { $0.hasQKVBias = false }),
        ]
        for (name, change) in changes {
            var other = plain
            change(&other)
            #expect(try run(MSWTransformer.build(other, checkpoint).graph, input) != expected, "\(name)")
        }
    }

    @Test func fusionFoldsIntoTheLayers() throws {
        let configuration = small()
        let graph = try MSWTransformer.build(
            configuration, MSWTransformer.checkpoint(configuration, .sample, seed: 7)
        ).graph
        let folded = try Pass.run(Pass.folding, on: graph).text
        for name in ["= softmax(", "= mul("] { #expect(graph.text.contains(name) && !folded.contains(name)) }
    }
}

@Suite struct ConfigurationTests {
    /// Per scale two attentions and an MLP, as the fact sheet counts; the rest is counted here by hand.
    @Test(arguments: [("msw-transformer", 200, 60, 512), ("msw-transformer-tiny", 100, 120, 64)])
    func parametersAreAsCountedByHand(_ name: String, _ tokens: Int, _ patch: Int, _ dim: Int) throws {
        var configuration = try Configuration(architecture: name)
        configuration.classes = 5
        let (tensors, graph, report) = try MSWTransformer.outline(configuration)
        let embedding = dim * patch + dim + 2 * dim + tokens * dim
        let attention = 4 * dim * dim + 4 * dim + 2 * dim
        let perceptron = 8 * dim * dim + 5 * dim + 2 * dim
        let tables = [5, 10, 20].reduce(0) { $0 + 2 * configuration.heads * (2 * $1 - 1) }
        let scales = 3 * (2 * attention + perceptron + dim * dim + dim) + tables
        #expect(report.parameters == embedding + scales + 3 + 2 * dim + 5 * dim + 5)
        #expect(tensors.filter(\.kind.isParameter).count == tensors.count)
        #expect(report.architecture == name)
        #expect(graph.shape(graph.inputs[0]) == [1, 1, 1000, 12])
        #expect(graph.shape(graph.outputs[0]) == [1, 5])
        if name.hasSuffix("tiny") { #expect(report.parameters <= 300_000) }
    }

    @Test(arguments: [5, 23, 12, 17, 19, 44]) func anyLabelSetFits(_ classes: Int) throws {
        var configuration = small()
        configuration.classes = classes
        let graph = try MSWTransformer.outline(configuration).graph
        #expect(graph.shape(graph.outputs[0]) == [1, classes])
    }

    @Test func aConfigurationIsReadFromJSON() throws {
        let json = """
            {"architecture": "msw-transformer-tiny", "leads": 2, "length": 500, "windows": [4], "shift": "none",
             "mask": false, "rel_bias": false, "share": true, "qkv_bias": false, "fusion": "weights", "abs_pos": false,
             "num_classes": 2, "label_names": ["no", "yes"]}
            """
        let read = try Configuration(json: Array(json.utf8))
        var expected = try Configuration(architecture: "msw-transformer-tiny")
        (expected.leads, expected.length, expected.windows, expected.shift) = (2, 500, [4], .none)
        (expected.masksWrapped, expected.usesRelativeBias, expected.sharesScales) = (false, false, true)
        (expected.hasQKVBias, expected.fusion, expected.usesPositions) = (false, .weights, false)
        (expected.classes, expected.labels) = (2, ["no", "yes"])
        #expect(read == expected)
    }

    @Test func aConfigurationIsReadOffTheTensors() throws {
        for share in [false, true] {
            let configuration = small { $0.sharesScales = share }
            let checkpoint = try MSWTransformer.checkpoint(configuration, .sample, seed: 2)
            #expect(MSWTransformer.recognizes(checkpoint))
            var inferred = try MSWTransformer.configuration(for: checkpoint)
            #expect(inferred.notes.count == 1)
            (inferred.notes, inferred.classes) = ([], configuration.classes)
            #expect(inferred == configuration)
        }
    }

    @Test func whatCannotBeComputedIsRefused() {
        let cases: [(String, Configuration)] = [
            ("heads", small { $0.heads = 3 }), ("windows", small { $0.windows = [] }),
            ("windows", small { $0.windows = [0] }), ("patch", small { $0.patch = 41 }),
            ("length", small { $0.length = 0 }), ("mlp_ratio", small { $0.mlpRatio = .nan }),
            ("num_classes", small { $0.classes = 0 }), ("dropout", small { $0.dropout = 1 }),
        ]
        for (wanted, configuration) in cases {
            let error = #expect(throws: ModelError.self) { try MSWTransformer.outline(configuration) }
            guard case .configuration(let key, _, _)? = error else { continue }
            #expect(key == wanted)
        }
        #expect(throws: ModelError.configuration(key: "shift", value: "\"third\"", problem: "supported are half, none"))
        {
            try Configuration(json: Array(#"{"shift": "third"}"#.utf8))
        }
    }

    @Test func allMissingTensorsAreListedAtOnce() throws {
        let original = try MSWTransformer.checkpoint(small(), .sample, seed: 1)
        var checkpoint = Checkpoint()
        for tensor in original.tensors where !tensor.name.hasSuffix(".proj.bias") { try checkpoint.add(tensor) }
        let error = #expect(throws: ModelError.self) { try MSWTransformer.build(small(), checkpoint) }
        guard case .tensors(let missing, let misshapen)? = error else { return }
        #expect(missing.count == 7 && misshapen == [])
    }
}

@Suite struct QuantizedTests {
    @Test func int8IsNearAndTheSameOnEveryInstructionSet() throws {
        let configuration = small { $0.windows = [3, 5] }
        let checkpoint = try MSWTransformer.checkpoint(configuration, .sample, seed: 4)
        let float = try Pass.run(Pass.folding, on: MSWTransformer.build(configuration, checkpoint).graph)
        var calibration = try Calibration(float, method: .minMax)
        for seed in 0..<8 { try calibration.observe([signal(configuration, seed: seed)]) }
        let int8 = try Pass.run([Pass.pack], on: Quantizer.quantize(float, calibration))
        #expect(!int8.text.contains("dequantize"), "positions are added in 8 bits")
        let input = signal(configuration, seed: 3)
        let (expected, logits) = (try run(float, input), try run(int8, input))
        let noise = zip(logits, expected).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        let power = expected.reduce(0) { $0 + Double($1 * $1) }
        #expect(power / noise > 100, "at least 20 dB: \(logits) against \(expected)")
        for instructionSet in InstructionSet.available {
            for threads in [1, 2, 3] {
                let options = SessionOptions(threads: threads, instructionSet: instructionSet)
                #expect(try run(int8, input, options) == logits, "\(instructionSet), \(threads) threads")
            }
        }
    }
}
