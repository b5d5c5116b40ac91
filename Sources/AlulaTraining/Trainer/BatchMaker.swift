import AlulaData
import AlulaGraph
import Dispatch

/// Makes the batches that a model trains on: the same for the same seed, epoch and place.
package struct BatchMaker: Sendable {
    package let dataset: any Dataset
    package let classes: ClassMap
    package let preparation: InputPreparation
    package let size: Int
    private let mixing: BatchMixing
    private let smoothing: Float
    private let seed: TrainingSeed
    private let threads: Int

    /// - Parameter threads: how many prepare examples at a time; the result does not depend on it.
    package init(
        _ dataset: any Dataset, _ classes: ClassMap, _ preparation: InputPreparation, recipe: Recipe,
        seed: TrainingSeed, threads: Int = 1
    ) {
        (self.dataset, self.classes, self.seed, size) = (dataset, classes, seed, recipe.batch)
        self.threads = threads
        self.preparation = preparation.augmented(by: recipe)
        mixing = BatchMixing(mixup: recipe.mixup, cutmix: recipe.cutmix)
        smoothing = Float(recipe.labelSmoothing)
    }

    /// Inputs and targets of some examples, one after another.
    package struct Batch: Sendable {
        package var inputs: [[Float]]
        /// Soft: smoothed and mixed as the recipe asks, by class of the model.
        package var targets: [[Float]]
        /// Hard, as the data have them.
        package var truths: [[Float]]
    }

    /// Whole batches of an epoch.
    package func batches(epoch: Int) -> [[Int]] {
        BatchLoader(dataset, batchSize: size, shufflingBy: seed.seed(.order)).batches(epoch: epoch, dropsLast: true)
    }

    package func batch(_ indices: [Int], epoch: Int, place: Int) throws -> Batch {
        var inputs = try self.inputs(indices, epoch: epoch)
        let truths = indices.map { classes.vector(dataset.target($0)) }
        var targets = classes.isMultiLabel ? truths : truths.map { smoothed($0, by: smoothing) }
        if classes.isMultiLabel, smoothing > 0 {
            // Two answers a class share what is spread.
            targets = truths.map { $0.map { $0 * (1 - smoothing) + smoothing / 2 } }
        }
        var random = seed.generator(.mixing, epoch, place)
        let shape = preparation.shape
        let (height, width) = shape.count == 3 ? (shape[0], shape[1]) : (1, 1)
        mixing.apply(&inputs, &targets, height: height, width: width, using: &random)
        return Batch(inputs: inputs, targets: targets, truths: truths)
    }

    /// Each thread takes every so-manieth example; examples draw from generators of their own.
    private func inputs(_ indices: [Int], epoch: Int) throws -> [[Float]] {
        let threads = max(1, min(threads, indices.count))
        var results = [Result<[Float], any Error>](repeating: .success([]), count: indices.count)
        results.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let results = buffer
            DispatchQueue.concurrentPerform(iterations: threads) { thread in
                for place in stride(from: thread, to: indices.count, by: threads) {
                    results[place] = Result { try input(indices[place], epoch: epoch) }
                }
            }
        }
        return try results.map { try $0.get() }
    }

    private func input(_ index: Int, epoch: Int) throws -> [Float] {
        var random = seed.generator(.augmentation, epoch, index)
        do {
            return try preparation.changedInput(try dataset.example(index), using: &random)
        } catch { throw ExampleError(name: dataset.name(index), underlying: error) }
    }
}

/// An example that cannot be used: where it is, and why.
package struct ExampleError: Error {
    package var name: String
    package var underlying: any Error
}
