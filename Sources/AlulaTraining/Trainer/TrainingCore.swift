import AlulaGraph

/// What a trainer needs of a model while it trains.
package struct TrainingCore {
    package var parameters: [ParameterBuffer]
    /// Runs a batch forward and backward; `step` counts batches from the start of training and decides what is dropped. After as many batches
    /// as the recipe accumulates, the parameters' gradients are those of the mean loss over all of them.
    package var run: (_ batch: BatchMaker.Batch, _ step: Int) throws -> Answer
    /// Numbers that change while training without a gradient, such as running means of batch norms; always the same names in the same order.
    package var statistics: () -> [Statistic]
    /// Takes numbers for `statistics`, in its order.
    package var setStatistics: (_ values: [[Float]]) -> Void
    /// What is trained, with the parameters and statistics of now.
    package var graphs: () throws -> TrainedGraphs

    package struct Statistic {
        package var name: String
        package var values: [Float]

        package init(name: String, values: [Float]) { (self.name, self.values) = (name, values) }
    }

    package struct Answer {
        package var loss: Double
        /// By example, then by class.
        package var logits: [Float]

        package init(loss: Double, logits: [Float]) { (self.loss, self.logits) = (loss, logits) }
    }

    package init(
        parameters: [ParameterBuffer], run: @escaping (BatchMaker.Batch, Int) throws -> Answer,
        statistics: @escaping () -> [Statistic] = { [] }, setStatistics: @escaping ([[Float]]) -> Void = { _ in },
        graphs: @escaping () throws -> TrainedGraphs
    ) {
        (self.parameters, self.run, self.statistics) = (parameters, run, statistics)
        (self.setStatistics, self.graphs) = (setStatistics, graphs)
    }

    /// Parameters, then statistics, as they are.
    package var tensors: [[Float]] { parameters.map { Array($0.values) } + statistics().map(\.values) }

    /// Takes what `tensors` gave.
    func load(_ tensors: [[Float]]) {
        for (parameter, values) in zip(parameters, tensors) { _ = parameter.values.update(fromContentsOf: values) }
        setStatistics(Array(tensors.dropFirst(parameters.count)))
    }

    /// What is trained, with other numbers, in the order of `tensors`.
    func graphs(with tensors: [[Float]]) throws -> TrainedGraphs {
        let own = self.tensors
        load(tensors)
        defer { load(own) }
        return try graphs()
    }
}

/// What training gives.
package struct TrainedGraphs {
    /// As its author built it, or folded where it was trained through the rounding of int8.
    package var float: Graph
    /// Where it was trained through the rounding of int8.
    package var int8: Graph?

    package init(float: Graph, int8: Graph? = nil) { (self.float, self.int8) = (float, int8) }

    /// The one that epochs are judged by.
    package var measured: Graph { int8 ?? float }
}
