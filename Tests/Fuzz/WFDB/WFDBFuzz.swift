import AlulaData
import FuzzSupport
import TestSupport

/// Inputs are a header, a segment's header and a signal file, apart by lines of `---`; the last is also read as annotations.
enum WFDBFuzz: FuzzTarget {
    static let name = "wfdb"

    static var samples: [(name: String, bytes: [UInt8])] { WFDBSamples.samples }

    static func mutated(_ bytes: [UInt8], with other: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
        WFDBSamples.mutated(bytes, with: other, using: &random)
    }

    static func check(_ bytes: [UInt8]) -> FuzzOutcome {
        let files = WFDBSamples.files(bytes)
        let data = files["r.dat"] ?? []
        var annotations = "annotations"
        do {
            _ = try data.withUnsafeBytes { try WFDBAnnotation.parse($0, file: "r.atr") }
        } catch let error as WFDBError { annotations = kind(error) } catch { return .inconsistent("\(error)") }
        do throws(WFDBError) {
            let limits = WFDBLimits(fileBytes: 1 << 20, samples: 1 << 16, entries: 64)
            let record = try WFDBRecord(files: files, header: "r.hea", limits: limits)
            for signal in record.signals {
                guard signal.count == record.frames * signal.samplesPerFrame, signal.digital.count == signal.count,
                    signal.physical.count == signal.count, signal.physicalFrames.count == record.frames
                else { return .inconsistent("signal \(signal.name) has another length than its record") }
            }
            return .accepted("\(annotations), \(record.signals.count) signals")
        } catch {
            guard !error.description.contains(where: \.isNewline) else {
                return .inconsistent("a message of two lines")
            }
            return .refused("\(annotations), \(kind(error))")
        }
    }

    private static func kind(_ error: WFDBError) -> String { String("\(error.problem)".prefix { $0 != "(" }) }
}

#if LIBFUZZER
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        _ = FuzzRun<WFDBFuzz>.check(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
#else
    @main
    struct Main {
        static func main() throws { try FuzzRun<WFDBFuzz>.main() }
    }
#endif
