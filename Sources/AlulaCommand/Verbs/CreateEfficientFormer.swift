import ArgumentParser
import EfficientFormer
import ModelBuilding

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct CreateEfficientFormerSample: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "efficientformer-sample",
        abstract: "Makes a small EfficientFormer with random weights, in the form of a Hugging Face folder.",
        discussion: """
            Example:

              alula create efficientformer-sample -o sample
              alula convert sample -o sample.alula
            """)

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The folder to make.", valueName: "dir"))
    var output: String

    @Option(help: "Determines the weights.")
    var seed: UInt64 = 1

    @OptionGroup var format: OutputOptions

    func run() throws {
        do throws(ModelError) {
            try EfficientFormer.writeSample(to: URL(fileURLWithPath: output, isDirectory: true), seed: seed)
        } catch {
            if case .writing = error { throw Failure(nil, error.message) }
            throw Failure(output, error.message)
        }
        format.print(
            .object([("output", .string(output))]),
            text: "\(output): convert it with 'alula convert \(output) -o model.alula'\n")
    }
}
