/// Writes protobuf messages field by field (https://protobuf.dev/programming-guides/encoding).
package struct ProtobufWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func number(_ field: Int, _ value: Int) {
        varint(UInt64(field) << 3)
        varint(UInt64(bitPattern: Int64(value)))
    }

    package mutating func float(_ field: Int, _ value: Float) {
        varint(UInt64(field) << 3 | 5)
        for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift)) }
    }

    package mutating func bytes(_ field: Int, _ value: [UInt8]) {
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(value.count))
        bytes += value
    }

    package mutating func text(_ field: Int, _ value: String) { bytes(field, Array(value.utf8)) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F | 0x80))
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// Small ONNX models for tests. Field numbers are those of converters/ONNX/Proto/onnx.proto.
package struct ONNXSample {
    package var opset = 17
    package private(set) var graph = ProtobufWriter()
    package private(set) var functions: [[UInt8]] = []

    package init(opset: Int = 17) { self.opset = opset }

    package enum Attribute {
        case int(Int)
        case ints([Int])
        case float(Float)
        case text(String)
        case tensor([UInt8])
        case graph([UInt8])
        case reference(String)
    }

    package static func node(
        _ op: String, _ inputs: [String], _ outputs: [String], _ attributes: [(String, Attribute)] = [],
        domain: String = "", name: String = ""
    ) -> [UInt8] {
        var node = ProtobufWriter()
        for input in inputs { node.text(1, input) }
        for output in outputs { node.text(2, output) }
        if !name.isEmpty { node.text(3, name) }
        node.text(4, op)
        for (name, value) in attributes { node.bytes(5, attribute(name, value)) }
        if !domain.isEmpty { node.text(7, domain) }
        return node.bytes
    }

    private static func attribute(_ name: String, _ value: Attribute) -> [UInt8] {
        var result = ProtobufWriter()
        result.text(1, name)
        switch value {
        case .int(let value):
            result.number(3, value)
            result.number(20, 2)
        case .ints(let values):
            for value in values { result.number(8, value) }
            result.number(20, 7)
        case .float(let value):
            result.float(2, value)
            result.number(20, 1)
        case .text(let value):
            result.text(4, value)
            result.number(20, 3)
        case .tensor(let bytes):
            result.bytes(5, bytes)
            result.number(20, 4)
        case .graph(let bytes):
            result.bytes(6, bytes)
            result.number(20, 5)
        case .reference(let name):
            result.text(21, name)
            result.number(20, 2)
        }
        return result.bytes
    }

    /// - Parameter type: ONNX's number: 1 is f32, 7 is i64.
    package static func tensor(_ name: String, _ shape: [Int], type: Int = 1, raw: [UInt8]) -> [UInt8] {
        var result = ProtobufWriter()
        for size in shape { result.number(1, size) }
        result.number(2, type)
        result.text(8, name)
        result.bytes(9, raw)
        return result.bytes
    }

    package static func floats(_ name: String, _ shape: [Int], _ values: [Float]) -> [UInt8] {
        tensor(name, shape, raw: values.withUnsafeBytes { Array($0) })
    }

    package static func integers(_ name: String, _ shape: [Int], _ values: [Int]) -> [UInt8] {
        tensor(name, shape, type: 7, raw: values.withUnsafeBytes { Array($0) })
    }

    /// A tensor whose data lie in another file.
    package static func external(_ name: String, _ shape: [Int], location: String, offset: Int = 0, length: Int? = nil)
        -> [UInt8]
    {
        var result = ProtobufWriter()
        for size in shape { result.number(1, size) }
        result.number(2, 1)
        result.text(8, name)
        let pairs = [("location", location), ("offset", "\(offset)")] + (length.map { [("length", "\($0)")] } ?? [])
        for (key, value) in pairs {
            var entry = ProtobufWriter()
            entry.text(1, key)
            entry.text(2, value)
            result.bytes(13, entry.bytes)
        }
        result.number(14, 1)
        return result.bytes
    }

    package mutating func add(node: [UInt8]) { graph.bytes(1, node) }
    package mutating func add(initializer: [UInt8]) { graph.bytes(5, initializer) }
    package mutating func add(function: [UInt8]) { functions.append(function) }

    package mutating func add(input name: String, _ shape: [Int], type: Int = 1) {
        graph.bytes(11, ONNXSample.value(name, shape.map { .size($0) }, type))
    }
    package mutating func add(input name: String, open shape: [Dimension]) {
        graph.bytes(11, ONNXSample.value(name, shape, 1))
    }
    package mutating func add(output name: String) { graph.bytes(12, ONNXSample.value(name, nil, 1)) }

    package enum Dimension {
        case size(Int)
        case named(String)
    }

    private static func value(_ name: String, _ shape: [Dimension]?, _ type: Int) -> [UInt8] {
        var tensor = ProtobufWriter()
        tensor.number(1, type)
        if let shape {
            var list = ProtobufWriter()
            for dimension in shape {
                var entry = ProtobufWriter()
                switch dimension {
                case .size(let size): entry.number(1, size)
                case .named(let name): entry.text(2, name)
                }
                list.bytes(1, entry.bytes)
            }
            tensor.bytes(2, list.bytes)
        }
        var typed = ProtobufWriter()
        typed.bytes(1, tensor.bytes)
        var result = ProtobufWriter()
        result.text(1, name)
        result.bytes(2, typed.bytes)
        return result.bytes
    }

    package static func function(
        _ name: String, domain: String = "local", inputs: [String], outputs: [String], nodes: [[UInt8]]
    ) -> [UInt8] {
        var result = ProtobufWriter()
        result.text(1, name)
        for input in inputs { result.text(4, input) }
        for output in outputs { result.text(5, output) }
        for node in nodes { result.bytes(7, node) }
        result.text(10, domain)
        return result.bytes
    }

    /// The serialized model.
    package var model: [UInt8] {
        var result = ProtobufWriter()
        result.number(1, 8)
        result.bytes(7, graph.bytes)
        for (domain, version) in [("", opset), ("local", 1), ("com.microsoft", 1)] {
            var entry = ProtobufWriter()
            if !domain.isEmpty { entry.text(1, domain) }
            entry.number(2, version)
            result.bytes(8, entry.bytes)
        }
        for function in functions { result.bytes(25, function) }
        return result.bytes
    }

    /// A model of one input `x`, one output `y` and the given nodes and constants.
    package static func single(
        _ shape: [Int], _ nodes: [[UInt8]], _ initializers: [[UInt8]] = [], opset: Int = 17
    ) -> ONNXSample {
        var sample = ONNXSample(opset: opset)
        for node in nodes { sample.add(node: node) }
        for tensor in initializers { sample.add(initializer: tensor) }
        sample.add(input: "x", shape)
        sample.add(output: "y")
        return sample
    }

    /// A few sound models of different kinds, from which fuzzing starts.
    package static var valid: [(name: String, bytes: [UInt8])] {
        let weights = (0..<2 * 3 * 3 * 3).map { Float($0) / 32 }
        let convolution = single(
            [1, 3, 8, 8],
            [
                node("Conv", ["x", "w", "b"], ["c"], [("pads", .ints([1, 1, 1, 1])), ("strides", .ints([2, 2]))]),
                node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["p"]),
                node("Flatten", ["p"], ["y"], [("axis", .int(1))]),
            ], [floats("w", [2, 3, 3, 3], weights), floats("b", [2], [1, 2])])
        let tokens = single(
            [2, 4, 6],
            [
                node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"], [("axis", .int(0))]),
                node("Concat", ["n", "rest"], ["t"], [("axis", .int(0))]), node("Reshape", ["x", "t"], ["h"]),
                node("Transpose", ["h"], ["k"], [("perm", .ints([0, 2, 3, 1]))]),
                node("Transpose", ["h"], ["q"], [("perm", .ints([0, 2, 1, 3]))]),
                node("MatMul", ["q", "k"], ["a"]), node("Softmax", ["a"], ["y"], [("axis", .int(-1))]),
            ], [integers("zero", [1], [0]), integers("rest", [3], [4, 2, 3])])
        var functions = single([2, 3], [node("Twice", ["x"], ["y"], domain: "local")])
        functions.add(
            function: function("Twice", inputs: ["a"], outputs: ["b"], nodes: [node("Add", ["a", "a"], ["b"])]))
        let slices = single(
            [1, 4, 4],
            [
                node("Slice", ["x", "from", "to", "axes", "steps"], ["a"]),
                node("Pad", ["a", "pads"], ["b"], [("mode", .text("reflect"))]), node("Tile", ["b", "repeats"], ["c"]),
                node("Resize", ["c", "", "", "sizes"], ["y"], [("mode", .text("linear"))]),
            ],
            [
                integers("from", [1], [3]), integers("to", [1], [-9]), integers("axes", [1], [2]),
                integers("steps", [1], [-1]), integers("pads", [6], [0, 1, 0, 0, 1, 0]),
                integers("repeats", [3], [1, 1, 2]),
                integers("sizes", [3], [1, 12, 4]),
            ])
        return [
            ("convolution", convolution.model), ("tokens", tokens.model), ("functions", functions.model),
            ("slices", slices.model),
        ]
    }
}
