import AlulaGraph
import Foundation
import FuzzSupport
import PyTorchConverter
import TestSupport

/// Half of the inputs are damaged archives, half are archives, sound but for their damaged `data.pkl`: checksums would stop most others.
enum PyTorchFuzz: FuzzTarget {
    static let name = "pytorch"
    private static let path = FileManager.default.temporaryDirectory.appendingPathComponent("fuzz-\(getpid()).pth").path

    /// Pickles are told from archives by their first byte.
    static var samples: [(name: String, bytes: [UInt8])] {
        let pickles = PyTorchSamples.validPickles + PyTorchSamples.hostilePickles.map { ($0.name, $0.bytes) }
        return pickles + PyTorchSamples.validPickles.map { ($0.name + "-archive", PyTorchSamples.archive($0.bytes)) }
    }

    static func check(_ bytes: [UInt8]) -> FuzzOutcome {
        let file = bytes.first == 0x80 ? PyTorchSamples.archive(bytes) : bytes
        guard (try? Data(file).write(to: URL(fileURLWithPath: path))) != nil else { return .inconsistent("no file") }
        do throws(PyTorchImportError) {
            let (checkpoint, _) = try PyTorchImporter.checkpoint(at: path)
            var sum = 0
            for tensor in checkpoint.tensors {
                for byte in tensor.data.array(of: UInt8.self) { sum &+= Int(byte) }
                if tensor.data.count != tensor.shape.reduce(tensor.dataType.size, *) {
                    return .inconsistent("\(tensor.name) has a wrong size")
                }
            }
            return .accepted("\(checkpoint.tensors.count) \(sum < 0)")
        } catch { return .refusal(error.message) }
    }
}

#if LIBFUZZER
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        _ = FuzzRun<PyTorchFuzz>.check(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
#else
    @main
    struct Main {
        static func main() throws { try FuzzRun<PyTorchFuzz>.main() }
    }
#endif
