import FuzzSupport
import TestSupport

enum SafetensorsFuzz: FuzzTarget {
    static let name = "safetensors"

    static var samples: [(name: String, bytes: [UInt8])] {
        get throws { try SafetensorsSamples.valid() + SafetensorsSamples.hostile }
    }

    static func mutated(_ bytes: [UInt8], with other: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
        SafetensorsMutation.mutated(bytes, with: other, using: &random)
    }

    static func check(_ bytes: [UInt8]) -> FuzzOutcome {
        switch SafetensorsMutation.check(bytes) {
        case .accepted(let tensors): .accepted("\(tensors)")
        case .refused(.json(let error)): .refused("json " + String("\(error.reason)".prefix { $0 != "(" }))
        case .refused(let error): .refused(String("\(error)".prefix { $0 != "(" }))
        case .inconsistent(let problem): .inconsistent(problem)
        }
    }
}

#if LIBFUZZER
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        _ = FuzzRun<SafetensorsFuzz>.check(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
#else
    @main
    struct Main {
        static func main() throws { try FuzzRun<SafetensorsFuzz>.main() }
    }
#endif
