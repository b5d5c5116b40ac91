import Foundation
import Testing

/// What a program left behind.
struct Outcome {
    var status: Int32
    var output: Data
    var error: String

    var text: String { String(decoding: output, as: UTF8.self) }

    /// The JSON objects on standard output, a line each.
    func jsonLines() throws -> [[String: Any]] {
        try text.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    /// The one JSON object on standard output.
    func json() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any], "not a JSON object: \(text)")
    }
}

/// The built programs, run as a user runs them.
enum Tool {
    /// Programs lie beside the test bundle.
    static let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()

    static func alula(_ arguments: String..., input: Data? = nil, environment: [String: String] = [:]) throws -> Outcome
    {
        try run("alula", arguments, input: input, environment: environment)
    }

    static func alula(_ arguments: [String], input: Data? = nil) throws -> Outcome {
        try run("alula", arguments, input: input)
    }

    static func runner(_ arguments: String..., input: Data? = nil) throws -> Outcome {
        try run("alula-run", arguments, input: input)
    }

    static func runner(_ arguments: [String]) throws -> Outcome { try run("alula-run", arguments, input: nil) }

    /// Runs a verb that must succeed.
    @discardableResult
    static func succeed(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
        let outcome = try run("alula", arguments)
        try #require(
            outcome.status == 0, "alula \(arguments.joined(separator: " ")): \(outcome.error)",
            sourceLocation: sourceLocation)
        return outcome
    }

    private static func run(
        _ name: String, _ arguments: [String], input: Data? = nil, environment: [String: String] = [:]
    ) throws -> Outcome {
        let program = folder.appendingPathComponent(name)
        try #require(
            FileManager.default.isExecutableFile(atPath: program.path),
            "build \(name) first: \(program.path) is missing")
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // Files instead of pipes: no reader is needed while the program writes.
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("alula-tool-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: scratch) }
        let (output, error) = (scratch.appendingPathComponent("out"), scratch.appendingPathComponent("err"))
        let stdin = scratch.appendingPathComponent("in")
        for file in [output, error] { try Data().write(to: file) }
        try (input ?? Data()).write(to: stdin)
        process.standardInput = try FileHandle(forReadingFrom: stdin)
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: error)
        try process.run()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, output: try Data(contentsOf: output),
            error: String(decoding: try Data(contentsOf: error), as: UTF8.self))
    }
}

/// A folder that is removed with the value.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("alula-test-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    func write(_ name: String, _ data: Data) throws -> String {
        try data.write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    var contents: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}
