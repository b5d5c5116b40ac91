import AlulaGraph
import AlulaRuntime
import EdgeViT
import Foundation
import ModelBuilding
import Testing

/// Files of reference implementations, which lie beside the repository and need not be there.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/fixtures").standardized

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    static func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips, with the path, where the reference files are absent.
    static func needsFixture(_ name: String) -> Self {
        .enabled(if: Fixtures.exists(name), "no reference files at \(Fixtures.path(name))")
    }
}

/// Runs a graph and gives its outputs by name.
func run(_ graph: Graph, _ input: [Float], _ options: SessionOptions = .init()) throws -> [String: [Float]] {
    let session = try Session(graph, options: options)
    try session.setInput(0, floats: input)
    session.run()
    var result: [String: [Float]] = [:]
    for index in 0..<session.outputCount { result[session.outputName(index)] = try session.outputFloats(index) }
    return result
}

/// Item `index` of a batch, images from channels-first to channels-last.
func item(_ index: Int, of tensor: CheckpointTensor) throws -> [Float] {
    let shape = Array(tensor.shape.dropFirst())
    let count = shape.reduce(1, *)
    let all = try tensor.floats()
    let values = Array(all[index * count..<(index + 1) * count])
    guard shape.count == 3 else { return values }
    let (channels, pixels) = (shape[0], shape[1] * shape[2])
    return (0..<count).map { values[$0 % channels * pixels + $0 / channels] }
}

/// The largest difference, over the largest reference number.
func relativeDifference(_ values: [Float], _ reference: [Float]) -> Float {
    guard values.count == reference.count else { return .infinity }
    let largest = reference.reduce(0) { max($0, abs($1)) }
    return zip(values, reference).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
}

/// A small model that needs no files: two stages sample, one does not.
func small(_ change: (inout EdgeViTConfiguration) -> Void = { _ in }) -> EdgeViTConfiguration {
    var configuration = EdgeViTConfiguration()
    (configuration.depths, configuration.widths, configuration.headDim) = ([1, 2, 1], [8, 16, 24], 8)
    (configuration.rates, configuration.mlpRatios) = ([4, 2, 1], [4, 2, 3])
    (configuration.height, configuration.width, configuration.classes) = (32, 48, 7)
    change(&configuration)
    return configuration
}

/// A smooth picture with some noise, as calibration and inputs need.
func picture(_ configuration: EdgeViTConfiguration, seed: Int) -> [Float] {
    (0..<configuration.height * configuration.width * configuration.channels).map { index in
        Float((index * (7 + seed) + seed * 31) % 101) / 33 - 1.5
    }
}
