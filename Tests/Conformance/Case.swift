import AlulaGraph
import AlulaRuntime
import Foundation
import ONNXConverter

/// One case of ONNX's backend tests: a model with inputs and the outputs that they must give.
struct ConformanceCase {
    let suite: String
    let name: String
    let folder: String

    enum Outcome {
        /// `isFolded`: every output was known without running anything. `bound`: inputs that were given as constants.
        case passed(isFolded: Bool, bound: [String])
        case refused(String)
        case wrong(String)
    }

    /// The operator that the case is about: the longest one that its name begins with, or else the model's first.
    func family(of model: ONNXModel?) -> String {
        let words = name.dropFirst("test_".count).lowercased().filter { $0 != "_" }
        let known = ONNXModel.operatorNames
        if let match = known.filter({ words.hasPrefix($0.lowercased()) }).max(by: { $0.count < $1.count }) {
            return match
        }
        return model?.operatorNames.first ?? "?"
    }

    func run() -> (family: String, Outcome) {
        do {
            let model = try ONNXModel(contentsOf: folder + "/model.onnx")
            let family = family(of: model)
            do {
                return (family, try run(model))
            } catch let error as ONNXError {
                let isNamed = model.operatorNames.contains { error.message.contains($0) }
                return (family, isNamed ? .refused(error.message) : .wrong("refused without a name: \(error.message)"))
            } catch let error as RuntimeError {
                return (family, .wrong("imported, but does not run: \(error.message)"))
            }
        } catch let error as ONNXError {
            return (family(of: nil), .wrong("not read: \(error.message)"))
        } catch {
            return (family(of: nil), .wrong("\(error)"))
        }
    }

    private func run(_ model: ONNXModel) throws -> Outcome {
        var (isFolded, bound): (Bool, Set<String>) = (true, [])
        for data in try contents(folder).filter({ $0.hasPrefix("test_data_set") }) {
            let inputs = try tensors(data, "input", names: model.inputNames)
            let result = try imported(model, inputs, &bound)
            let (outcome, ran) = try compare(result, inputs, try tensors(data, "output", names: model.outputNames))
            if ran { isFolded = false }
            if let problem = outcome { return .wrong(problem) }
        }
        return .passed(isFolded: isFolded, bound: bound.sorted())
    }

    private func contents(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }

    /// What cannot be read, such as strings, is left out: the import refuses the operator that takes it.
    private func tensors(_ data: String, _ kind: String, names: [String]) throws -> [String: CheckpointTensor] {
        var result: [String: CheckpointTensor] = [:]
        for (index, name) in names.enumerated() {
            let path = "\(folder)/\(data)/\(kind)_\(index).pb"
            guard FileManager.default.fileExists(atPath: path), let tensor = try? CheckpointTensor(onnxTensor: path)
            else { continue }
            result[name] = tensor
        }
        return result
    }

    /// Integers and f64 are known while importing, as in every exported model; so are other inputs that an operator wants to be constant.
    private func imported(_ model: ONNXModel, _ inputs: [String: CheckpointTensor], _ bound: inout Set<String>) throws
        -> ONNXImport
    {
        var options = ONNXImportOptions()
        options.takesImages = false
        for (name, tensor) in inputs {
            options.shapes[name] = tensor.shape
            let isReadAtRunTime = tensor.dataType.isFloat && tensor.dataType != .f64 || tensor.dataType == .bool
            if !isReadAtRunTime || tensor.shape.contains(0) { options.constants[name] = tensor }
        }
        while true {
            let refusal: ONNXError
            do throws(ONNXError) {
                let result = try model.imported(options)
                bound.formUnion(options.constants.keys)
                return result
            } catch {
                refusal = error
            }
            let wanted = refusal.wantedConstants.filter { options.constants[$0] == nil && inputs[$0] != nil }
            guard !wanted.isEmpty else { throw refusal }
            for name in wanted { options.constants[name] = inputs[name] }
        }
    }

    // MARK: Comparison

    /// What is wrong, and whether anything had to be run.
    private func compare(
        _ result: ONNXImport, _ inputs: [String: CheckpointTensor], _ expected: [String: CheckpointTensor]
    ) throws -> (String?, ran: Bool) {
        let isFolded = result.outputs.allSatisfy { result.foldedOutput($0.name) != nil }
        var session: Session?
        if !isFolded {
            session = try Session(result.graph)
            for (index, port) in result.inputs.enumerated() {
                guard let tensor = inputs[port.name] else { return ("no data for input \(port.name)", true) }
                try session!.setInput(index, floats: numbers(tensor).map { Float($0) })
            }
            session!.run()
        }
        for (index, port) in result.outputs.enumerated() {
            guard let reference = expected[port.name] else { continue }
            let found: [Double]
            if let folded = result.foldedOutput(port.name) {
                found = folded.values
            } else if result.graph.type(result.graph.outputs[index]).dataType == .u8 {
                // Signed bytes are raised by 128 in the graph.
                found = session!.output(index).map { Double($0) - (port.type == .s8 ? 128 : 0) }
            } else {
                found = try numbers(session!, index)
            }
            guard port.shape == reference.shape, found.count == reference.elementCount else {
                return ("\(port.name) has the shape \(port.shape), not \(reference.shape)", !isFolded)
            }
            guard port.type == reference.dataType else {
                return ("\(port.name) is \(port.type.name), not \(reference.dataType.name)", !isFolded)
            }
            if let problem = difference(found, try numbers(reference), isExact: !reference.dataType.isFloat) {
                return ("\(port.name): \(problem)", !isFolded)
            }
        }
        return (nil, !isFolded)
    }

    private func numbers(_ session: Session, _ index: Int) throws -> [Double] {
        guard session.outputType(index).dataType == .i32 else {
            return try session.outputFloats(index).map { Double($0) }
        }
        return session.withOutput(index) { TensorData(copying: $0).array(of: Int32.self).map { Double($0) } }
    }

    private func numbers(_ tensor: CheckpointTensor) throws -> [Double] {
        if tensor.dataType == .f64 { return tensor.data.array(of: Double.self) }
        return tensor.dataType.isFloat
            ? try tensor.floats().map { Double($0) } : try tensor.integers().map { Double($0) }
    }

    /// The suite's own tolerance.
    private func difference(_ found: [Double], _ expected: [Double], isExact: Bool) -> String? {
        for (index, (a, b)) in zip(found, expected).enumerated() {
            if a == b || (a.isNaN && b.isNaN) { continue }
            if !isExact, abs(a - b) <= 1e-7 + 1e-3 * abs(b) { continue }
            return "element \(index) is \(a), not \(b)"
        }
        return nil
    }
}
