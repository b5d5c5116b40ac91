import AlulaData
import AlulaGraph
import ArgumentParser

/// `alula create`: things to try Alula on.
struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes a fresh model, a sample picture or ECG, or a small pretrained-style folder.",
        discussion: """
            Example:

              alula create edgevit-xxs -o edgevit.alula --classes 100 --input 32x32
              alula create image-sample -o wing.png --size 320x240
              alula create ecg-sample -o ecg.hea --rhythm af
              alula create efficientformer-sample -o sample
            """,
        subcommands: [
            CreateModel.self, CreateImageSample.self, CreateECGSample.self, CreateEfficientFormerSample.self,
        ],
        defaultSubcommand: CreateModel.self)
}

/// Width and height, written as `320x240`.
struct PictureSize: ExpressibleByArgument {
    var width: Int
    var height: Int

    init(width: Int, height: Int) { (self.width, self.height) = (width, height) }

    init?(argument: String) {
        let parts = argument.split(separator: "x", omittingEmptySubsequences: false)
        guard parts.count == 2, let width = Int(parts[0]), let height = Int(parts[1]), width > 0, height > 0 else {
            return nil
        }
        self.init(width: width, height: height)
    }

    var defaultValueDescription: String { "\(width)x\(height)" }
}

extension SampleImage: ExpressibleByArgument {}

struct CreateImageSample: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image-sample", abstract: "Draws a picture of a wing or an apple as a PNG file.",
        discussion: """
            Example:

              alula create image-sample -o wing.png --size 320x240
              alula create image-sample -o apple.png --scene apple
            """)

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The picture to write.", valueName: "file.png"))
    var output: String

    @Option(help: "What to draw.")
    var scene = SampleImage.wing

    @Option(help: "Width and height in pixels.")
    var size = PictureSize(width: 320, height: 240)

    @Option(help: "Draws another picture: mirrored when odd, and shifted.")
    var seed: UInt64 = 0

    @OptionGroup var format: OutputOptions

    func run() throws {
        try writing(output) {
            let image = try scene.draw(width: size.width, height: size.height)
            try CreateImageSample.varied(image, seed: seed).write(toPNG: output)
        }
        format.print(
            .object([("output", .string(output)), ("width", .integer(size.width)), ("height", .integer(size.height))]),
            text: "\(output): \(size.width) x \(size.height) pixels\n")
    }

    /// The sample picture rolled sideways by an amount that the seed gives and mirrored when it is odd; seed 0 leaves it alone.
    static func varied(_ image: Image, seed: UInt64) throws -> Image {
        guard seed != 0 else { return image }
        let shift = Int(seed / 2 % UInt64(image.width))
        var bytes = image.bytes
        for y in 0..<image.height {
            for x in 0..<image.width {
                let column = seed % 2 == 1 ? image.width - 1 - x : x
                let source = 3 * (y * image.width + (column + shift) % image.width)
                let target = 3 * (y * image.width + x)
                for channel in 0..<3 { bytes[target + channel] = image.bytes[source + channel] }
            }
        }
        return try Image(width: image.width, height: image.height, bytes: bytes)
    }
}
