import Foundation
import TestSupport

/// One reader of untrusted bytes, and what must hold of it.
package protocol FuzzTarget {
    /// Of the format: crashes go to `crash.<name>`.
    static var name: String { get }
    /// Small inputs from which mutations start.
    static var samples: [(name: String, bytes: [UInt8])] { get throws }
    static func mutated(_ bytes: [UInt8], with other: [UInt8], using random: inout SeededGenerator) -> [UInt8]
    /// Reads the bytes and checks whatever was made of them.
    static func check(_ bytes: [UInt8]) -> FuzzOutcome
}

extension FuzzTarget {
    package static func mutated(_ bytes: [UInt8], with other: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
        ByteMutation.mutated(bytes, with: other, using: &random)
    }
}

package enum FuzzOutcome {
    /// With the kind of what was read.
    case accepted(String)
    /// With the kind of the reason.
    case refused(String)
    /// A bug in Alula.
    case inconsistent(String)

    /// What a reader's refusal is: a bug too, unless its message is one that a person can read.
    package static func refusal(_ message: String) -> FuzzOutcome {
        message.isPlainMessage
            ? .refused(message.messageKind) : .inconsistent("message is not one printable line: \(message)")
    }
}

/// What the signal handler writes: only memory that is set before a run.
private nonisolated(unsafe) var currentInput = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 24, alignment: 16)
private nonisolated(unsafe) var currentCount = 0
/// Empty before the first input: opening it fails then.
private nonisolated(unsafe) var crashPath: UnsafeMutablePointer<CChar> = {
    let path = UnsafeMutablePointer<CChar>.allocate(capacity: 64)
    path.initialize(repeating: 0, count: 64)
    return path
}()

private func saveCurrentInput() {
    let descriptor = open(crashPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    _ = write(descriptor, currentInput.baseAddress, currentCount)
    close(descriptor)
}

/// Damages samples at random and checks what a reader makes of them.
///
///     swift run -c release fuzz-safetensors --seconds 60 Tests/Fuzz/corpus/safetensors
///
/// An input that stops the program, that takes more than five seconds of processor time or that is read inconsistently is written to a file; the same
/// arguments with the printed `--seed` find it again. `Tests/Fuzz/libfuzzer.sh` runs the same checks under libFuzzer, guided by coverage.
package struct FuzzRun<Target: FuzzTarget> {
    private var seconds = 10.0
    private var seed: UInt64 = 1
    private var paths: [String] = []
    private var slowest = 0.0

    package init() {}

    package static func main() throws {
        for signal in [SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGABRT, SIGFPE] {
            Foundation.signal(signal) { number in
                saveCurrentInput()
                Foundation.signal(number, SIG_DFL)
                raise(number)
            }
        }
        var arguments = CommandLine.arguments.dropFirst()
        var run = FuzzRun()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--seconds": run.seconds = arguments.popFirst().flatMap(Double.init) ?? run.seconds
            case "--seed": run.seed = arguments.popFirst().flatMap(UInt64.init) ?? run.seed
            case "--write-corpus": return try writeCorpus(to: arguments.popFirst() ?? ".")
            case _ where argument.hasPrefix("--"):
                print("usage: fuzz-\(Target.name) [--seconds N] [--seed N] [--write-corpus DIR] [FILE|DIR]...")
                exit(2)
            default: run.paths.append(argument)
            }
        }
        run.run(try run.corpus())
    }

    /// Checks one input; a crash, a slow or an inconsistent one leaves it in a file.
    package static func check(_ bytes: [UInt8]) -> FuzzOutcome {
        strcpy(crashPath, "crash." + Target.name)
        currentCount = min(bytes.count, currentInput.count)
        bytes.withUnsafeBytes { currentInput.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<currentCount])) }
        let outcome = Target.check(bytes)
        if case .inconsistent(let problem) = outcome { fail(problem) }
        return outcome
    }

    private static func fail(_ problem: String) -> Never {
        saveCurrentInput()
        FileHandle.standardError.write(Data((problem + "; input in crash.\(Target.name)\n").utf8))
        exit(1)
    }

    /// The files and the directories' files that were named, or else the samples.
    private func corpus() throws -> [[UInt8]] {
        if paths.isEmpty { return try Target.samples.map(\.bytes) }
        return try paths.flatMap { path -> [[UInt8]] in
            let isDirectory = (try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory
            let names = isDirectory == true ? try FileManager.default.contentsOfDirectory(atPath: path).sorted() : [""]
            return try names.map {
                try [UInt8](Data(contentsOf: URL(fileURLWithPath: $0 == "" ? path : path + "/" + $0)))
            }
        }
    }

    /// Mutates until the time is over. An input with a new kind of outcome joins the corpus.
    private mutating func run(_ files: [[UInt8]]) {
        var corpus = files
        var seen: Set<String> = []
        var random = SeededGenerator(seed: seed)
        var (runs, accepted) = (0, 0)
        for file in files { seen.insert(timed(file)) }
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            let other = corpus.randomElement(using: &random)!
            let bytes = Target.mutated(corpus.randomElement(using: &random)!, with: other, using: &random)
            let kind = timed(bytes)
            runs += 1
            if kind.hasPrefix("accepted") { accepted += 1 }
            if bytes.count < 1 << 16, seen.insert(kind).inserted { corpus.append(bytes) }
        }
        print(
            "\(Target.name): \(runs) inputs, \(accepted) accepted, \(seen.count) kinds of outcome, none inconsistent, "
                + "slowest \(Int(slowest * 1000)) ms (--seed \(seed))")
    }

    private mutating func timed(_ bytes: [UInt8]) -> String {
        let start = FuzzRun.processorSeconds
        let outcome = FuzzRun.check(bytes)
        let time = FuzzRun.processorSeconds - start
        slowest = max(slowest, time)
        if time > 5 { FuzzRun.fail("took \(Int(time)) s") }
        switch outcome {
        case .accepted(let kind): return "accepted " + kind
        case .refused(let kind): return "refused " + kind
        case .inconsistent(let problem): return problem
        }
    }

    /// Of this process and those that it waited for: a busy machine makes no input slow.
    private static var processorSeconds: Double {
        [RUSAGE_SELF, RUSAGE_CHILDREN].reduce(0) { sum, whose in
            var usage = rusage()
            getrusage(__rusage_who_t(whose.rawValue), &usage)
            let times = [usage.ru_utime, usage.ru_stime]
            return times.reduce(sum) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
        }
    }

    private static func writeCorpus(to directory: String) throws {
        for (name, bytes) in try Target.samples {
            try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name + "." + Target.name))
        }
    }
}

extension String {
    /// Without numbers and quoted names, so that messages of one kind are equal.
    package var messageKind: String {
        let plain = split(separator: "\"", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 0 }
        return plain.flatMap { $0.element.split(separator: " ") }.filter { !$0.contains(where: \.isNumber) }
            .joined(separator: " ")
    }
}
