import AlulaData
import AlulaTraining

/// What a model is trained on and what epochs are measured on.
struct TrainingData {
    var training: any Dataset
    /// Nil where nothing is held out.
    var validation: (any Dataset)?
    /// Whether the data's class names are names, not just numbers.
    var namesCount: Bool

    /// - Parameters:
    ///   - separate: what `--validation` names.
    ///   - share: how much of each class is held out where the data have no part of their own to measure on.
    init(
        _ location: DataLocation, separate: DataLocation?, share: Double, minimumLikelihood: Double,
        _ reader: SampleReader
    ) throws {
        func open(_ location: DataLocation, _ split: DataSplit) throws -> any Dataset {
            try location.dataset(
                reader, split: split, minimumLikelihood: minimumLikelihood,
                holdOut: HoldOut(share: separate == nil ? share : 0))
        }
        if let separate {
            training = try open(location, location.hasParts ? .train : .all)
            validation = try open(separate, separate == location && separate.hasParts ? .val : .all)
        } else if location.hasParts {
            training = try open(location, .train)
            validation = share > 0 || !location.isHeldOut ? try open(location, .val) : nil
        } else {
            let all = try open(location, .all)
            let parts = HoldOut(share: share).split((0..<all.count).map { TrainingData.stratum(all.target($0)) })
            training = Subset(all, parts.kept)
            validation = parts.held.isEmpty ? nil : Subset(all, parts.held)
        }
        if case .tensors = location { namesCount = false } else { namesCount = true }
        guard !training.classes.isEmpty else { throw Failure(location.path, "has no labels to train on") }
        if let validation, validation.classes != training.classes {
            throw Failure((separate ?? location).path, "has other classes than \(location.path)")
        }
    }

    /// What examples are held out evenly by: their class, or the first of several.
    private static func stratum(_ target: Target) -> Int {
        switch target {
        case .unlabelled: 0
        case .class(let index): index
        case .classes(let flags): (flags.firstIndex(of: true) ?? -1) + 1
        }
    }
}

extension DataLocation {
    /// Whether the data come in parts to train and to validate on, made by the publisher or held out by the reader.
    fileprivate var hasParts: Bool {
        switch self {
        case .cifar10, .cifar100, .ptbxl, .int16: true
        case .images(let folder), .wfdb(let folder): isDirectory(folder + "/train") && isDirectory(folder + "/val")
        case .tensors: false
        }
    }

    /// Whether the part to validate on is held out of the training data by the reader.
    fileprivate var isHeldOut: Bool {
        switch self {
        case .cifar10, .cifar100: true
        default: false
        }
    }
}
