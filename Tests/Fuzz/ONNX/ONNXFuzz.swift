import AlulaGraph
import Foundation
import FuzzSupport
import ONNXConverter
import TestSupport

/// Damaged models; what is accepted must be a valid graph that its text describes.
enum ONNXFuzz: FuzzTarget {
    static let name = "onnx"

    static var samples: [(name: String, bytes: [UInt8])] { ONNXSample.valid }

    /// So that no input takes long.
    private static var limits: ONNXLimits {
        var limits = ONNXLimits()
        (limits.parsedBytes, limits.constantElements) = (1 << 24, 1 << 16)
        return limits
    }

    static func check(_ bytes: [UInt8]) -> FuzzOutcome {
        do throws(ONNXError) {
            let graph = try ONNXModel(bytes: Bytes(bytes), limits: limits).imported().graph
            for id in graph.constants where graph.type(id).byteCount != graph[id].constant?.data?.count {
                return .inconsistent("\(graph[id].name) has a wrong size")
            }
            guard let copy = try? Graph(text: graph.text), copy.text == graph.text else {
                return .inconsistent("its text does not read back: \(graph.text.prefix(2000))")
            }
            return .accepted("\(graph.nodes.map(\.op.name))")
        } catch { return .refusal(error.message) }
    }
}

#if LIBFUZZER
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        _ = FuzzRun<ONNXFuzz>.check(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
#else
    @main
    struct Main {
        static func main() throws { try FuzzRun<ONNXFuzz>.main() }
    }
#endif
