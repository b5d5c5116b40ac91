import AlulaGraph
import AlulaRuntime

/// A graph in training: parameters, their gradients for one batch, and the loss.
///
/// A step is: set inputs and targets, `run`, change `values` by `gradients` (an optimizer does). Parameters are one f32 buffer that the graph reads in
/// place. The same seed and steps give the same bytes, whatever the number of threads.
public final class TrainingSession {
    public let options: TrainingOptions
    public let parameters: [Parameter]
    /// The loss of the last run.
    public private(set) var loss: Float = 0
    /// Steps run so far: with the seed they determine all masks.
    public var step: UInt64 = 0

    /// Without the parameters' numbers.
    private var original: Graph
    /// The original, with adapters if there are some.
    private var source: Graph
    private let training: TrainingGraph
    private let session: Session
    private let valueStore: ParameterStore
    private let gradientStore: ParameterStore
    /// Sums of gradients over several batches; nil without accumulation.
    private let sumStore: ParameterStore?
    private var runningStatistics: [String: [Float]] = [:]
    private var accumulated = 0
    private let inputPositions: [Int]
    private let maskPositions: [Int]
    private let targetPosition: Int
    private let teacherPosition: Int?

    /// - Parameters:
    ///   - graph: a float graph for one sample, as converters give it: not folded, its parameters constants.
    public init(_ graph: Graph, options: TrainingOptions = TrainingOptions()) throws(TrainingError) {
        self.options = options
        original = graph
        var graph = graph
        if let adapters = options.adapters { graph = try adapters.adding(to: graph, seed: options.seed) }
        source = graph
        training = try TrainingGraph(graph, options)
        var parameters: [Parameter] = []
        var position = 0
        for parameter in training.parameters {
            let count = parameter.shape.elementCount
            parameters.append(
                Parameter(
                    name: parameter.name, shape: parameter.shape, range: position..<position + count,
                    hasGradient: parameter.gradient != nil))
            position += roundUp(count, 16)
        }
        self.parameters = parameters
        valueStore = try ParameterStore(count: position)
        gradientStore = try ParameterStore(count: position)
        sumStore = options.accumulation > 1 ? try ParameterStore(count: position) : nil

        var external: [ExternalValue] = []
        for (own, parameter) in zip(training.parameters, parameters) {
            let offset = parameter.range.lowerBound * MemoryLayout<Float>.stride
            external.append(ExternalValue(id: own.input, address: valueStore.memory.start + offset))
            if let gradient = own.gradient {
                external.append(ExternalValue(id: gradient, address: gradientStore.memory.start + offset))
            }
        }
        var sessionOptions = SessionOptions(threads: options.threads, instructionSet: options.instructionSet)
        sessionOptions.memoryLimit = options.memoryLimit
        session = try TrainingSession.makeSession(training, options, sessionOptions, external)
        let positions = { [training] (id: ValueID) in training.graph.inputs.firstIndex(of: id)! }
        inputPositions = training.inputs.map(positions)
        maskPositions = training.masks.map { positions($0.input) }
        targetPosition = positions(training.targets)
        teacherPosition = training.teacher.map(positions)
        for parameter in parameters {
            load(parameter, from: graph)
            // The numbers live in one place.
            source.dropData(ofConstant: parameter.name)
            original.dropData(ofConstant: parameter.name)
        }
        for statistics in training.statistics {
            for name in [statistics.mean, statistics.variance] {
                runningStatistics[name] = TrainingSession.constant(name, in: graph)
            }
        }
    }

    /// The session that recomputes what it should, or as little as the memory limit takes.
    private static func makeSession(
        _ training: TrainingGraph, _ options: TrainingOptions, _ sessionOptions: SessionOptions,
        _ external: [ExternalValue]
    ) throws(TrainingError) -> Session {
        let values = training.recomputableValues
        let make = { (count: Int) throws(RuntimeError) in
            try Session(training.recomputing(values.prefix(count)), options: sessionOptions, external: external)
        }
        do throws(RuntimeError) {
            // The fewest that fit, by bisection.
            var (low, high) = (0, values.count)
            while low < high {
                let middle = (low + high) / 2
                var fits = true
                if options.memoryLimit == nil {
                    let arena = Session.arenaBytes(
                        training.recomputing(values.prefix(middle)), external: external.map(\.id))
                    fits = arena <= options.workingMemory
                } else {
                    do throws(RuntimeError) { _ = try make(middle) } catch {
                        guard case .memoryLimit = error else { throw error }
                        fits = false
                    }
                }
                if fits { high = middle } else { low = middle + 1 }
            }
            return try make(low)
        } catch {
            guard case .memoryLimit(let needed, let limit) = error else { throw .runtime(error) }
            throw .memoryLimit(needed: needed, limit: limit)
        }
    }

    // MARK: Parameters

    /// All parameters' numbers, to be changed between runs.
    public var values: UnsafeMutableBufferPointer<Float> { valueStore.floats }

    /// The gradients of the last step, of the mean loss over its batches.
    public var gradients: UnsafeMutableBufferPointer<Float> { (sumStore ?? gradientStore).floats }

    /// Running means and variances of batch norms, by constant name.
    public var statistics: [String: [Float]] {
        get { runningStatistics }
        set { runningStatistics = newValue }
    }

    /// Bytes that the session holds, parameters and gradients included.
    public var memoryUse: MemoryUse { session.memory }

    /// Numbers of classes or outputs.
    public var outputCount: Int { training.graph.shape(training.logits)[1] }
    public var inputCount: Int { inputPositions.count }
    /// `[batch,…]`.
    public func inputShape(_ index: Int = 0) -> Shape { training.graph.shape(training.inputs[index]) }

    // MARK: A step

    /// The samples of a batch, one after another, as the model's input has them (images N,H,W,C).
    public func setInput(_ index: Int = 0, _ floats: UnsafeBufferPointer<Float>) throws(TrainingError) {
        try set(inputPositions[index], floats)
    }

    public func setInput(_ index: Int = 0, _ floats: [Float]) throws(TrainingError) {
        try floats.withUnsafeBufferPointer { (pointer) throws(TrainingError) in try setInput(index, pointer) }
    }

    /// An input's memory, to be filled in place before each run.
    public func withInput<R, E: Error>(_ index: Int = 0, _ body: (UnsafeMutableBufferPointer<Float>) throws(E) -> R)
        throws(E) -> R
    {
        try session.withInput(inputPositions[index]) { (bytes) throws(E) -> R in
            try body(bytes.bindMemory(to: Float.self))
        }
    }

    /// Targets, one row of `outputCount` numbers a sample.
    public func setTargets(_ floats: [Float]) throws(TrainingError) {
        try floats.withUnsafeBufferPointer { (pointer) throws(TrainingError) in try set(targetPosition, pointer) }
    }

    /// Targets from classes: `1 - s + s / classes` for the class, `s / classes` for the others, s the smoothing.
    public func setTargets(classes: [Int], smoothing: Float = 0) throws(TrainingError) {
        let count = outputCount
        let low = smoothing / Float(count)
        var rows = [Float](repeating: low, count: classes.count * count)
        for (sample, index) in classes.enumerated() {
            guard (0..<count).contains(index) else {
                throw .invalidOption(name: "class", problem: "\(index) is not within 0..<\(count)")
            }
            rows[sample * count + index] += 1 - smoothing
        }
        try setTargets(rows)
    }

    /// A teacher's logits for the batch; needed where the loss distils.
    public func setTeacher(_ floats: [Float]) throws(TrainingError) {
        guard let teacherPosition else {
            throw .invalidOption(name: "teacher", problem: "the loss does not distil")
        }
        try floats.withUnsafeBufferPointer { (pointer) throws(TrainingError) in try set(teacherPosition, pointer) }
    }

    /// Computes loss and gradients of one batch, and updates running statistics. Inputs are set again before the next run.
    ///
    /// With `options.accumulation` n, `gradients` are complete after every n-th run: then this returns true.
    @discardableResult
    public func run() throws(TrainingError) -> Bool {
        fillMasks()
        session.run()
        loss = session.withOutput(0) { $0.load(as: Float.self) }
        updateStatistics()
        step += 1
        return accumulate()
    }

    /// The outputs of the last run, `[batch, outputCount]`, dropout and batch statistics in effect.
    public func logits() throws(TrainingError) -> [Float] {
        do throws(RuntimeError) { return try session.outputFloats(1) } catch { throw .runtime(error) }
    }

    // MARK: Results

    /// The graph that was given, with the parameters and statistics of now; adapters are merged into the weights.
    public func trainedGraph() -> Graph {
        var result = source
        for parameter in parameters {
            result.setConstant(parameter.name, Array(UnsafeBufferPointer(rebasing: values[parameter.range])))
        }
        for name in runningStatistics.keys.sorted() { result.setConstant(name, runningStatistics[name]!) }
        return options.adapters?.merging(result, into: original) ?? result
    }

    // MARK: Parts of a step

    private func set(_ position: Int, _ floats: UnsafeBufferPointer<Float>) throws(TrainingError) {
        let expected = session.inputType(position).shape.elementCount
        guard floats.count == expected else {
            throw .wrongSize(name: session.inputName(position), expected: expected, given: floats.count)
        }
        session.withInput(position) { $0.copyMemory(from: UnsafeRawBufferPointer(floats)) }
    }

    private func fillMasks() {
        for (index, mask) in training.masks.enumerated() {
            // Each mask of each step has its own numbers, so that a resumed run draws the same.
            var generator = SplitMix64(seed: options.seed &+ step &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(index) << 48)
            let kept = 1 / (1 - mask.rate)
            session.withInput(maskPositions[index]) { bytes in
                for position in 0..<bytes.count / MemoryLayout<Float>.stride {
                    // 24 bits are what an f32 in 0..<1 holds.
                    let draw = Float(generator.next() >> 40) * 0x1p-24
                    bytes.storeBytes(
                        of: draw < mask.rate ? 0 : kept, toByteOffset: position * MemoryLayout<Float>.stride,
                        as: Float.self)
                }
            }
        }
    }

    /// `r += momentum · (batch - r)`; the variance that is stored is the unbiased one, as in PyTorch.
    private func updateStatistics() {
        let momentum = options.batchNormMomentum
        for (index, own) in training.statistics.enumerated() {
            let factor = own.count > 1 ? Float(own.count) / Float(own.count - 1) : 1
            for (name, output, scale) in [(own.mean, 2 + 2 * index, Float(1)), (own.variance, 3 + 2 * index, factor)] {
                session.withOutput(output) { bytes in
                    let batch = bytes.assumingMemoryBound(to: Float.self)
                    for channel in batch.indices {
                        let stored = runningStatistics[name]![channel]
                        runningStatistics[name]![channel] = stored + momentum * (batch[channel] * scale - stored)
                    }
                }
            }
        }
    }

    private func accumulate() -> Bool {
        guard let sumStore else { return true }
        let (sum, own) = (sumStore.floats, gradientStore.floats)
        let share = 1 / Float(options.accumulation)
        if accumulated == 0 {
            for index in 0..<sum.count { sum[index] = own[index] * share }
        } else {
            for index in 0..<sum.count { sum[index] += own[index] * share }
        }
        accumulated = (accumulated + 1) % options.accumulation
        return accumulated == 0
    }

    private func load(_ parameter: Parameter, from graph: Graph) {
        let numbers = TrainingSession.constant(parameter.name, in: graph)
        for (index, number) in numbers.enumerated() { values[parameter.range.lowerBound + index] = number }
    }

    private static func constant(_ name: String, in graph: Graph) -> [Float] {
        graph.constants.first { graph[$0].name == name }.flatMap { graph[$0].constant?.data?.array(of: Float.self) }
            ?? []
    }

    // MARK: Time

    /// What each step of a run does, and how long it took.
    package var steps: [StepInfo] { session.steps }
    package func makeProfile() -> Profile { session.makeProfile() }
    package func run(profile: inout Profile) {
        fillMasks()
        session.run(profile: &profile)
    }
}
