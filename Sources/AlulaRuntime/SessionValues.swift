import AlulaGraph

// Inputs, outputs and, for calibration, the values in between.

extension Session {
    // MARK: Inputs

    public var inputCount: Int { graph.inputs.count }
    public func inputName(_ index: Int) -> String { label(graph.inputs[index], in: graph) }
    public func inputType(_ index: Int) -> TensorType { graph.type(graph.inputs[index]) }

    /// An input's memory, to be filled before a run.
    public func withInput<R, E: Error>(_ index: Int, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E)
        -> R
    {
        let id = graph.inputs[index]
        return try body(UnsafeMutableRawBufferPointer(start: address(id), count: graph.type(id).byteCount))
    }

    /// Sets an f32 input, or quantizes the numbers for a u8 input exactly as the graph's own quantize operator would.
    public func setInput(_ index: Int, floats: [Float]) throws(RuntimeError) {
        try floats.withUnsafeBufferPointer { (source) throws(RuntimeError) in try setInput(index, floats: source) }
    }

    public func setInput(_ index: Int, floats: UnsafeBufferPointer<Float>) throws(RuntimeError) {
        let type = inputType(index)
        try check(count: floats.count, type.shape.elementCount, inputName(index))
        switch type.dataType {
        case .f32:
            withInput(index) { $0.copyMemory(from: UnsafeRawBufferPointer(floats)) }
        case .u8:
            guard let quantization = type.quantization, quantization.isValid else {
                throw .graph(.invalidGraph(problem: "input %\(inputName(index)) has no valid scale and zero point"))
            }
            let inverse = 1 / quantization.scale
            withInput(index) { target in
                for position in 0..<floats.count {
                    target[position] = quantization.number(scaled: floats[position] * inverse)
                }
            }
        default:
            throw .wrongType(name: inputName(index), expected: type.dataType.name, given: "f32")
        }
    }

    /// Sets an input of any element type from its bytes.
    public func setInput(_ index: Int, bytes: UnsafeRawBufferPointer) throws(RuntimeError) {
        let type = inputType(index)
        guard bytes.count == type.byteCount else {
            throw .wrongSize(
                name: inputName(index), expected: type.shape.elementCount, given: bytes.count / type.dataType.size)
        }
        withInput(index) { $0.copyMemory(from: bytes) }
    }

    public func setInput(_ index: Int, bytes: [UInt8]) throws(RuntimeError) {
        try bytes.withUnsafeBufferPointer { (source) throws(RuntimeError) in
            try setInput(index, bytes: UnsafeRawBufferPointer(source))
        }
    }

    // MARK: Outputs

    public var outputCount: Int { graph.outputs.count }
    public func outputName(_ index: Int) -> String { label(graph.outputs[index], in: graph) }
    public func outputType(_ index: Int) -> TensorType { graph.type(graph.outputs[index]) }

    /// An output's bytes, valid until an input is set.
    public func withOutput<R, E: Error>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: outputAddresses[index], count: outputType(index).byteCount))
    }

    /// An output's bytes, copied.
    public func output(_ index: Int) -> [UInt8] { withOutput(index) { Array($0) } }

    /// An f32 or i32 output, or the real numbers that a u8 output stands for.
    public func outputFloats(_ index: Int) throws(RuntimeError) -> [Float] {
        var result = [Float](repeating: 0, count: outputType(index).shape.elementCount)
        try result.withUnsafeMutableBufferPointer { (target) throws(RuntimeError) in try copyOutput(index, to: target) }
        return result
    }

    /// As `outputFloats`, into memory of the caller: allocates nothing.
    public func copyOutput(_ index: Int, to target: UnsafeMutableBufferPointer<Float>) throws(RuntimeError) {
        let type = outputType(index)
        try check(count: target.count, type.shape.elementCount, outputName(index))
        try withOutput(index) { (source) throws(RuntimeError) in
            try copy(source, type, to: target, name: outputName(index))
        }
    }

    // MARK: Every value

    /// A value's bytes after a run. nil for constants, and unless the session was made with `keepsAllValues`: later
    /// steps use most values' memory again.
    public func withValue<R, E: Error>(_ id: ValueID, _ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R? {
        guard keepsAllValues, let address = address(id) else { return nil }
        return try body(UnsafeRawBufferPointer(start: address, count: graph.type(id).byteCount))
    }

    /// As `withValue`, as real numbers.
    public func valueFloats(_ id: ValueID) throws(RuntimeError) -> [Float]? {
        let type = graph.type(id)
        return try withValue(id) { (source) throws(RuntimeError) in
            var result = [Float](repeating: 0, count: type.shape.elementCount)
            try result.withUnsafeMutableBufferPointer { (target) throws(RuntimeError) in
                try copy(source, type, to: target, name: label(id, in: graph))
            }
            return result
        }
    }

    // MARK: Conversion

    private func check(count: Int, _ expected: Int, _ name: String) throws(RuntimeError) {
        guard count == expected else { throw .wrongSize(name: name, expected: expected, given: count) }
    }

    private func copy(
        _ source: UnsafeRawBufferPointer, _ type: TensorType, to target: UnsafeMutableBufferPointer<Float>, name: String
    ) throws(RuntimeError) {
        switch type.dataType {
        case .f32:
            UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
        case .u8:
            guard let quantization = type.quantization else {
                throw .wrongType(name: name, expected: "plain bytes", given: "numbers")
            }
            for position in 0..<target.count { target[position] = quantization.value(source[position]) }
        case .i32:
            let numbers = source.bindMemory(to: Int32.self)
            for position in 0..<target.count { target[position] = Float(numbers[position]) }
        default:
            throw .wrongType(name: name, expected: type.dataType.name, given: "f32")
        }
    }
}
