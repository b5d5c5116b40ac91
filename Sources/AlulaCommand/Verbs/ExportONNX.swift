import AlulaGraph
import ArgumentParser
import ONNXConverter

/// `alula export --to onnx`: the graph as operators that every ONNX runtime knows.
struct ONNXFileExport {
    private let export: ONNXExport

    init(_ file: ModelFile, path: String) throws {
        let keys = [ModelFile.Key.labels, ModelFile.Key.preprocess, ModelFile.Key.source]
        let metadata = keys.compactMap { key in file.metadata[key].map { (key: key, value: $0) } }
        export = try naming(path) { try ONNXExport(file.graph, metadata: metadata) }
    }

    func write(to path: String, quantized: Bool, _ format: OutputOptions) throws {
        try writing(path) { try export.write(to: path) }
        let operators = export.operators
        let bytes = try naming(path) { try Bytes(mapping: path).count }
        let kinds = operators.sorted { ($1.count, $0.name) < ($0.count, $1.name) }.map { "\($0.count) \($0.name)" }
        format.print(
            .object([
                ("output", .string(path)), ("format", .string("onnx")), ("opset", .integer(ONNXExport.opset)),
                ("quantized", .bool(quantized)), ("bytes", .integer(bytes)),
                ("operators", .object(operators.map { ($0.name, .integer($0.count)) })),
                ("notes", .strings(export.notes)),
            ]),
            text:
                "\(path): ONNX, opset \(ONNXExport.opset)\(quantized ? ", int8 as QDQ" : ""), \(Format.bytes(bytes))\n"
                + "operators: " + kinds.joined(separator: ", ") + "\n"
                + export.notes.map { "note: \($0)\n" }.joined())
    }
}
