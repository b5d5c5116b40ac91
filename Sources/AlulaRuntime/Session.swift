import AlulaGraph
import AlulaKernels
import AlulaSystem

/// A graph that is ready to run: memory laid out, kernels chosen, threads started.
///
/// Everything is prepared by `init`; `run` allocates nothing. A session belongs to one thread at a time. Several
/// sessions may share a graph, and with it the weights. Inputs are set before every run: a run may overwrite them, and
/// setting an input may overwrite outputs.
public final class Session {
    public let graph: Graph
    public let instructionSet: InstructionSet
    public let threads: Int
    public let memory: MemoryUse
    /// What each step of a run does, in order.
    public let steps: [StepInfo]

    private let arena: Memory
    private let scratch: Memory
    private let heap: [Memory]
    /// Steps and their arguments: `stepCount` of `Step`, then argument structs, then each thread's `StepTime` of each
    /// step.
    private let prepared: Memory
    private let context: UnsafeMutablePointer<RunContext>
    private let pool: OpaquePointer?
    private let addresses: [UnsafeMutableRawPointer?]
    let outputAddresses: [UnsafeMutableRawPointer]
    let keepsAllValues: Bool

    /// Prepares `graph`. Fails if the CPU or build lacks something that it needs, or if the memory would exceed the
    /// options' limit.
    public convenience init(_ graph: Graph, options: SessionOptions = SessionOptions()) throws(RuntimeError) {
        try self.init(graph, options: options, external: [])
    }

    /// The same with inputs and outputs in memory of the caller's, which must outlive the session. Runs read such inputs in
    /// place and never overwrite them.
    package init(_ graph: Graph, options: SessionOptions, external: [ExternalValue]) throws(RuntimeError) {
        do throws(GraphError) { try graph.verify() } catch { throw .graph(error) }
        let threads = try Session.threadCount(options.threads)
        let set = if let chosen = options.instructionSet { chosen } else { try InstructionSet.preferred() }
        guard let kernels = set.kernels else { throw .instructionSetUnavailable(name: set.name) }
        let weights = Session.weightBytes(graph) + external.reduce(0) { $0 + graph.type($1.id).byteCount }

        // The arena is the one large allocation: refuse a graph that cannot fit before making it.
        let storage = Storage(graph, sharesMemory: !options.keepsAllValues, external: external.map { $0.id })
        let plan = Planner.plan(storage.buffers)
        try Session.check(plan.byteCount + weights, options.memoryLimit)
        let arena = try Memory(count: plan.byteCount)
        let place = { (place: Storage.Place) -> UnsafeMutableRawPointer? in
            switch place {
            case .buffer(let buffer): arena.start + plan.offsets[buffer]
            case .external(let index): external[index].address
            case .constant, .scratch: nil
            }
        }

        let addresses = storage.places.map(place)
        var builder = StepBuilder(
            graph, addresses: addresses, pairs: storage.pairs, kernels: kernels.pointee, threads: threads)
        try Session.bind(
            graph, storage, &builder, copies: storage.copiedOutputs.map { place($0.place)! })
        var outputAddresses: [UnsafeMutableRawPointer] = []
        for output in storage.outputs { outputAddresses.append(place(output)!) }

        let scratchStride = roundUp(builder.scratchBytes, Memory.alignment) + Memory.alignment
        let prepared = try Session.prepare(builder, threads: threads)
        memory = MemoryUse(
            arena: plan.byteCount, arenaLowerBound: plan.lowerBound, scratch: scratchStride * threads,
            heap: builder.heapBytes + prepared.memory.count, weights: weights)
        try Session.check(memory.total, options.memoryLimit)
        scratch = try Memory(count: scratchStride * threads)

        pool = threads > 1 ? alula_pool_create(Int32(threads)) : nil
        if threads > 1, pool == nil { throw .threadsNotStarted(count: threads) }
        context = .allocate(capacity: 1)
        context.initialize(
            to: RunContext(
                steps: prepared.steps, count: builder.pending.count, scratch: scratch.start,
                scratchStride: scratchStride, pool: pool,
                times: nil))
        times = prepared.times
        steps = StepInfo.list(builder, set)
        (self.graph, self.threads, instructionSet, keepsAllValues) = (graph, threads, set, options.keepsAllValues)
        (self.arena, self.addresses, self.outputAddresses) = (arena, addresses, outputAddresses)
        (self.prepared, heap) = (prepared.memory, builder.heap)
    }

    deinit {
        alula_pool_destroy(pool)
        context.deinitialize(count: 1)
        context.deallocate()
    }

    // MARK: Running

    /// Computes the outputs from the inputs.
    public func run() {
        context.pointee.times = nil
        execute()
    }

    /// Computes the outputs from the inputs, and adds each step's time to `profile`, which `makeProfile` made.
    public func run(profile: inout Profile) {
        precondition(
            profile.nanoseconds.count == steps.count && profile.lastRun.count == steps.count * threads,
            "the profile belongs to another session")
        context.pointee.times = times
        execute()
        let end = alula_clock_nanoseconds()
        for index in 0..<steps.count {
            // A step lasts until the first thread begins the next one: waiting for the others is part of it.
            let next = index + 1 < steps.count ? times[index + 1].begin : end
            profile.nanoseconds[index] += next - times[index].begin
        }
        for index in profile.lastRun.indices { profile.lastRun[index] = times[index] }
        profile.runs += 1
    }

    public func makeProfile() -> Profile { Profile(stepCount: steps.count, threads: threads) }

    private let times: UnsafeMutablePointer<StepTime>

    private func execute() {
        guard let pool else {
            RunContext.run(context, thread: 0, threads: 1)
            return
        }
        alula_pool_run(
            pool,
            { context, thread, threads in
                RunContext.run(
                    context!.assumingMemoryBound(to: RunContext.self), thread: Int(thread), threads: Int(threads))
            }, context)
    }

    // MARK: Preparing

    /// The bytes of inputs and results that a session of this graph would have, these in memory of the caller's left out.
    package static func arenaBytes(_ graph: Graph, external: [ValueID]) -> Int {
        Planner.plan(Storage(graph, sharesMemory: true, external: external).buffers).byteCount
    }

    private static func threadCount(_ wanted: Int) throws(RuntimeError) -> Int {
        let limit = Int(alula_pool_limit())
        guard wanted >= 0, wanted <= limit else { throw .invalidThreads(count: wanted, limit: limit) }
        return wanted > 0 ? wanted : min(Int(alula_physical_cores()), limit)
    }

    private static func check(_ needed: Int, _ limit: Int?) throws(RuntimeError) {
        if let limit, needed > limit { throw .memoryLimit(needed: needed, limit: limit) }
    }

    /// Bytes of all constants that nodes or outputs use.
    private static func weightBytes(_ graph: Graph) -> Int {
        var isUsed = [Bool](repeating: false, count: graph.values.count)
        for node in graph.nodes {
            for id in node.inputs where !id.isNone { isUsed[Int(id.index)] = true }
        }
        for id in graph.outputs { isUsed[Int(id.index)] = true }
        return graph.values.indices.reduce(0) { $0 + (isUsed[$1] ? graph.values[$1].constant?.data?.count ?? 0 : 0) }
    }

    private static func bind(
        _ graph: Graph, _ storage: Storage, _ builder: inout StepBuilder, copies: [UnsafeMutableRawPointer]
    ) throws(RuntimeError) {
        for (index, node) in graph.nodes.enumerated() {
            builder.node = index
            try builder.bind(node)
            for id in node.outputs {
                if case .constant(let constant) = storage[id] { try builder.bindView(id, of: ValueID(constant)) }
            }
        }
        builder.node = graph.nodes.count
        for (index, copy) in storage.copiedOutputs.enumerated() {
            guard let source = try builder.value(copy.value) else {
                throw .graph(.invalidGraph(problem: "an output has no value"))
            }
            let target = BoundValue(id: copy.value, type: source.type, address: copies[index])
            try builder.appendCopy(source, to: target)
        }
    }

    private struct Prepared {
        var memory: Memory
        var steps: UnsafePointer<Step>
        var times: UnsafeMutablePointer<StepTime>
    }

    /// Lays steps, arguments and times out in one piece of memory.
    private static func prepare(_ builder: StepBuilder, threads: Int) throws(RuntimeError) -> Prepared {
        let count = builder.pending.count
        let argumentsOffset = roundUp(count * MemoryLayout<Step>.stride, Memory.alignment)
        let timesOffset = argumentsOffset + roundUp(builder.arguments.count, Memory.alignment)
        let timeCount = count * threads
        let memory = try Memory(count: timesOffset + timeCount * MemoryLayout<StepTime>.stride)
        let steps = memory.start.bindMemory(to: Step.self, capacity: count)
        let arguments = memory.start + argumentsOffset
        builder.arguments.withUnsafeBytes { source in
            if let base = source.baseAddress { arguments.copyMemory(from: base, byteCount: source.count) }
        }
        for (index, pending) in builder.pending.enumerated() {
            let step = Step(
                kernel: pending.family.kernel(in: builder.kernels)!,
                arguments: UnsafeRawPointer(arguments + pending.argumentOffset),
                items: pending.items, grain: pending.grain,
                endsWithBarrier: pending.endsWithBarrier && index < count - 1)
            (steps + index).initialize(to: step)
        }
        let times = (memory.start + timesOffset).bindMemory(to: StepTime.self, capacity: timeCount)
        return Prepared(memory: memory, steps: UnsafePointer(steps), times: times)
    }

    // MARK: Values

    /// A value's memory, if it has some in the arena.
    func address(_ id: ValueID) -> UnsafeMutableRawPointer? { addresses[Int(id.index)] }
}

/// What the threads of a run share.
struct RunContext {
    var steps: UnsafePointer<Step>
    var count: Int
    var scratch: UnsafeMutableRawPointer
    /// Bytes from one thread's scratch memory to the next one's.
    var scratchStride: Int
    var pool: OpaquePointer?
    /// Where to note the times of each thread's steps, `count` a thread; nil if nobody wants to know.
    var times: UnsafeMutablePointer<StepTime>?

    /// One thread's part of a run.
    static func run(_ context: UnsafePointer<RunContext>, thread: Int, threads: Int) {
        let scratch = context.pointee.scratch + thread * context.pointee.scratchStride
        let (steps, pool) = (context.pointee.steps, context.pointee.pool)
        let times = context.pointee.times.map { $0 + thread * context.pointee.count }
        for index in 0..<context.pointee.count {
            let step = steps + index
            let range = step.pointee.range(thread, of: threads)
            times?[index].begin = alula_clock_nanoseconds()
            if range.begin < range.end { step.pointee.kernel(step.pointee.arguments, range.begin, range.end, scratch) }
            times?[index].end = alula_clock_nanoseconds()
            if threads > 1, step.pointee.endsWithBarrier { alula_pool_barrier(pool) }
        }
    }
}
