import AlulaGraph
import AlulaRuntime
import EdgeViT
import Foundation
import ModelBuilding
import TestSupport
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
