import AlulaCompiler
import AlulaGraph

/// One training step as a graph: forward part, loss, backward part.
package struct TrainingGraph: Sendable {
    package struct Parameter: Sendable {
        package var name: String
        package var shape: Shape
        package var input: ValueID
        /// nil where the loss does not depend on the parameter.
        package var gradient: ValueID?
    }

    package private(set) var graph: Graph
    package private(set) var parameters: [Parameter] = []
    package private(set) var inputs: [ValueID] = []
    package private(set) var targets = ValueID.none
    package private(set) var teacher: ValueID?
    package private(set) var logits = ValueID.none
    package private(set) var loss = ValueID.none
    package private(set) var masks: [DropMask] = []
    package private(set) var statistics: [RunningStatistics] = []
    /// Nodes of the forward part and the loss.
    package private(set) var forwardCount = 0

    /// - Parameter source: a float graph for one sample, as converters give it. Those of its constants that training changes become inputs of
    ///   the same name.
    package init(_ source: Graph, _ options: TrainingOptions) throws(TrainingError) {
        try options.check()
        do throws(GraphError) { try source.verify() } catch { throw .graph(error) }
        let position = try TrainingGraph.output(of: source, named: options.output)
        var single = try source.unfused()
        single.setOutputs([single.outputs[position]])
        var graph = try single.pruned().batched(options.batchSize)
        let inputCount = graph.inputs.count

        // What follows appends inputs, in this order: masks, targets, teacher, parameters.
        if options.stochasticDepth > 0 {
            let (changed, added) = try graph.withStochasticDepth(options.stochasticDepth, batchSize: options.batchSize)
            (graph, masks) = (changed, added)
        }
        if options.dropout > 0 {
            let (changed, added) = try graph.withDropout(options.dropout, output: graph.outputs[0])
            // Inputs are the first values of a copy, in order.
            graph = changed
            masks += added
        }
        (graph, statistics) = try graph.withTrainingBatchNorms(isFrozen: options.freezesBatchNorm)
        for (mask, input) in graph.inputs.dropFirst(inputCount).enumerated() { masks[mask].input = input }
        inputs = Array(graph.inputs.prefix(inputCount))

        logits = graph.outputs[0]
        let shape = graph.shape(logits)
        guard shape.rank == 2, shape[0] == options.batchSize else {
            throw .wrongOutput(
                name: source.displayName(source.outputs[position]),
                problem: "is \(shape.description), not one row of scores a sample")
        }
        try options.loss.check(classes: shape[1])
        targets = graph.addInput("training.targets", TensorType(.f32, shape))
        if options.loss.distillation != nil {
            teacher = graph.addInput("training.teacher", TensorType(.f32, shape))
        }
        let ids = try TrainingGraph.makeParametersInputs(&graph, options)
        var constants = graph.values.indices.filter { options.stoppedGradients.contains(graph.values[$0].name) }
            .map { ValueID($0) }
        loss = try graph.emit(
            options.loss, logits: logits, targets: targets, teacher: teacher, constants: &constants)
        forwardCount = graph.nodes.count
        let result = try GradientEmitter.differentiate(graph, loss: loss, parameters: ids, constants: constants)
        self.graph = result.graph
        for (id, gradient) in zip(ids, result.gradients) {
            parameters.append(
                Parameter(name: graph[id].name, shape: graph.shape(id), input: id, gradient: gradient))
        }
        self.graph.setOutputs(
            [loss, logits] + statistics.flatMap { [$0.batchMean, $0.batchVariance] }
                + parameters.compactMap { $0.gradient })
        do throws(GraphError) { try self.graph.verify() } catch { throw .graph(error) }
    }

    /// Values that the backward part may compute again.
    package var recomputableValues: [RecomputableValue] { graph.recomputableValues(forwardCount: forwardCount) }

    /// The same step with some values computed again.
    package func recomputing(_ values: ArraySlice<RecomputableValue>) -> Graph {
        values.isEmpty ? graph : graph.recomputing(values, forwardCount: forwardCount)
    }

    private static func output(of source: Graph, named name: String?) throws(TrainingError) -> Int {
        guard let name else { return 0 }
        guard let position = source.outputs.firstIndex(where: { source[$0].name == name }) else {
            let known = source.outputs.map { source[$0].name }.joined(separator: ", ")
            throw .wrongOutput(name: name, problem: "is not an output of the model, which has \(known)")
        }
        return position
    }

    private static func makeParametersInputs(
        _ graph: inout Graph, _ options: TrainingOptions
    ) throws(TrainingError) -> [ValueID] {
        let roles = graph.constantRoles()
        let candidates = graph.constants.filter { roles[Int($0.index)] == .parameter }
        for pattern in options.frozen where !candidates.contains(where: { pattern.matches(graph[$0].name) }) {
            throw .noMatch(pattern: pattern.text, problem: "names no parameter")
        }
        let ids = candidates.filter { id in
            !options.frozen.contains { $0.matches(graph[id].name) } && options.adapters?.trains(graph[id].name) != false
        }
        guard !ids.isEmpty else { throw .noParameters }
        for id in ids { graph.makeInput(id) }
        return ids
    }
}
