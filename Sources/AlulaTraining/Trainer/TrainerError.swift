/// Why training cannot start or go on.
package enum TrainerError: Error, Equatable, Sendable {
    /// The model does not say how its inputs are made of this kind of data.
    case noPreprocessing(String)
    case unusableExample(String)
    /// The loss or a gradient is infinite or not a number; `layer` is the first value or parameter where it shows.
    case diverged(step: Int, what: String, layer: String)
    /// Fewer examples than one step takes.
    case tooFewExamples(count: Int, needed: Int)
    /// The data's classes do not fit the model's.
    case classes(String)
    /// A recipe asks for something that this model or these data do not have.
    case unsuitable(String)
    /// The run was asked to stop, and has saved where it is.
    case stopped(epoch: Int, step: Int)

    package var message: String {
        switch self {
        case .noPreprocessing(let kind): "the model does not say how to prepare \(kind) (alula.preprocess)"
        case .unusableExample(let cause): cause
        case .diverged(let step, let what, let layer):
            "training diverged at step \(step): \(what) is not finite, first at \(layer); try a lower --lr or --clip 1"
        case .tooFewExamples(let count, let needed): "has \(count) examples to train on, one step takes \(needed)"
        case .classes(let cause), .unsuitable(let cause): cause
        case .stopped(let epoch, let step): "stopped in epoch \(epoch) after step \(step)"
        }
    }
}
