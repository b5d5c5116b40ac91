// Runs ONNX's own backend test cases and compares with the list of those that are known to be refused.
//
//     swift run -c release onnx-conformance ../shared/conformance/onnx-1.19.1 Tests/Conformance/ignored.txt
//
// Every case passes, or is refused while importing by the name of its operator and listed with a reason. A wrong answer, a case that
// fails without being listed, and a listed case that passes end with exit code 1. `--write` writes the list of refusals anew; lines whose
// reason begins with "disputed:" say why the stored answer itself is wrong, are written by hand, and are kept.
import Foundation
import ONNXConverter

var arguments = Array(CommandLine.arguments.dropFirst())
let writes = arguments.contains("--write")
let verbose = arguments.contains("--verbose")
arguments.removeAll { $0.hasPrefix("--") }
guard arguments.count >= 2 else {
    print("usage: onnx-conformance FOLDER ignored.txt [case …] [--verbose] [--write]")
    exit(2)
}
let (root, ignoreFile, only) = (arguments[0], arguments[1], arguments.dropFirst(2))

// A crash names its case.
nonisolated(unsafe) let current = UnsafeMutablePointer<CChar>.allocate(capacity: 1024)
for number in [SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGABRT, SIGFPE] {
    signal(number) { number in
        _ = write(2, "crash in ", 9)
        _ = write(2, current, strlen(current))
        _ = write(2, "\n", 1)
        signal(number, SIG_DFL)
        raise(number)
    }
}

/// Reasons by `suite/case`.
func readIgnored() -> [String: String] {
    guard let text = try? String(contentsOfFile: ignoreFile, encoding: .utf8) else { return [:] }
    var result: [String: String] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
        let parts = line.split(separator: " ", maxSplits: 1)
        result[String(parts[0])] = parts.count > 1 ? String(parts[1]).trimmingCharacters(in: .whitespaces) : ""
    }
    return result
}

func isDisputed(_ label: String) -> Bool { ignored[label]?.hasPrefix("disputed:") ?? false }

struct Tally { var cases = 0, passed = 0, folded = 0, bound = 0, refused = 0, disputed = 0, failed = 0 }

let ignored = readIgnored()
var tallies: [String: Tally] = [:]
var total = Tally()
var problems: [String] = []
var refusals: [(name: String, reason: String)] = []
for suite in try FileManager.default.contentsOfDirectory(atPath: root).sorted() {
    for name in try FileManager.default.contentsOfDirectory(atPath: root + "/" + suite).sorted() {
        let label = suite + "/" + name
        guard only.isEmpty || only.contains(where: { label.contains($0) }) else { continue }
        strncpy(current, label, 1023)
        let (family, outcome) = ConformanceCase(suite: suite, name: name, folder: root + "/" + label).run()
        var tally = Tally(cases: 1)
        switch outcome {
        case .passed(let isFolded, let bound):
            (tally.passed, tally.folded, tally.bound) = (1, isFolded ? 1 : 0, !isFolded && !bound.isEmpty ? 1 : 0)
            if verbose {
                print("passed \(label)" + (isFolded ? " (folded)" : "") + (bound.isEmpty ? "" : " constants: \(bound)"))
            }
            if ignored[label] != nil { problems.append("\(label) passes, but is listed in \(ignoreFile)") }
        case .refused(let reason):
            tally.refused = 1
            refusals.append((label, reason))
            if verbose { print("refused \(label): \(reason)") }
            if ignored[label] == nil { problems.append("\(label) is refused: \(reason)") }
        case .wrong where isDisputed(label): tally.disputed = 1
        case .wrong(let problem):
            tally.failed = 1
            problems.append("\(label) FAILED: \(problem)")
        }
        for key in [family] {
            var sum = tallies[key] ?? Tally()
            sum.add(tally)
            tallies[key] = sum
        }
        total.add(tally)
    }
}

extension Tally {
    mutating func add(_ other: Tally) {
        (cases, passed, folded) = (cases + other.cases, passed + other.passed, folded + other.folded)
        (bound, refused, failed) = (bound + other.bound, refused + other.refused, failed + other.failed)
        disputed += other.disputed
    }

    func row(_ name: String) -> String {
        name.padding(toLength: 28, withPad: " ", startingAt: 0)
            + [cases, passed, folded, bound, refused, disputed, failed].map {
                String(repeating: " ", count: max(0, 9 - String($0).count)) + String($0)
            }
            .joined()
    }
}

print("operator                        cases   passed   folded constant  refused disputed    wrong")
for (family, tally) in tallies.sorted(by: { $0.key.lowercased() < $1.key.lowercased() }) { print(tally.row(family)) }
print(total.row("all"))
print("folded: known while importing, nothing runs. constant: passed with inputs given as constants.")

if writes {
    let kept = ignored.filter { isDisputed($0.key) }.map { (name: $0.key, reason: $0.value) }
    let lines = (refusals + kept).sorted { $0.name < $1.name }.map { "\($0.name)  \($0.reason)" }
    let head =
        "# Cases of ONNX's backend tests that are refused while importing, and why. Written by onnx-conformance --write.\n"
    try (head + lines.joined(separator: "\n") + "\n").write(toFile: ignoreFile, atomically: true, encoding: .utf8)
    problems.removeAll { $0.contains(" is refused: ") || $0.contains(" passes, but ") }
}
for problem in problems { print(problem) }
exit(problems.isEmpty ? 0 : 1)
