/// One operand of an operator: its name in graph text and whether it may be absent.
package struct Operand: Sendable {
    package let name: String
    package let isOptional: Bool

    package static func required(_ name: String) -> Operand { Operand(name: name, isOptional: false) }
    package static func optional(_ name: String) -> Operand { Operand(name: name, isOptional: true) }
}

/// How an operator treats numbers; `Graph.verify` derives the permitted element types from it.
package enum NumericRule: Sendable {
    /// Computes: f32 to f32, u8 to u8 with its own quantization; `f32Result` also allows u8 to f32.
    case arithmetic(f32Result: Bool)
    /// Computes in f32 only; the quantizer surrounds it with dequantize and quantize.
    case float
    /// Moves elements of any type: the result's type and quantization are the operand's.
    case movement
    case quantize
    case dequantize
    /// f32 to u8 numbers that stand for themselves, and f32 scale and zero point.
    case dynamicQuantize
    /// f32 to f32 values and their i32 indices.
    case ranking

    /// The element type of result `index` when the first operand has this one, for graphs that are not quantized.
    package func resultType(_ index: Int, _ operand: DataType) -> DataType {
        switch self {
        case .quantize: .u8
        case .dynamicQuantize: index == 0 ? .u8 : .f32
        case .dequantize: .f32
        case .ranking: index == 0 ? .f32 : .i32
        case .arithmetic, .float, .movement: operand
        }
    }
}

/// What each operator's attribute struct provides. Used through `Operator`'s switch, never as an existential.
package protocol OperatorRule: Sendable, Equatable {
    /// The operator's name in graph text.
    var name: String { get }
    /// The operands in order; the last one repeats when `isVariadic`.
    var operands: [Operand] { get }
    var isVariadic: Bool { get }
    var numericRule: NumericRule { get }
    /// Writes the attributes that differ from their defaults.
    func write(_ attributes: inout AttributeWriter)
    /// Shapes of the results; checks operand shapes and attributes. Absent optional operands are nil; required ones are present.
    func resultShapes(_ operands: [TensorType?]) throws(ShapeProblem) -> [Shape]
    /// Multiply-adds, counted for matrix products only.
    func macs(_ operands: [TensorType?], _ result: TensorType) -> Int
}

extension OperatorRule {
    package var isVariadic: Bool { false }
    package var numericRule: NumericRule { .float }
    package func macs(_ operands: [TensorType?], _ result: TensorType) -> Int { 0 }
    package func write(_ attributes: inout AttributeWriter) {}
}

/// Why operands do not fit; `Operator.resultShapes` adds the operator's name.
package struct ShapeProblem: Error {
    package let text: String
    package init(_ text: String) { self.text = text }
}

/// Collects `name=value` pairs for graph text.
package struct AttributeWriter {
    package private(set) var text = ""

    package init() {}

    package mutating func add(_ name: String, _ value: Int, default defaultValue: Int? = nil) {
        if value != defaultValue { text += " \(name)=\(value)" }
    }
    package mutating func add(_ name: String, _ value: Float, default defaultValue: Float? = nil) {
        if value != defaultValue { text += " \(name)=" + decimal(value) }
    }
    package mutating func add(_ name: String, _ values: [Int]) {
        text += " \(name)="
        for (index, value) in values.enumerated() { text += index == 0 ? String(value) : "," + String(value) }
    }
    /// A list that is left out where it is empty.
    package mutating func add(_ name: String, _ values: [Float]) {
        guard !values.isEmpty else { return }
        text += " \(name)="
        for (index, value) in values.enumerated() { text += index == 0 ? decimal(value) : "," + decimal(value) }
    }
    /// `stride=2` when both are equal, `stride=2,1` otherwise.
    package mutating func add(_ name: String, _ pair: Pair, default defaultValue: Int) {
        if pair.height == pair.width {
            add(name, pair.height, default: defaultValue)
        } else {
            add(name, [pair.height, pair.width])
        }
    }
    package mutating func add(_ name: String, flag: Bool) {
        if flag { text += " \(name)=true" }
    }
    package mutating func add(_ name: String, word: String, default defaultValue: String) {
        if word != defaultValue { text += " \(name)=" + word }
    }
}

/// Hands out parsed attributes by name; what nobody asked for is an error afterwards.
package struct AttributeReader {
    private var pairs: [(name: String, value: String)]

    package init(_ pairs: [(name: String, value: String)]) { self.pairs = pairs }

    package var leftover: String? { pairs.first?.name }

    package mutating func word(_ name: String) -> String? {
        guard let index = pairs.firstIndex(where: { $0.name == name }) else { return nil }
        return pairs.remove(at: index).value
    }

    package mutating func integers(_ name: String) throws(ShapeProblem) -> [Int]? {
        guard let text = word(name) else { return nil }
        // A scalar's shape has no sizes.
        if text.isEmpty { return [] }
        var result: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let value = Int(part), abs(value) <= Int(Int32.max) else {
                throw ShapeProblem("\(name)=\(text) is not a list of integers")
            }
            result.append(value)
        }
        return result
    }

    package mutating func integer(_ name: String, default defaultValue: Int) throws(ShapeProblem) -> Int {
        guard let values = try integers(name) else { return defaultValue }
        guard values.count == 1 else { throw ShapeProblem("\(name) takes one integer") }
        return values[0]
    }

    package mutating func requiredIntegers(_ name: String) throws(ShapeProblem) -> [Int] {
        guard let values = try integers(name) else { throw ShapeProblem("\(name) is missing") }
        return values
    }

    package mutating func requiredInteger(_ name: String) throws(ShapeProblem) -> Int {
        let values = try requiredIntegers(name)
        guard values.count == 1 else { throw ShapeProblem("\(name) takes one integer") }
        return values[0]
    }

    package mutating func pair(_ name: String, default defaultValue: Int) throws(ShapeProblem) -> Pair {
        guard let values = try integers(name) else { return Pair(defaultValue) }
        guard values.count == 1 || values.count == 2 else { throw ShapeProblem("\(name) takes one or two integers") }
        return Pair(values[0], values[values.count - 1])
    }

    package mutating func float(_ name: String, default defaultValue: Float) throws(ShapeProblem) -> Float {
        guard let text = word(name) else { return defaultValue }
        guard let value = parseDecimal(text) else { throw ShapeProblem("\(name)=\(text) is not a number") }
        return value
    }

    package mutating func floats(_ name: String) throws(ShapeProblem) -> [Float] {
        guard let text = word(name) else { return [] }
        var result: [Float] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let value = parseDecimal(String(part)) else {
                throw ShapeProblem("\(name)=\(text) is not a list of numbers")
            }
            result.append(value)
        }
        return result
    }

    package mutating func flag(_ name: String) throws(ShapeProblem) -> Bool {
        guard let text = word(name) else { return false }
        guard text == "true" || text == "false" else { throw ShapeProblem("\(name) is true or false") }
        return text == "true"
    }
}

/// A height and a width.
public struct Pair: Sendable, Equatable {
    public var height, width: Int
    public init(_ both: Int) { (height, width) = (both, both) }
    public init(_ height: Int, _ width: Int) { (self.height, self.width) = (height, width) }
}

/// Rows and columns added around an image.
public struct Padding: Sendable, Equatable {
    public var top, left, bottom, right: Int

    public init(_ all: Int) { (top, left, bottom, right) = (all, all, all, all) }
    public init(top: Int, left: Int, bottom: Int, right: Int) {
        (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
    }
    package var isZero: Bool { self == Padding(0) }

    /// `pad=1`, or `pad=top,left,bottom,right`.
    package func write(_ attributes: inout AttributeWriter) {
        if self == Padding(top) {
            attributes.add("pad", top, default: 0)
        } else {
            attributes.add("pad", [top, left, bottom, right])
        }
    }

    package init(_ attributes: inout AttributeReader) throws(ShapeProblem) {
        let values = try attributes.integers("pad") ?? [0]
        switch values.count {
        case 1: self.init(values[0])
        case 4: self.init(top: values[0], left: values[1], bottom: values[2], right: values[3])
        default: throw ShapeProblem("pad takes one or four integers")
        }
    }
}
