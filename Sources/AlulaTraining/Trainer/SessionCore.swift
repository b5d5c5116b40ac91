import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaRuntime

/// What a core is made from beside the graph and the recipe.
package struct CoreOptions {
    package var isMultiLabel = false
    package var threads = 1
    package var memoryLimit: Int?
    package var seed = TrainingSeed(0)
    /// Whose answers are learned too.
    package var teacher: Teacher?
    /// Whether the last layers are fresh, so that they are trained whatever else is.
    package var hasNewHead = false
    /// Of all training examples by class of the model, for weights that balance classes.
    package var targets: () -> [[Float]] = { [] }
    /// Inputs that show the range of every value, for training through the rounding of int8.
    package var calibrationInputs: () throws -> [[Float]] = { [] }

    package init() {}
}

extension TrainingCore {
    /// A graph in training by a recipe.
    ///
    /// - Parameter graph: a float graph for one example.
    package init(_ graph: Graph, recipe: Recipe, _ wishes: CoreOptions) throws {
        var options = TrainingOptions()
        (options.batchSize, options.accumulation) = (recipe.batch, recipe.accumulate)
        (options.threads, options.memoryLimit) = (wishes.threads, wishes.memoryLimit)
        options.seed = wishes.seed.seed(.model)
        (options.dropout, options.stochasticDepth) = (Float(recipe.dropout), Float(recipe.dropPath))
        options.freezesBatchNorm = recipe.freezeBN
        options.frozen = recipe.freeze.map(NamePattern.init)
        options.loss = try recipe.loss(
            isMultiLabel: wishes.isMultiLabel, targets: wishes.targets, isTaught: wishes.teacher != nil)
        if recipe.lora > 0 {
            guard !recipe.qat else {
                throw TrainerError.unsuitable("low-rank adapters cannot be trained through rounding")
            }
            options.adapters = LowRankAdapters(
                rank: recipe.lora, alpha: Float(2 * recipe.lora),
                alsoTrained: wishes.hasNewHead ? graph.headPatterns : [])
        }
        let aware = recipe.qat ? try TrainingCore.aware(graph, try wishes.calibrationInputs(), wishes.threads) : nil
        aware?.prepare(&options)
        let session = try TrainingSession(aware?.graph ?? graph, options: options)

        self.init(
            parameters: session.parameterBuffers,
            run: { [teacher = wishes.teacher] batch, step in
                session.step = UInt64(step)
                session.withInput(0) { target in
                    var place = 0
                    for input in batch.inputs {
                        _ = UnsafeMutableBufferPointer(rebasing: target[place..<place + input.count])
                            .update(fromContentsOf: input)
                        place += input.count
                    }
                }
                try session.setTargets(batch.targets.flatMap(\.self))
                if let teacher { try session.setTeacher(try teacher.logits(batch.inputs)) }
                try session.run()
                return Answer(loss: Double(session.loss), logits: try session.logits())
            },
            statistics: {
                session.statistics.sorted { $0.key < $1.key }.map { Statistic(name: $0.key, values: $0.value) }
            },
            setStatistics: { values in
                let names = session.statistics.keys.sorted()
                session.statistics = Dictionary(uniqueKeysWithValues: zip(names, values))
            },
            graphs: {
                let trained = session.trainedGraph()
                guard let aware else { return TrainedGraphs(float: trained) }
                let int8 = try Pass.run([Pass.pack], on: try aware.quantized(trained))
                return TrainedGraphs(float: aware.foldedGraph(trained), int8: int8)
            })
    }

    /// The folded graph with the rounding of its int8 form.
    private static func aware(_ graph: Graph, _ inputs: [[Float]], _ threads: Int) throws -> QuantizationAwareGraph {
        let folded = try Pass.run(Pass.folding, on: graph)
        var calibration = try Calibration(folded, method: .minMax, threads: threads)
        for input in inputs { try calibration.observe([input]) }
        return try QuantizationAwareGraph(folded, calibration)
    }
}

extension Graph {
    /// The parameters of the last layers.
    fileprivate var headPatterns: [NamePattern] {
        headLayers(of: outputs[0]).flatMap { index in
            [nodes[index].input(WeightedOperand.weight), nodes[index].input(WeightedOperand.bias)]
                .filter { !$0.isNone }.map { NamePattern(self[$0].name) }
        }
    }
}

extension Recipe {
    fileprivate func loss(
        isMultiLabel: Bool, targets: () -> [[Float]], isTaught: Bool
    ) throws(TrainerError) -> AlulaTraining.Loss {
        let distillation: AlulaTraining.Loss.Distillation? =
            isTaught ? .init(.soft(temperature: Float(distillTemperature)), weight: Float(distillWeight)) : nil
        func binary(_ focus: Float?) -> AlulaTraining.Loss {
            AlulaTraining.Loss(
                .binaryCrossEntropy(positiveWeights: balance ? Recipe.weights(targets()) : nil, focus: focus),
                distillation: distillation)
        }
        switch loss {
        case .auto where isMultiLabel, .bce: return binary(nil)
        case .focal: return binary(Float(focalGamma))
        case .crossEntropy where isMultiLabel:
            throw .unsuitable("the model decides about every class on its own, which cross-entropy does not train")
        case .auto, .crossEntropy: return AlulaTraining.Loss(.crossEntropy, distillation: distillation)
        }
    }

    /// By class, how many examples do not belong to it for each that does; at most 100.
    private static func weights(_ targets: [[Float]]) -> [Float] {
        guard let count = targets.first?.count else { return [] }
        return (0..<count).map { index in
            let positives = targets.reduce(into: Float(0)) { $0 += $1[index] }
            return positives > 0 ? min(100, (Float(targets.count) - positives) / positives) : 1
        }
    }
}
