import AlulaGraph
import AlulaKernels

/// The bytes that a session holds. They do not change after `Session.init`.
public struct MemoryUse: Sendable, Equatable {
    /// Inputs, results and outputs.
    public var arena: Int
    /// The most bytes of them that are needed at one time: no layout can be smaller.
    public var arenaLowerBound: Int
    /// Temporary memory of kernels, for all threads.
    public var scratch: Int
    /// Repacked weights, padded vectors and prepared steps.
    public var heap: Int
    /// Constants in use, mapped or owned by the graph.
    public var weights: Int

    public var total: Int { arena + scratch + heap + weights }
}

/// What one step of a run does.
public struct StepInfo: Sendable, Equatable {
    /// The position of the node in the graph; the number of nodes for the copy of an input or constant to an output.
    public var node: Int
    /// As in graph text; "mlp" or "conv_pair" for two layers that run as one step, named after the second.
    public var operatorName: String
    /// The name of the node's first result, without `%`.
    public var resultName: String
    /// Family and instruction set of the kernel, such as `conv_u8s8` and `avx2`.
    public var kernel: String
    public var instructionSet: InstructionSet
    /// Multiply-adds and bytes of operands and results, counted on the first step of a node.
    public var macs: Int
    public var bytesRead: Int
    public var bytesWritten: Int

    static func list(_ builder: StepBuilder, _ set: InstructionSet) -> [StepInfo] {
        let graph = builder.graph
        let numbers = printedNumbers(graph)
        var previous = -1
        return builder.pending.map { pending in
            let isFirst = pending.node != previous
            previous = pending.node
            var info = StepInfo(
                node: pending.node, operatorName: "output", resultName: "", kernel: pending.family.name,
                instructionSet: pending.family.implementation(for: set), macs: 0, bytesRead: 0, bytesWritten: 0)
            guard pending.node < graph.nodes.count else { return info }
            let node = graph.nodes[pending.node]
            info.operatorName = pending.pair == .none ? node.op.name : pending.pair == .rowwise ? "mlp" : "conv_pair"
            let name = graph[node.outputs[0]].name
            info.resultName = name.isEmpty ? String(numbers[Int(node.outputs[0].index)]) : name
            guard isFirst else { return info }
            info.macs = node.op.macs(graph.operandTypes(node.inputs), graph.type(node.outputs[0]))
            for id in node.inputs where !id.isNone { info.bytesRead += graph.type(id).byteCount }
            for id in node.outputs { info.bytesWritten += graph.type(id).byteCount }
            if pending.pair != .none {
                // What lies between the two nodes is neither written nor read.
                let first = graph.nodes[pending.node - 1]
                info.macs += first.op.macs(graph.operandTypes(first.inputs), graph.type(first.outputs[0]))
                for id in first.inputs where !id.isNone { info.bytesRead += graph.type(id).byteCount }
                info.bytesRead -= graph.type(first.outputs[0]).byteCount
            }
            return info
        }
    }
}

/// When one thread began and ended its part of a step, in nanoseconds of `alula_clock_nanoseconds`. Waiting for other threads comes after.
public struct StepTime: Sendable, Equatable {
    public internal(set) var begin: UInt64 = 0
    public internal(set) var end: UInt64 = 0
}

/// Time spent in each step of a session.
public struct Profile: Sendable {
    /// Summed over runs, by position in `Session.steps`: from the first thread's begin of the step to its begin of the next.
    public internal(set) var nanoseconds: [UInt64]
    public internal(set) var runs = 0
    /// The last run alone: all steps of the first thread, then those of the second, and so on.
    public internal(set) var lastRun: [StepTime]

    init(stepCount: Int, threads: Int) {
        nanoseconds = [UInt64](repeating: 0, count: stepCount)
        lastRun = [StepTime](repeating: StepTime(), count: stepCount * threads)
    }
}
