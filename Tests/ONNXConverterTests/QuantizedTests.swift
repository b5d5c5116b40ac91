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

/// Operators whose roundings ONNX Runtime alone defines, and one that the standard's own cases lack, against what it gives (`Fixtures/make_runtime.py`).
@Suite struct RuntimeOperatorTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    /// With the operators that are left in front of a dequantization, if any.
    private static let cases: [(String, [String])] = [
        ("QLinearAdd.scalar.u8", ["requantize"]), ("QLinearAdd.scalar.s8", ["requantize"]),
        ("QLinearAdd.scalar.first.u8", ["requantize"]), ("QLinearAdd.scalar.first.s8", ["requantize"]),
        ("QLinearMul.scalar.u8", ["requantize"]), ("QLinearMul.scalar.s8", ["requantize"]),
        ("MatMulInteger", ["dynamic_quantize", "linear", "add"]),
        ("MatMulInteger.columns", ["dynamic_quantize", "linear", "add"]),
        ("ConvInteger", ["dynamic_quantize", "conv2d", "add"]),
        ("DynamicQuantizeMatMul", ["dynamic_quantize", "linear", "add"]),
        ("MatMulIntegerToFloat", ["dynamic_quantize", "linear", "add"]), ("DequantizeLinear.dynamic", []),
        ("MatMulInteger.wide", []), ("MatMulInteger.static", ["requantize", "linear"]), ("Col2Im", []),
        ("Col2Im.signal", []),
    ]

    @Test(arguments: cases) func givesTheSameNumbers(name: String, operators: [String]) throws {
        let file = try SafetensorsFile(mapping: Self.folder.path + "/runtime_cases.safetensors")
        let input = try #require(file.data(of: name + ".x")).array(of: Float.self)
        let reference = try #require(file.data(of: name + ".y")).array(of: Float.self)
        var options = ONNXImportOptions()
        options.takesImages = false
        let imported = try ONNXModel(contentsOf: Self.folder.path + "/\(name).onnx").imported(options).graph
        let compiled = try Pass.run(Pass.folding + Pass.floatOnly, on: imported)
        for graph in [imported, compiled] {
            let result = try #require(run(graph, input)["y"])
            #expect(relativeDifference(result, reference) <= 1.2e-7, "\(graph.text)")
        }
        guard !operators.isEmpty else { return }
        let rest: Set<String> = ["dequantize", "transpose", "reshape"]
        #expect(compiled.nodes.map { $0.op.name }.filter { !rest.contains($0) } == operators, "\(compiled.text)")
        for node in compiled.nodes where node.op.name == "linear" || node.op.name == "conv2d" {
            #expect(compiled.type(node.inputs[0]).dataType == .u8)
        }
    }
}

/// Whole models of ONNX Runtime's quantizer against what ONNX Runtime gives for them without optimizations.
@Suite(.enabled(if: Fixtures.exist, "no reference fixtures at \(Fixtures.folder.path)"))
struct QuantizedModelTests {
    private static let folder = "ort_int8_efficientformer_tiny_a"
    private static let models = [
        "qdq_s8s8_perchannel", "qdq_u8s8_perchannel", "qdq_s8s8_symmetric", "qdq_s8s8_conv_matmul_only",
        "qoperator_u8s8_pertensor", "dynamic_u8s8",
    ]

    private func distance(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } }

    /// 1.5 times the distance of ONNX Runtime's own two modes: nothing at all for two of the models. In `dynamic` its modes differ by two last places
    /// of a logit, as f32 layers sum in another order; ours may by some more.
    @Test(arguments: models) func logitsAreAsCloseAsTheModesOfONNXRuntime(name: String) throws {
        let imported = try ONNXModel(contentsOf: Fixtures.path("\(Self.folder)/\(name).onnx")).imported()
        let graph = try Pass.run(Pass.folding + Pass.floatOnly, on: imported.graph)
        let pixels = try #require(try Fixtures.tensors(Self.folder + "/inputs.safetensors")["pixel_values"])
        let outputs = try Fixtures.tensors(Self.folder + "/outputs.safetensors")
        let (optimized, reference) = (
            try #require(outputs[name + ".logits"]), try #require(outputs[name + ".logits_unoptimized"])
        )
        let noise: Float = name == "dynamic_u8s8" ? 1e-6 * (try reference.floats()).reduce(0) { max($0, abs($1)) } : 0
        let limit = max(1.5 * distance(try optimized.floats(), try reference.floats()), noise)
        var worst: Float = 0
        for index in 0..<pixels.shape[0] {
            let logits = try #require(run(graph, try item(index, of: pixels))["logits"])
            worst = max(worst, distance(logits, try item(index, of: reference)))
        }
        #expect(worst <= limit, "\(name)")
        // Every convolution and linear layer that the model quantizes is int8, with the model's own weights.
        for node in graph.nodes where node.op.name == "conv2d" && name != "dynamic_u8s8" || node.op.name == "linear" {
            #expect(graph.type(node.inputs[0]).dataType == .u8)
        }
    }
}
