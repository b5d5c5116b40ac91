import AlulaData
import AlulaGraph
import AlulaRuntime

/// One model while it is measured.
struct Evaluation {
    let path: String
    let file: ModelFile
    let reader: SampleReader
    private let scoring: Scoring
    private let session: Session
    private let outputCount: Int
    /// The model's class of every class of the data.
    private var places: [Int] = []
    private var names: [String] = []
    private var single: SingleLabelMetrics?
    /// Every class against all others, for its curves; for models that pick one class too.
    private var multiple = MultiLabelMetrics(classCount: 0)
    /// Of models that decide about every class: examples by class that is true and class that was decided.
    private var joint: [Int] = []
    /// Runs of the model so far: examples, or their windows.
    private(set) var inputs = 0

    init(_ path: String, _ options: SessionOptions) throws {
        self.path = path
        let file = try Models.open(path)
        reader = try SampleReader(file, path: path)
        scoring = try Scoring(file, path: path)
        session = try Models.session(try Models.runnable(file, path: path), options, path: path)
        outputCount = file.graph.outputs.first.map { file.graph.shape($0).elementCount } ?? 0
        self.file = file
    }

    /// Finds the data's classes among the model's: by name where the model has names, else in order.
    mutating func prepare(_ dataset: any Dataset, _ data: String) throws {
        if scoring.labels.isEmpty || dataset is TensorsDataset || (dataset as? Subset)?.base is TensorsDataset {
            guard dataset.classes.count <= outputCount else {
                throw Failure(data, "has \(dataset.classes.count) classes, the model \(path) \(outputCount)")
            }
            places = Array(dataset.classes.indices)
        } else {
            places = try dataset.classes.map { name in
                guard let place = scoring.labels.firstIndex(of: name), place < outputCount else {
                    throw Failure(data, "has the class '\(name)', which is none of the model's (\(path))")
                }
                return place
            }
        }
        names = (0..<outputCount).map { scoring.label($0) }
        for (index, place) in places.enumerated() where scoring.labels.isEmpty { names[place] = dataset.classes[index] }
        if dataset.isMultiLabel {
            guard scoring.isMultiLabel else {
                throw Failure(path, "picks one class (no alula.task), but the data have several a sample")
            }
            multiple = MultiLabelMetrics(classCount: places.count)
            joint = Array(repeating: 0, count: places.count * places.count)
        } else {
            single = SingleLabelMetrics(classCount: outputCount)
            multiple = MultiLabelMetrics(classCount: outputCount)
        }
    }

    /// By class. A recording of several windows has the mean of their probabilities.
    private mutating func probabilities(_ example: Example) throws -> [Double] {
        let windows = try reader.windows(of: example)
        var sums = [Double](repeating: 0, count: outputCount)
        for index in 0..<windows.count {
            try reader.sample(of: windows.load(index)).set(on: session)
            session.run()
            sums = zip(sums, scoring.probabilities(try session.outputFloats(0))).map(+)
        }
        inputs += windows.count
        return sums.map { $0 / Double(windows.count) }
    }

    /// Runs one example; gives the classes that the model decided on.
    mutating func add(_ example: Example, _ target: Target) throws -> [Int] {
        let probabilities = try probabilities(example)
        switch target {
        case .unlabelled: throw Failure(nil, "has no label")
        case .class(let index):
            let truth = places[index]
            single?.add(probabilities, truth: truth)
            multiple.add(probabilities, truth: (0..<outputCount).map { $0 == truth })
            return [probabilities.indices.reduce(0) { probabilities[$1] > probabilities[$0] ? $1 : $0 }]
        case .classes(let flags):
            let scores = places.map { probabilities[$0] }
            multiple.add(scores, truth: flags)
            let decided = places.indices.filter { scoring.isPositive(scores[$0], places[$0]) }
            for truth in flags.indices where flags[truth] {
                for decision in decided { joint[truth * places.count + decision] += 1 }
            }
            return decided
        }
    }

    /// By class of the model, the threshold with the best F1; nil for models that pick one class.
    var bestThresholds: [Double]? {
        guard single == nil else { return nil }
        var thresholds = scoring.thresholds
        for (place, threshold) in zip(places, multiple.bestThresholds) { thresholds[place] = threshold }
        return thresholds
    }

    func result() -> EvaluationResult {
        let thresholds =
            single == nil ? places.map { scoring.thresholds[$0] } : Array(repeating: 0.5, count: outputCount)
        let decisions = multiple.decisions(thresholds: thresholds)
        return EvaluationResult(
            model: path, names: single == nil ? places.map { names[$0] } : names, single: single, multiple: multiple,
            decisions: decisions, thresholds: thresholds, confusion: single?.confusion ?? joint)
    }
}

/// What was measured of one model.
struct EvaluationResult {
    var model: String
    var names: [String]
    /// Nil for models that decide about every class.
    var single: SingleLabelMetrics?
    var multiple: MultiLabelMetrics
    var decisions: MultiLabelMetrics.Decisions
    var thresholds: [Double]
    /// Examples by true class, then by decided class.
    var confusion: [Int]

    var counts: [ClassCounts] { single?.classes ?? decisions.classes }
    private var areas: [Double] { multiple.areasUnderROC.compactMap { $0 } }
    private var precisions: [Double] { multiple.averagePrecisions.compactMap { $0 } }

    /// Names and values of what sums a model up.
    var figures: [(name: String, key: String, value: Double, isShare: Bool)] {
        var figures: [(name: String, key: String, value: Double, isShare: Bool)] = []
        if let single {
            figures += [
                ("accuracy, top 1", "accuracy", single.accuracy, true),
                ("accuracy, top 5", "top5", single.topFiveAccuracy, true),
                ("macro F1", "macro_f1", single.macroF1, false),
                ("macro precision", "macro_precision", single.macroPrecision, false),
                ("macro recall", "macro_recall", single.macroRecall, false),
            ]
        } else {
            figures += [
                ("macro F1", "macro_f1", decisions.macroF1, false),
                ("sample F1", "sample_f1", decisions.sampleF1, false),
                ("micro F1", "micro_f1", decisions.microF1, false),
                ("all classes right", "exact_match", decisions.exactMatch, true),
            ]
        }
        if !areas.isEmpty { figures.append(("macro AUROC", "macro_auroc", areas.mean, false)) }
        if !precisions.isEmpty { figures.append(("macro average precision", "macro_ap", precisions.mean, false)) }
        let error = single?.calibrationError ?? multiple.calibrationError
        return figures + [("calibration error", "ece", error, false)]
    }

    /// Classes with one label only have no area.
    var undefinedAreas: Int { multiple.areasUnderROC.count - areas.count }

    var json: [(String, JSON)] {
        let (areas, precisions) = (multiple.areasUnderROC, multiple.averagePrecisions)
        let classes = counts.indices.map { index -> JSON in
            let count = counts[index]
            var members: [(String, JSON)] = [
                ("name", .string(names[index])), ("support", .integer(count.support)),
                ("precision", .number(count.precision)), ("recall", .number(count.recall)), ("f1", .number(count.f1)),
                ("auroc", areas[index].map { .number($0) } ?? .null),
                ("ap", precisions[index].map { .number($0) } ?? .null),
            ]
            if single == nil { members.append(("threshold", .number(thresholds[index]))) }
            return .object(members)
        }
        let rows = counts.indices.map { row in
            JSON.integers(confusion[row * names.count..<(row + 1) * names.count])
        }
        return [("task", .string(single == nil ? "multilabel" : "classify"))]
            + figures.map { ($0.key, .number($0.value)) }
            + [
                ("auroc_undefined", .integer(undefinedAreas)), ("classes", .array(classes)),
                ("confusion", .array(rows)),
            ]
    }

    var summary: String {
        Format.table(
            figures.map { figure in
                let value = figure.isShare ? Format.fixed(100 * figure.value, 2) + " %" : Format.fixed(figure.value, 4)
                return ["  " + figure.name, value]
            })
    }

    /// Rows of name, support, precision, recall, F1, AUROC and threshold.
    var classRows: [[String]] {
        let areas = multiple.areasUnderROC
        return counts.indices.map { index in
            let count = counts[index]
            return [
                names[index], String(count.support), Format.fixed(count.precision, 3), Format.fixed(count.recall, 3),
                Format.fixed(count.f1, 3), areas[index].map { Format.fixed($0, 3) } ?? "-",
            ] + (single == nil ? [Format.fixed(thresholds[index], 3)] : [])
        }
    }

    static func classHeader(_ isMultiLabel: Bool) -> [String] {
        ["class", "samples", "precision", "recall", "F1", "AUROC"] + (isMultiLabel ? ["threshold"] : [])
    }

    /// The classes as a table; of many those with the lowest F1.
    func classTable(limit: Int) -> String {
        let header = EvaluationResult.classHeader(single == nil)
        let rows = classRows
        let shown =
            rows.count <= limit
            ? Array(rows.indices) : Array(rows.indices.sorted { (counts[$0].f1, $0) < (counts[$1].f1, $1) }.prefix(10))
        var text = rows.count <= limit ? "" : "  the 10 of \(rows.count) classes with the lowest F1:\n"
        text += Format.table(
            [header].map { ["  " + $0[0]] + $0.dropFirst() } + shown.map { ["  " + rows[$0][0]] + rows[$0].dropFirst() }
        )
        return text
    }
}
