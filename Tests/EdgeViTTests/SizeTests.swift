import AlulaGraph
import EdgeViT
import ModelBuilding
import Testing

/// Sizes of the published models, counted on the reference implementation.
@Suite struct SizeTests {
    struct Published: Sendable, CustomTestStringConvertible {
        var name: String
        var parameters: Int
        /// In thousandths of 10^9.
        var millions: Int
        var tensors: Int
        var testDescription: String { name }
    }

    static let published = [
        Published(name: "edgevit-xxs", parameters: 4_067_704, millions: 551, tensors: 251),
        Published(name: "edgevit-xs", parameters: 6_770_056, millions: 1128, tensors: 237),
        Published(name: "edgevit-s", parameters: 13_108_168, millions: 1911, tensors: 385),
    ]

    @Test(arguments: published) func fullSizeModelsHaveThePublishedSize(_ model: Published) throws {
        let outline = try EdgeViT.outline(EdgeViTConfiguration(architecture: model.name))
        #expect(outline.report.architecture == model.name)
        #expect(outline.report.parameters == model.parameters)
        #expect(outline.tensors.count == model.tensors)
        #expect((outline.report.macs + 500_000) / 1_000_000 == model.millions, "\(outline.report.macs)")
    }

    /// The CIFAR form of the fact sheet: 32 x 32 pixels, 100 classes.
    @Test func smallInputsChangeOnlyTheHead() throws {
        var configuration = EdgeViTConfiguration()
        (configuration.height, configuration.width, configuration.classes) = (32, 32, 100)
        let outline = try EdgeViT.outline(configuration)
        #expect(outline.report.parameters == 3_807_604)
        #expect((outline.report.macs + 50_000) / 100_000 == 110, "\(outline.report.macs)")
    }
}
