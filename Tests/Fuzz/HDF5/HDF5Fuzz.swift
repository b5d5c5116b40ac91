import AlulaGraph
import Foundation
import FuzzSupport
import HDF5Converter
import HDF5Fork
import TestSupport

/// Each input is read by a process of its own, a copy of this one: that may crash or be ended, this one may not, and none may take long or much memory.
enum HDF5Fuzz: FuzzTarget {
    static let name = "hdf5"
    private static let path = FileManager.default.temporaryDirectory.appendingPathComponent("fuzz-\(getpid()).h5").path
    /// Of the reader: `BASE_BYTES` of Reader/main.c and twice what tensors may take.
    private static let memoryLimit = (320 + 2 * 17) << 20

    /// The files of the converter's tests.
    static var samples: [(name: String, bytes: [UInt8])] {
        get throws {
            let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appendingPathComponent("HDF5ConverterTests/Fixtures")
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
                ($0, try [UInt8](Data(contentsOf: folder.appendingPathComponent($0))))
            }
        }
    }

    static func check(_ bytes: [UInt8]) -> FuzzOutcome {
        guard (try? Data(bytes).write(to: URL(fileURLWithPath: path))) != nil else { return .inconsistent("no file") }
        let outcome = read()
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return usage.ru_maxrss * 1024 > memoryLimit ? .inconsistent("the reader took \(usage.ru_maxrss) KiB") : outcome
    }

    private static func start(_ path: String, _ budget: Int, _ seconds: Int, _ output: Int32) -> pid_t {
        fork_reader(path, UInt64(budget), UInt64(seconds), output)
    }

    private static func read() -> FuzzOutcome {
        do throws(HDF5ImportError) {
            let checkpoint = try HDF5Importer.checkpoint(at: path, reader: .fork(start))
            return .accepted("\(checkpoint.tensors.count)")
        } catch {
            let message = error.message
            if case .noReader = error { return .inconsistent(message) }
            // A reader that neither works nor ends, or that the address sanitizer stopped (libfuzzer.sh).
            if case .reader = error, message.contains("silent") || message.contains("code 99") {
                return .inconsistent(message)
            }
            return .refusal(message)
        }
    }
}

@main
struct Main {
    static func main() throws {
        prepare_forks()
        try FuzzRun<HDF5Fuzz>.main()
    }
}
