import AlulaGraph
import AlulaKernels
import AlulaSystem

/// How a session runs.
public struct SessionOptions: Sendable {
    /// Threads that share the work of a run, the caller's among them; 0 means one for each physical core that the
    /// process may use.
    public var threads = 1
    /// The most bytes that the session may need: working memory (arena and scratch), prepared steps, repacked weights
    /// and the constants that it uses, whether these are mapped from a file or not. `Session.init` fails when it needs
    /// more. Nothing is allocated later.
    public var memoryLimit: Int? = nil
    /// The instruction set to use. nil: the one that the environment variable ALULA_ISA names, or else the best of this
    /// CPU.
    public var instructionSet: InstructionSet? = nil
    /// Every value keeps its own memory for `Session.withValue`, as calibration needs; costs much more memory.
    public var keepsAllValues = false

    public init(
        threads: Int = 1, memoryLimit: Int? = nil, instructionSet: InstructionSet? = nil, keepsAllValues: Bool = false
    ) {
        self.threads = threads
        self.memoryLimit = memoryLimit
        self.instructionSet = instructionSet
        self.keepsAllValues = keepsAllValues
    }
}

/// An input or output that lies in memory of the caller's: on a 64-byte boundary, with 64 bytes more that can be read after its end.
package struct ExternalValue {
    package var id: ValueID
    package var address: UnsafeMutableRawPointer

    package init(id: ValueID, address: UnsafeMutableRawPointer) { (self.id, self.address) = (id, address) }
}

/// The instruction sets that kernels are written for. All give the same bytes.
public enum InstructionSet: UInt32, Sendable, CaseIterable {
    case scalar = 0
    case avx2 = 1
    case avxvnni = 2
    case avx512vnni = 3
    case neon = 4
    case neondot = 5
    case i8mm = 6
    case simd128 = 7

    public var name: String {
        switch self {
        case .scalar: "scalar"
        case .avx2: "avx2"
        case .avxvnni: "avxvnni"
        case .avx512vnni: "avx512vnni"
        case .neon: "neon"
        case .neondot: "neondot"
        case .i8mm: "i8mm"
        case .simd128: "simd128"
        }
    }

    public init?(name: String) {
        guard let found = InstructionSet.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// Whether this build has the kernels and this CPU can run them.
    public var isAvailable: Bool { kernels != nil }

    /// Those that this CPU can run, the best one last.
    public static var available: [InstructionSet] { allCases.filter { $0.isAvailable } }

    var kernels: UnsafePointer<alula_kernel_table>? { alula_kernels_for(alula_isa(rawValue: rawValue)) }

    /// The one to use when options name none.
    static func preferred() throws(RuntimeError) -> InstructionSet {
        if let text = alula_environment("ALULA_ISA") {
            let name = String(cString: text)
            guard let named = InstructionSet(name: name) else { throw .instructionSetUnavailable(name: name) }
            return named
        }
        guard let best = alula_kernels_best() else { throw .instructionSetUnavailable(name: "") }
        return InstructionSet(rawValue: best.pointee.isa.rawValue) ?? .scalar
    }
}
