import AlulaGraph
import AlulaRuntime

/// Runs a graph and gives its outputs by name.
package func run(_ graph: Graph, _ input: [Float], _ options: SessionOptions = .init()) throws -> [String: [Float]] {
    let session = try Session(graph, options: options)
    try session.setInput(0, floats: input)
    session.run()
    var result: [String: [Float]] = [:]
    for index in 0..<session.outputCount { result[session.outputName(index)] = try session.outputFloats(index) }
    return result
}

/// Item `index` of a batch, images from channels-first to channels-last.
package func item(_ index: Int, of tensor: CheckpointTensor) throws -> [Float] {
    let shape = Array(tensor.shape.dropFirst())
    let count = shape.reduce(1, *)
    let all = try tensor.floats()
    let values = Array(all[index * count..<(index + 1) * count])
    guard shape.count == 3 else { return values }
    let (channels, pixels) = (shape[0], shape[1] * shape[2])
    return (0..<count).map { values[$0 % channels * pixels + $0 / channels] }
}

/// The largest difference, over the largest reference number.
package func relativeDifference(_ values: [Float], _ reference: [Float]) -> Float {
    guard values.count == reference.count else { return .infinity }
    let largest = reference.reduce(0) { max($0, abs($1)) }
    return zip(values, reference).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
}
