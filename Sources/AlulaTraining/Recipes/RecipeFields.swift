import AlulaData

/// Why a recipe cannot be used.
package enum RecipeError: Error, Equatable, Sendable {
    case notJSON
    case unknownKey(String)
    /// A key whose value is of another kind or out of its range; `expected` says what would do.
    case invalidValue(key: String, found: String, expected: String)

    package var message: String {
        switch self {
        case .notJSON: "is no JSON object of a recipe's keys"
        case .unknownKey(let key): "a recipe has no key '\(key)'"
        case .invalidValue(let key, let found, let expected): "'\(key)' is \(found), expected \(expected)"
        }
    }
}

/// One key of a recipe: how it is named, what it says and what it may hold.
package struct RecipeField: Sendable {
    package let key: String
    package let help: String
    /// What values are allowed, for messages and documentation.
    package let allowed: String
    fileprivate let read: @Sendable (Recipe) -> JSONValue
    /// False where the value does not do.
    fileprivate let write: @Sendable (inout Recipe, JSONValue) -> Bool
    /// The value that a word of a command line stands for; nil where it stands for none.
    fileprivate let parse: @Sendable (String) -> JSONValue?

    fileprivate static func number(
        _ key: String, _ path: WritableKeyPath<Recipe, Double> & Sendable, _ range: ClosedRange<Double>, _ help: String
    ) -> RecipeField {
        RecipeField(
            key: key, help: help, allowed: "a number in \(text(range.lowerBound))…\(text(range.upperBound))",
            read: { .number($0[keyPath: path]) },
            write: { recipe, value in
                guard let number = value.number, range.contains(number) else { return false }
                recipe[keyPath: path] = number
                return true
            }, parse: { Double($0).map { .number($0) } })
    }

    fileprivate static func count(
        _ key: String, _ path: WritableKeyPath<Recipe, Int> & Sendable, _ range: ClosedRange<Int>, _ help: String
    ) -> RecipeField {
        RecipeField(
            key: key, help: help, allowed: "a whole number in \(range.lowerBound)…\(range.upperBound)",
            read: { .number(Double($0[keyPath: path])) },
            write: { recipe, value in
                guard let number = value.integer, range.contains(number) else { return false }
                recipe[keyPath: path] = number
                return true
            }, parse: { Int($0).map { .number(Double($0)) } })
    }

    fileprivate static func flag(
        _ key: String, _ path: WritableKeyPath<Recipe, Bool> & Sendable, _ help: String
    ) -> RecipeField {
        RecipeField(
            key: key, help: help, allowed: "true or false", read: { .bool($0[keyPath: path]) },
            write: { recipe, value in
                guard let flag = value.bool else { return false }
                recipe[keyPath: path] = flag
                return true
            }, parse: { ["true": .bool(true), "false": .bool(false)][$0] })
    }

    fileprivate static func choice<Choice: RawRepresentable<String> & CaseIterable & SendableMetatype>(
        _ key: String, _ path: WritableKeyPath<Recipe, Choice> & Sendable, _ help: String
    ) -> RecipeField {
        RecipeField(
            key: key, help: help, allowed: "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "),
            read: { .string($0[keyPath: path].rawValue) },
            write: { recipe, value in
                guard let choice = value.string.flatMap(Choice.init(rawValue:)) else { return false }
                recipe[keyPath: path] = choice
                return true
            }, parse: { .string($0) })
    }

    fileprivate static func words(
        _ key: String, _ path: WritableKeyPath<Recipe, [String]> & Sendable, _ help: String
    ) -> RecipeField {
        RecipeField(
            key: key, help: help, allowed: "a list of texts", read: { .array($0[keyPath: path].map { .string($0) }) },
            write: { recipe, value in
                guard let words = value.array?.compactMap(\.string), words.count == value.array?.count else {
                    return false
                }
                recipe[keyPath: path] = words
                return true
            }, parse: { .array($0.split(separator: ",").map { .string(String($0)) }) })
    }

    private static func text(_ number: Double) -> String { Int(exactly: number).map(String.init) ?? "\(number)" }
}

extension Recipe {
    /// Every key, in the order in which a recipe is written.
    package static let fields: [RecipeField] = [
        .count("epochs", \.epochs, 1...1_000_000, "passes over the training data"),
        .count("batch", \.batch, 1...65_536, "examples a step of the graph"),
        .count("accumulate", \.accumulate, 1...65_536, "batches whose gradients make one step of the optimizer"),
        .count("early_stop", \.earlyStop, 0...1_000_000, "epochs without progress after which training ends; 0 never"),
        .choice("monitor", \.monitor, "the validation figure that tells epochs apart"),
        .choice("optimizer", \.optimizer, "how weights follow gradients"),
        .number("lr", \.rate, 0...1000, "the highest learning rate"),
        .number(
            "weight_decay", \.weightDecay, 0...100, "of matrices and filters; not of biases, norms and other vectors"),
        .number("momentum", \.momentum, 0...1, "of SGD"),
        .flag("nesterov", \.nesterov, "of SGD: looks ahead"),
        .number("beta1", \.beta1, 0...0.999999, "of Adam and AdamW: decay of the gradient's mean"),
        .number("beta2", \.beta2, 0...0.9999999, "of Adam and AdamW: decay of the squared gradient's mean"),
        .number("epsilon", \.epsilon, 0...1, "of Adam and AdamW"),
        .number("layer_decay", \.layerDecay, 0.01...1, "factor of the rate for every block further from the head"),
        .number("clip", \.clip, 0...1_000_000, "largest norm of all gradients together; 0 for no limit"),
        .number("ema", \.ema, 0...0.9999999, "decay of the averaged weights that are evaluated and kept; 0 for none"),
        .choice("schedule", \.schedule, "how the rate changes"),
        .number("min_lr", \.leastRate, 0...1000, "the lowest rate"),
        .number("warmup", \.warmup, 0...1_000_000, "epochs during which the rate rises; not for one-cycle"),
        .number("warmup_start", \.warmupStart, 0...1, "share of the rate at which the warm-up begins"),
        .number("factor", \.factor, 0...1, "of step, exponential and plateau: what the rate is multiplied by"),
        .count("period", \.period, 1...1_000_000, "of step: epochs between cuts; of plateau: epochs of patience"),
        .choice("loss", \.loss, "what is made small"),
        .number("label_smoothing", \.labelSmoothing, 0...0.999, "share of a target that is spread over all classes"),
        .number("focal_gamma", \.focalGamma, 0...100, "of the focal loss: how much easy examples count less"),
        .flag("balance", \.balance, "weighs positives of rare classes more, for bce and focal"),
        .number("distill_weight", \.distillWeight, 0...1, "share of the teacher's answers in the loss"),
        .number("distill_temperature", \.distillTemperature, 0.01...1000, "softens both answers"),
        .number("crop_padding", \.cropPadding, 0...0.5, "pictures: largest shift, as a share of the side"),
        .number("crop_scale", \.cropScale, 0.01...1, "pictures: least share of the area that a random crop keeps"),
        .flag("flip", \.flip, "pictures: mirrors every other one"),
        .count("randaugment", \.randAugment, 0...16, "pictures: RandAugment's operations, one after another"),
        .number("magnitude", \.magnitude, 0...10, "pictures: RandAugment's strength"),
        .number("color_jitter", \.colorJitter, 0...1, "pictures: largest change of brightness, contrast, saturation"),
        .number("erasing", \.erasing, 0...1, "pictures: how often a box is replaced by noise"),
        .number("mixup", \.mixup, 0...100, "parameter of mixup's Beta distribution; 0 for none"),
        .number("cutmix", \.cutmix, 0...100, "parameter of CutMix's Beta distribution; 0 for none"),
        .number("noise", \.noise, 0...100, "recordings: standard deviation of white noise"),
        .number("wander", \.wander, 0...100, "recordings: height of a wandering baseline"),
        .number("scaling", \.scaling, 0...1, "recordings: largest relative change of the amplitude"),
        .number("lead_dropout", \.leadDropout, 0...1, "recordings: how often a lead is silenced"),
        .number("shift", \.shift, 0...1, "recordings: largest shift, as a share of the length"),
        .number("time_mask", \.timeMask, 0...1, "recordings: how often a stretch of time is silenced"),
        .number("dropout", \.dropout, 0...0.999, "share of the last features that is dropped"),
        .number("drop_path", \.dropPath, 0...0.999, "how often the deepest residual branch is left out"),
        .flag("freeze_bn", \.freezeBN, "batch norms keep their running statistics"),
        .words("freeze", \.freeze, "patterns of weights that stay as they are"),
        .count(
            "lora", \.lora, 0...4096, "rank of low-rank adapters that are trained instead of the weights; 0 for none"),
        .flag("qat", \.qat, "trains through the rounding of int8"),
    ]

    private static func field(_ key: String) throws(RecipeError) -> RecipeField {
        let name = key.replacing("-", with: "_")
        guard let field = fields.first(where: { $0.key == name }) else { throw .unknownKey(key) }
        return field
    }

    /// Sets a key to what a word of a command line says; `-` in a key stands for `_`.
    package mutating func set(_ key: String, _ word: String) throws(RecipeError) {
        let field = try Recipe.field(key)
        guard let value = field.parse(word), field.write(&self, value) else {
            throw .invalidValue(key: field.key, found: "'\(word)'", expected: field.allowed)
        }
    }

    /// The defaults, but for what a JSON object says.
    package init(json: [UInt8]) throws(RecipeError) {
        self.init()
        guard let members = JSONValue.object(parsing: json) else { throw .notJSON }
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            let field = try Recipe.field(key)
            guard field.write(&self, value) else {
                throw .invalidValue(key: key, found: value.excerpt, expected: field.allowed)
            }
        }
    }

    /// All keys as JSON, in the order of `fields`.
    package var json: JSON { .object(Recipe.fields.map { ($0.key, Recipe.json($0.read(self))) }) }

    /// The value of a key as JSON has it; nil of an unknown key.
    package func text(_ key: String) -> String? {
        Recipe.fields.first { $0.key == key }.map { Recipe.json($0.read(self)).text }
    }

    /// A recipe as a file for people: a key a line.
    package var fileText: String {
        let lines = Recipe.fields.map { "  \"\($0.key)\": \(Recipe.json($0.read(self)).text)" }
        return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
    }

    private static func json(_ value: JSONValue) -> JSON {
        switch value {
        case .null: .null
        case .bool(let flag): .bool(flag)
        case .number(let number): .number(number)
        case .string(let text): .string(text)
        case .array(let values): .array(values.map(json))
        case .object(let members): .object(members.sorted { $0.key < $1.key }.map { ($0.key, json($0.value)) })
        }
    }
}
