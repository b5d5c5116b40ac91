import Foundation
import ONNXConverter
import Testing

/// docs/onnx.md lists exactly the operators that the importer knows.
@Suite struct DocumentationTests {
    @Test func theTableOfOperatorsIsComplete() throws {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/onnx.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        for family in ONNXModel.operatorFamilies {
            let row = "| \(family.name) | " + family.operators.map { "`\($0)`" }.joined(separator: " ") + " |"
            #expect(text.contains(row), "docs/onnx.md lacks: \(row)")
        }
        let rows = text.split(separator: "\n").filter {
            $0.hasPrefix("| ") && $0.contains("`") && !$0.contains("limit")
        }
        #expect(rows.count == ONNXModel.operatorFamilies.count)
    }
}
