// Damages safetensors files at random and checks what the reader makes of them.
//
//     swift run -c release fuzz-safetensors --seconds 60 Tests/Fuzz/corpus/safetensors
//
// An input that stops the program or that is read inconsistently is written to `crash.safetensors`; the same arguments with
// the printed `--seed` find it again. `Tests/Fuzz/libfuzzer.sh` runs the same check under libFuzzer, guided by coverage.
import AlulaGraph
import Foundation
import TestSupport

/// What the signal handler writes: only memory that is set before a run.
private nonisolated(unsafe) var currentInput = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 24, alignment: 16)
private nonisolated(unsafe) var currentCount = 0

private func saveCurrentInput() {
    let descriptor = open("crash.safetensors", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    _ = write(descriptor, currentInput.baseAddress, currentCount)
    close(descriptor)
}

/// Checks one input; a crash leaves it in a file.
private func check(_ bytes: [UInt8]) -> SafetensorsMutation.Outcome {
    currentCount = min(bytes.count, currentInput.count)
    bytes.withUnsafeBytes { currentInput.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<currentCount])) }
    let outcome = SafetensorsMutation.check(bytes)
    if case .inconsistent(let problem) = outcome {
        saveCurrentInput()
        fail(problem + "; input in crash.safetensors")
    }
    return outcome
}

private func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data((message + "\n").utf8))
    exit(1)
}

#if LIBFUZZER
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        _ = check(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
#else
    @main
    struct SafetensorsFuzz {
        var seconds = 10.0
        var seed: UInt64 = 1
        var paths: [String] = []

        static func main() throws {
            for signal in [SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGABRT, SIGFPE] {
                Foundation.signal(signal) { number in
                    saveCurrentInput()
                    Foundation.signal(number, SIG_DFL)
                    raise(number)
                }
            }
            var arguments = CommandLine.arguments.dropFirst()
            var fuzz = SafetensorsFuzz()
            while let argument = arguments.popFirst() {
                switch argument {
                case "--seconds": fuzz.seconds = arguments.popFirst().flatMap(Double.init) ?? fuzz.seconds
                case "--seed": fuzz.seed = arguments.popFirst().flatMap(UInt64.init) ?? fuzz.seed
                case "--write-corpus": return try writeCorpus(to: arguments.popFirst() ?? ".")
                default: fuzz.paths.append(argument)
                }
            }
            fuzz.run(try fuzz.corpus())
        }

        /// The files and the directories' files that were named, or else the samples.
        private func corpus() throws -> [[UInt8]] {
            if paths.isEmpty { return try (SafetensorsSamples.valid() + SafetensorsSamples.hostile).map(\.bytes) }
            return try paths.flatMap { path -> [[UInt8]] in
                let isDirectory = (try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey]))?
                    .isDirectory
                let names =
                    isDirectory == true ? try FileManager.default.contentsOfDirectory(atPath: path).sorted() : [""]
                return try names.map {
                    try [UInt8](Data(contentsOf: URL(fileURLWithPath: $0 == "" ? path : path + "/" + $0)))
                }
            }
        }

        /// Mutates until the time is over. An input with a new kind of outcome joins the corpus.
        private func run(_ files: [[UInt8]]) {
            var corpus = files
            var seen: Set<String> = []
            var random = SeededGenerator(seed: seed)
            var (runs, accepted) = (0, 0)
            for file in files { seen.insert(SafetensorsFuzz.signature(check(file))) }
            let end = Date().addingTimeInterval(seconds)
            while runs % 256 != 0 || Date() < end {
                let other = corpus.randomElement(using: &random)!
                let bytes = SafetensorsMutation.mutated(
                    corpus.randomElement(using: &random)!, with: other, using: &random)
                let outcome = check(bytes)
                runs += 1
                if case .accepted = outcome { accepted += 1 }
                if bytes.count < 4096, seen.insert(SafetensorsFuzz.signature(outcome)).inserted { corpus.append(bytes) }
            }
            print(
                "\(runs) inputs, \(accepted) accepted, \(seen.count) kinds of outcome, none inconsistent (--seed \(seed))"
            )
        }

        /// The outcome without its values.
        private static func signature(_ outcome: SafetensorsMutation.Outcome) -> String {
            switch outcome {
            case .accepted(let tensors): "accepted \(tensors)"
            case .refused(.json(let error)): "json " + String("\(error.reason)".prefix { $0 != "(" })
            case .refused(let error): String("\(error)".prefix { $0 != "(" })
            case .inconsistent(let problem): problem
            }
        }

        private static func writeCorpus(to directory: String) throws {
            for (name, bytes) in try SafetensorsSamples.valid() + SafetensorsSamples.hostile {
                try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name + ".safetensors"))
            }
        }
    }
#endif
