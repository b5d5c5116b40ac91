import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaSystem
import ArgumentParser
import ONNXConverter

/// `alula convert` of an ONNX model: the file brings its graph, so that no architecture is asked for.
extension Convert {
    func convertONNX(_ source: WeightSource, start: UInt64) throws {
        guard arch == nil else { throw ValidationError("--arch is for weights; an ONNX model brings its own graph") }
        let options = try importOptions()
        let model = try naming(source.weights) { try ONNXModel(contentsOf: source.weights) }
        let result: ONNXImport
        do throws(ONNXError) { result = try model.imported(options) } catch {
            guard case .unsupported(let nodes) = error else { throw Failure(source.weights, error.message) }
            // All of them, before anything is written.
            format.print(json(model, unsupported: nodes), text: nodes.map { $0.text + "\n" }.joined())
            throw Failure(
                source.weights, nodes.count == 1 ? nodes[0].text : "\(nodes.count) nodes are not supported (listed)")
        }
        var graph = result.graph
        var notes = result.notes
        var metadata = [
            ModelFile.Key.source: try source.record(and: model.externalFiles).text
        ]
        let names = try labels.map { try Labels.read($0) } ?? exportedLabels(model, source)
        if !names.isEmpty {
            try checkLabels(names, graph)
            metadata[ModelFile.Key.labels] = JSON.strings(names).text
        }
        if preprocess == nil, let exported = try exportedPreprocessing(model, source) {
            metadata[ModelFile.Key.preprocess] = exported
        } else if takesPictures(graph) {
            metadata[ModelFile.Key.preprocess] = try preprocessing(source, graph, &notes).json
        } else if let preprocess {
            throw Failure(
                preprocess, "prepares pictures, but the model does not take one picture [N,3,H,W] or [N,H,W,3]")
        }
        // A quantized model has no float form to train: it is compiled with its own scales.
        let isQuantized = graph.isQuantized
        if optimize || isQuantized {
            graph = try naming(source.weights) { try Pass.run(Pass.folding + Pass.floatOnly, on: graph) }
        }
        var file = ModelFile(graph: graph, metadata: metadata)
        if isQuantized {
            notes.append(quantizationNote(graph))
            try naming(source.weights) { try Golden.add(to: &file, seed: 0) }
        }
        try writing(output) { try file.write(to: output) }
        let report = ONNXReport(model: model, result: result, notes: notes)
        let seconds = Double(alula_clock_nanoseconds() - start) / 1e9
        format.print(
            report.json(output: output, optimized: optimize, seconds: seconds),
            text: report.text(output: output, seconds: seconds))
    }

    // MARK: What `alula export` left in the model's metadata

    private func exportedLabels(_ model: ONNXModel, _ source: WeightSource) throws -> [String] {
        guard let text = model.metadata.first(where: { $0.key == ModelFile.Key.labels })?.value else { return [] }
        return try naming(source.weights) { try ModelFile.strings(ofJSON: text) }
    }

    private func exportedPreprocessing(_ model: ONNXModel, _ source: WeightSource) throws -> String? {
        guard let text = model.metadata.first(where: { $0.key == ModelFile.Key.preprocess })?.value else { return nil }
        _ = try naming(source.weights) { try InputPreprocessor(json: text) }
        return text
    }

    /// What of a quantized model runs in int8, and what stays f32 because int8 has no form of it.
    private func quantizationNote(_ graph: Graph) -> String {
        var floats: [String: Int] = [:]
        var bytes = 0
        for node in graph.nodes {
            switch node.op {
            case .quantize, .dequantize, .reshape: break
            default:
                if graph.type(node.inputs[0]).dataType == .u8 {
                    bytes += 1
                } else {
                    floats[node.op.name, default: 0] += 1
                }
            }
        }
        let rest = floats.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
        let all = "\(bytes) operators run in int8 with the model's own scales"
        return rest.isEmpty ? all : all + "; f32: " + rest.joined(separator: ", ")
    }

    private func importOptions() throws -> ONNXImportOptions {
        var options = ONNXImportOptions()
        if let batch {
            guard batch >= 1 else { throw ValidationError("--batch is at least 1") }
            options.batch = batch
        }
        for text in shape {
            let parts = text.split(separator: "=", maxSplits: 1)
            let sizes = parts.count == 2 ? parts[1].split(separator: "x").map { Int($0) } : []
            guard parts.count == 2, !sizes.isEmpty, sizes.allSatisfy({ ($0 ?? 0) >= 1 }) else {
                throw ValidationError("--shape \(text) is not NAME=1x3x224x224")
            }
            options.shapes[String(parts[0])] = sizes.compactMap { $0 }
        }
        return options
    }

    private func takesPictures(_ graph: Graph) -> Bool {
        guard graph.inputs.count == 1 else { return false }
        let shape = graph.shape(graph.inputs[0])
        return shape.rank == 4 && shape[3] == Image.channels
    }

    private func json(_ model: ONNXModel, unsupported: [ONNXUnsupportedNode]) -> JSON {
        .object([
            ("format", .string("onnx")), ("opset", .optional(model.opsets[""])),
            (
                "unsupported",
                .array(
                    unsupported.map {
                        .object([
                            ("operator", .string($0.node.op)), ("name", .string($0.node.name)),
                            ("shapes", .strings($0.shapes)), ("needed", .string($0.needed)),
                        ])
                    })
            ),
        ])
    }
}

/// What became of an ONNX model.
private struct ONNXReport {
    var model: ONNXModel
    var result: ONNXImport
    var notes: [String]

    private var parameters: Int { Models.parameterCount(result.graph) }

    func json(output: String, optimized: Bool, seconds: Double) -> JSON {
        .object([
            ("output", .string(output)), ("format", .string("onnx")), ("architecture", .string("onnx")),
            ("producer", .string(model.producer)), ("opset", .optional(model.opsets[""])),
            ("operators", .object(result.operators.map { ($0.name, .integer($0.count)) })),
            ("unsupported", .array([])), ("inputs", ports(result.graph.inputs)),
            ("outputs", ports(result.graph.outputs)),
            ("parameters", .integer(parameters)), ("macs", .integer(result.graph.macs)),
            ("seconds", .rounded(seconds, 3)), ("optimized", .bool(optimized)), ("notes", .strings(notes)),
        ])
    }

    private func ports(_ ids: [ValueID]) -> JSON {
        .array(
            ids.map {
                .object([
                    ("name", .string(result.graph[$0].name)),
                    ("shape", .integers(result.graph.shape($0).dimensions)),
                ])
            })
    }

    func text(output: String, seconds: Double) -> String {
        let operators = result.operators.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
            .map { "\($0.count) \($0.name)" }.joined(separator: ", ")
        let producer = model.producer.isEmpty ? "" : " by \(model.producer)"
        var text = """
            \(output): ONNX\(producer), opset \(model.opsets[""] ?? 0), \(Format.count(parameters)) parameters, \
            \(Format.count(result.graph.macs)) MACs (\(Format.fixed(seconds, 1)) s)
            operators: \(operators)

            """
        for note in notes { text += "note: \(note)\n" }
        return text
    }
}
