import AlulaCompiler
import AlulaGraph
import Foundation
import ONNXConverter
import TestSupport
import Testing

/// Single operators of quantized models, against numbers computed from their specifications (`Fixtures/make_quantized.py`).
@Suite struct QuantizedOperatorTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    private static let operators = [
        "QLinearConv", "QLinearMatMul", "QLinearSigmoid", "QLinearAveragePool", "QLinearGlobalAveragePool",
        "QLinearAdd",
        "QLinearMul", "QLinearConcat", "QLinearSoftmax",
    ]

    /// What is left of each, the dequantization of the result aside: operators with an int8 form have it.
    private static let expected = [
        "QLinearConv": "conv2d", "QLinearMatMul": "linear", "QLinearSigmoid": "requantize",
        "QLinearAveragePool": "avg_pool", "QLinearGlobalAveragePool": "mean", "QLinearAdd": "add",
        "QLinearConcat": "concat", "QLinearMul": "mul",
    ]

    @Test(arguments: operators.flatMap { [$0 + ".u8", $0 + ".s8"] } + ["QGemm.u8"])
    func isWithinOneStepOfTheSpecification(name: String) throws {
        let inputs = try SafetensorsFile(mapping: Self.folder.path + "/quantized_inputs.safetensors")
        let outputs = try SafetensorsFile(mapping: Self.folder.path + "/quantized_outputs.safetensors")
        let text = try #require(outputs.metadata(name))
        let step = try #require(Float(text))
        var options = ONNXImportOptions()
        options.takesImages = false
        let imported = try ONNXModel(contentsOf: Self.folder.path + "/\(name).onnx").imported(options).graph
        let compiled = try Pass.run(Pass.folding + Pass.floatOnly, on: imported)
        let input = try #require(inputs.data(of: name)).array(of: Float.self)
        let reference = try #require(outputs.data(of: name)).array(of: Float.self)
        for graph in [imported, compiled] {
            let result = try #require(run(graph, input)["y"])
            #expect(result.count == reference.count)
            for (a, b) in zip(result, reference) {
                let difference = abs(a - b)
                #expect(difference <= step * 1.01)
            }
        }
        let operation = name.split(separator: ".")[0]
        if let int8 = Self.expected[String(operation)] {
            let node = compiled.nodes.first { $0.op.name == int8 }
            let isInt8 = node.map { compiled.type($0.inputs[0]).dataType == .u8 } ?? false
            #expect(isInt8, "\(compiled.text)")
        }
    }
}

/// Whole models of ONNX Runtime's quantizer against what ONNX Runtime gives for them, and against the f32 model.
@Suite(.enabled(if: Fixtures.exist, "no reference fixtures at \(Fixtures.folder.path)"))
struct QuantizedModelTests {
    private static let limits: [(String, Float)] = [
        ("qdq_s8s8_perchannel", 0.26174445), ("qdq_u8s8_perchannel", 0.47986456),
        ("qdq_s8s8_symmetric", 0.24317373), ("qdq_s8s8_conv_matmul_only", 1e-4),
        ("qoperator_u8s8_pertensor", 0.46649195), ("dynamic_u8s8", 0.05527515),
    ]

    /// How far the logits may be from those of ONNX Runtime without optimizations: 1.5 times the distance of its own two modes where they
    /// differ. Where they do not, the model's QLinear operators round at other places than ours (`qoperator`), or are not rounded here at all
    /// (`dynamic`): then 1.5 times the distance to the f32 model.
    @Test(arguments: limits)
    func logitsAreAsCloseAsTheModesOfONNXRuntime(name: String, limit: Float) throws {
        let folder = "ort_int8_efficientformer_tiny_a"
        let imported = try ONNXModel(contentsOf: Fixtures.path("\(folder)/\(name).onnx")).imported()
        let graph = try Pass.run(Pass.folding + Pass.floatOnly, on: imported.graph)
        let pixels = try #require(try Fixtures.tensors(folder + "/inputs.safetensors")["pixel_values"])
        let reference = try #require(
            try Fixtures.tensors(folder + "/outputs.safetensors")[name + ".logits_unoptimized"])
        var worst: Float = 0
        for index in 0..<pixels.shape[0] {
            let logits = try #require(run(graph, try item(index, of: pixels))["logits"])
            for (a, b) in zip(logits, try item(index, of: reference)) { worst = max(worst, abs(a - b)) }
        }
        #expect(worst <= limit, "\(name): \(worst)")
        guard name.hasPrefix("qdq") else { return }
        // Every convolution and linear layer is int8 with the model's own weights.
        for node in graph.nodes where node.op.name == "conv2d" || node.op.name == "linear" {
            #expect(graph.type(node.inputs[0]).dataType == .u8)
        }
    }

    @Test func scalesThatARunWouldFindAreReported() throws {
        let model = try ONNXModel(contentsOf: Fixtures.path("ort_int8_efficientformer_tiny_a/dynamic_u8s8.onnx"))
        #expect(try model.imported().notes.contains { $0.contains("new scale in each run") })
    }
}
