extension Graph {
    /// Reads what `text` prints. The result is verified, except that its constants have no data yet.
    ///
    /// - Throws: `GraphError` with line and column for the first thing that is wrong.
    public init(text: String) throws(GraphError) {
        try self.init(unverified: text)
        try verify()
    }

    /// As `init(text:)`, for callers that verify the graph when its constants have their data.
    init(unverified text: String) throws(GraphError) {
        var parser = GraphTextParser(text)
        self = try parser.parse()
    }
}

/// A cursor over one line at a time of the text's UTF-8.
private struct GraphTextParser {
    private let bytes: [UInt8]
    private var position = 0
    private var lineStart = 0
    private var line = 1
    private var graph = Graph()
    private var values: [String: ValueID] = [:]
    private var constants: [String: ValueID] = [:]

    /// More lines than any model that fits in memory; keeps hostile texts from exhausting it.
    static let maximumValues = 1 << 20

    init(_ text: String) { bytes = Array(text.utf8) }

    mutating func parse() throws(GraphError) -> Graph {
        try expect("alula 1")
        try endLine()
        while position < bytes.count {
            if try skipEmptyLine() { continue }
            guard graph.values.count < Self.maximumValues else {
                throw problem("more than \(Self.maximumValues) values")
            }
            if take("const ") {
                try constant()
            } else if take("input ") {
                try input()
            } else if take("output ") {
                try output()
            } else {
                try node()
            }
            try endLine()
        }
        return graph
    }

    // MARK: Lines

    private mutating func constant() throws(GraphError) {
        try expect("@")
        let name = try self.name()
        let type = try typeAfterColon()
        var layout = Layout.plain
        if take(" layout=") {
            let word = self.word()
            guard let known = Layout(name: word) else { throw problem("layout \(word) is not known") }
            layout = known
        }
        guard constants.updateValue(graph.addConstant(name, type, layout: layout, nil), forKey: name) == nil else {
            throw .redefined(name: "@" + name)
        }
    }

    private mutating func input() throws(GraphError) {
        try expect("%")
        let name = try self.name()
        let type = try typeAfterColon()
        try define(name, graph.addInput(isNumber(name) ? "" : name, type))
    }

    private mutating func output() throws(GraphError) {
        let id = try reference()
        if take(" : ") {
            let type = try tensorType()
            guard type == graph.type(id) else {
                throw problem("output is declared \(type.text) but is \(graph.type(id).text)")
            }
        }
        graph.setOutputs(graph.outputs + [id])
    }

    private mutating func node() throws(GraphError) {
        var names: [String] = []
        repeat {
            try expect("%")
            names.append(try name())
        } while take(", ")
        try expect(" = ")
        let operatorName = word()
        try expect("(")
        var operands: [(name: String, id: ValueID)] = []
        if !take(")") {
            repeat { operands.append(try operand()) } while take(", ")
            try expect(")")
        }
        var pairs: [(name: String, value: String)] = []
        while position < bytes.count, !startsWith(" : ") {
            try expect(" ")
            let key = word()
            try expect("=")
            guard !pairs.contains(where: { $0.name == key }) else { throw problem("attribute \(key) is given twice") }
            pairs.append((key, attributeValue()))
        }
        try expect(" : ")
        var types: [TensorType] = []
        repeat { types.append(try tensorType()) } while take(", ")
        guard types.count == names.count else { throw problem("\(names.count) results but \(types.count) types") }

        var attributes = AttributeReader(pairs)
        let op: Operator
        do throws(ShapeProblem) {
            guard let known = try Operator(name: operatorName, attributes: &attributes) else {
                throw ShapeProblem("operator \(operatorName) is not known")
            }
            if let leftover = attributes.leftover { throw ShapeProblem("\(operatorName) has no attribute \(leftover)") }
            op = known
        } catch {
            throw problem(error.text)
        }
        let ids = graph.addNode(
            op, try arrange(operands, for: op), types: types, names: names.map { isNumber($0) ? "" : unmarked($0) })
        for (name, id) in zip(names, ids) { try define(name, id) }
    }

    /// Puts named operands into their places.
    private func arrange(_ operands: [(name: String, id: ValueID)], for op: Operator) throws(GraphError) -> [ValueID] {
        let specification = op.operands
        if op.isVariadic {
            guard operands.allSatisfy({ $0.name.isEmpty }) else { throw problem("\(op.name) takes unnamed operands") }
            return operands.map { $0.id }
        }
        var result = [ValueID](repeating: .none, count: specification.count)
        for (index, operand) in operands.enumerated() {
            let place =
                operand.name.isEmpty
                ? index : specification.firstIndex { $0.name == operand.name } ?? specification.count
            guard place < specification.count, result[place].isNone else {
                throw problem(
                    operand.name.isEmpty
                        ? "\(op.name) takes fewer operands" : "\(op.name) has no free operand \(operand.name)")
            }
            result[place] = operand.id
        }
        return result
    }

    private mutating func operand() throws(GraphError) -> (name: String, id: ValueID) {
        if position < bytes.count, bytes[position] != UInt8(ascii: "%"), bytes[position] != UInt8(ascii: "@") {
            let name = word()
            try expect("=")
            return (name, try reference())
        }
        return ("", try reference())
    }

    private mutating func reference() throws(GraphError) -> ValueID {
        if take("%") {
            let name = try self.name()
            guard let id = values[name] else { throw .undefined(name: "%" + unmarked(name), line: line) }
            return id
        }
        try expect("@")
        let name = try self.name()
        guard let id = constants[name] else { throw .undefined(name: "@" + unmarked(name), line: line) }
        return id
    }

    private mutating func define(_ name: String, _ id: ValueID) throws(GraphError) {
        guard values.updateValue(id, forKey: name) == nil else { throw .redefined(name: "%" + unmarked(name)) }
    }

    // MARK: Types

    private mutating func typeAfterColon() throws(GraphError) -> TensorType {
        try expect(" : ")
        return try tensorType()
    }

    private mutating func tensorType() throws(GraphError) -> TensorType {
        let word = self.word()
        guard let dataType = DataType(name: word) else {
            throw problem("\(word.isEmpty ? "this" : word) is not an element type")
        }
        try expect("[")
        var shape = Shape([])
        if !take("]") {
            repeat {
                guard shape.rank < Shape.maximumRank else { throw problem("more than \(Shape.maximumRank) axes") }
                shape.dimensions.append(try integer())
            } while take(",")
            try expect("]")
        }
        guard shape.isValid else { throw problem("shape \(shape.description) is empty or too large") }
        var quantization: Quantization? = nil
        if take(" scale=") {
            let text = attributeValue()
            guard let scale = parseDecimal(text) else { throw problem("scale \(text) is not a number") }
            try expect(" zero=")
            quantization = Quantization(scale: scale, zeroPoint: Int32(clamping: try integer()))
            guard quantization!.isValid else { throw problem("scale or zero point out of range") }
        }
        return TensorType(dataType, shape, quantization)
    }

    // MARK: Tokens

    /// A plain or quoted name. A quoted name of digits is marked, so that it differs from a number the printer gave.
    private mutating func name() throws(GraphError) -> String {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
            let result = word()
            guard !result.isEmpty else { throw problem("a name is missing") }
            return result
        }
        position += 1
        var content: [UInt8] = []
        while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\n") {
            var byte = bytes[position]
            if byte == UInt8(ascii: "\\") {
                position += 1
                guard position < bytes.count else { break }
                byte = bytes[position] == UInt8(ascii: "n") ? UInt8(ascii: "\n") : bytes[position]
            }
            content.append(byte)
            position += 1
        }
        try expect("\"")
        let text = String(decoding: content, as: UTF8.self)
        return isNumber(text) ? "\u{0}" + text : text
    }

    private func isNumber(_ name: String) -> Bool { name.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    private func unmarked(_ name: String) -> String { name.utf8.first == 0 ? String(name.dropFirst()) : name }

    private mutating func word() -> String {
        let start = position
        while position < bytes.count, isPlainNameByte(bytes[position]) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// Up to the next space or line end.
    private mutating func attributeValue() -> String {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: " "), bytes[position] != UInt8(ascii: "\n") {
            position += 1
        }
        // A result list separates types with ", ": the comma is not part of the value.
        if position > start, bytes[position - 1] == UInt8(ascii: ",") { position -= 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func integer() throws(GraphError) -> Int {
        let start = position
        if position < bytes.count, bytes[position] == UInt8(ascii: "-") { position += 1 }
        while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Int(text) else { throw problem("an integer is missing or too large") }
        return value
    }

    private func startsWith(_ text: StaticString) -> Bool {
        guard position + text.utf8CodeUnitCount <= bytes.count else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[position + index] != text.utf8Start[index] { return false }
        return true
    }

    private mutating func take(_ text: StaticString) -> Bool {
        guard startsWith(text) else { return false }
        position += text.utf8CodeUnitCount
        return true
    }

    private mutating func expect(_ text: StaticString) throws(GraphError) {
        guard take(text) else {
            throw problem(
                "expected '\(String(decoding: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), as: UTF8.self))'"
            )
        }
    }

    private mutating func endLine() throws(GraphError) {
        guard position == bytes.count || bytes[position] == UInt8(ascii: "\n") else {
            throw problem("unexpected text at the end of the line")
        }
        position += 1
        line += 1
        lineStart = position
    }

    /// Empty lines and lines that start with `#`.
    private mutating func skipEmptyLine() throws(GraphError) -> Bool {
        if bytes[position] == UInt8(ascii: "#") {
            while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
        } else if bytes[position] != UInt8(ascii: "\n") {
            return false
        }
        try endLine()
        return true
    }

    private func problem(_ text: String) -> GraphError {
        .syntax(line: line, column: position - lineStart + 1, problem: text)
    }
}
