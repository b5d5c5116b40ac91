import AlulaData

/// Which of a model's classes each class of some data is.
package struct ClassMap: Sendable, Equatable {
    /// The model's class, by the data's class.
    package let places: [Int]
    /// Names of the model's classes; empty where neither model nor data have any.
    package let labels: [String]
    package let count: Int
    /// Whether every class is decided on its own.
    package let isMultiLabel: Bool

    /// By name where both have names, else in order. A model without names takes those of data with as many classes.
    ///
    /// - Parameter namesCount: False where the data's names are mere numbers.
    package init(
        model labels: [String], count: Int, isMultiLabel: Bool, data: any Dataset, namesCount: Bool = true
    ) throws(TrainerError) {
        let classes = data.classes
        guard !classes.isEmpty else { throw .classes("has no labels to train on") }
        if data.isMultiLabel, !isMultiLabel {
            throw .classes("has several classes an example, but the model picks one (no alula.task)")
        }
        if labels.isEmpty || !namesCount {
            guard classes.count <= count else {
                throw .classes(
                    "has \(classes.count) classes, the model \(count); --new-head \(classes.count) gives it as many")
            }
            places = Array(classes.indices)
            self.labels = labels.isEmpty && namesCount && classes.count == count ? classes : labels
        } else {
            var places: [Int] = []
            for name in classes {
                guard let place = labels.firstIndex(of: name), place < count else {
                    throw .classes(
                        "has the class '\(name)', which is none of the model's; --new-head \(classes.count) gives it the data's"
                    )
                }
                places.append(place)
            }
            (self.places, self.labels) = (places, labels)
        }
        (self.count, self.isMultiLabel) = (count, isMultiLabel)
    }

    /// By class of the model, 1 where an example belongs, else 0.
    package func vector(_ target: Target) -> [Float] {
        var result = [Float](repeating: 0, count: count)
        switch target {
        case .unlabelled: break
        case .class(let index): result[places[index]] = 1
        case .classes(let flags): for (index, flag) in flags.enumerated() where flag { result[places[index]] = 1 }
        }
        return result
    }
}
