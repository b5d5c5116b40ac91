import AlulaData
import ArgumentParser

extension ECGSimulator.Rhythm: ExpressibleByArgument {}

struct CreateECGSample: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ecg-sample", abstract: "Draws a twelve-lead ECG as a WFDB record.",
        discussion: """
            Writes FILE.hea and FILE.dat, with the rhythm's code as the diagnosis. The signal comes from a model of the heart's vector, for trying things out: it means nothing
            for medicine.

            Example:

              alula create ecg-sample -o ecg.hea --rhythm af --seconds 10
            """)

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The header to write.", valueName: "file.hea"))
    var output: String

    @Option(help: "\(ECGSimulator.Rhythm.allCases.map(\.rawValue).joined(separator: ", ")).")
    var rhythm = ECGSimulator.Rhythm.normal

    @Option(help: "Samples a second.")
    var rate = 500.0

    @Option(help: "Length of the recording.")
    var seconds = 10.0

    @Option(help: "Determines beats and noise.")
    var seed: UInt64 = 0

    @OptionGroup var format: OutputOptions

    func validate() throws {
        guard (20...10_000).contains(rate) else { throw ValidationError("--rate lies in 20…10000.") }
        guard (0.1...86_400).contains(seconds) else { throw ValidationError("--seconds lies in 0.1…86400.") }
    }

    func run() throws {
        let recording = ECGSimulator(rhythm: rhythm, rate: rate, seconds: seconds, seed: seed).recording()
        try writing(output) {
            try recording.write(
                toWFDB: output, comments: ["Dx: \(rhythm.diagnosisCode)", "Rhythm: \(rhythm.rawValue)", "Simulated"])
        }
        let header = output.hasSuffix(".hea") ? output : output + ".hea"
        format.print(
            .object([
                ("output", .string(header)), ("rhythm", .string(rhythm.rawValue)), ("rate", .number(rate)),
                ("samples", .integer(recording.count)), ("leads", .strings(recording.leads)),
            ]),
            text:
                "\(header): \(recording.count) samples of \(recording.leads.count) leads at \(Format.fixed(rate, 0)) Hz, \(rhythm.rawValue)\n"
        )
    }
}
