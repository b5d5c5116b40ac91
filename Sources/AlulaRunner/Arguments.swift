/// The arguments behind a verb, checked.
struct Arguments {
    var model = ""
    var raw: String?
    var output: String?
    var threads = 1
    var memoryLimit: Int?
    var top = 5
    var runs = 50
    var warmup = 5
    /// For a fresh process that `bench` times: one byte after the first result, then the peak memory.
    var untilFirstResult = false

    init(_ arguments: [String]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--raw": raw = Arguments.value(of: argument, &rest)
            case "--output", "-o": output = Arguments.value(of: argument, &rest)
            case "--threads": threads = Arguments.integer(of: argument, &rest, from: 0)
            case "--memory-limit": memoryLimit = Arguments.integer(of: argument, &rest, from: 1)
            case "--top": top = Arguments.integer(of: argument, &rest, from: 0)
            case "--runs": runs = Arguments.integer(of: argument, &rest, from: 1)
            case "--warmup": warmup = Arguments.integer(of: argument, &rest, from: 0)
            case "--until-first-result": untilFirstResult = true
            case "--help", "-h":
                Runner.write(Runner.help)
                Runner.exit(0)
            case _ where argument.utf8.first == UInt8(ascii: "-") && argument.utf8.count > 1:
                Runner.failUsage("'\(argument)' is no option")
            default:
                guard model.isEmpty else { Runner.failUsage("one model is run, not '\(model)' and '\(argument)'") }
                model = argument
            }
        }
        if model.isEmpty { Runner.failUsage("the model file is missing") }
    }

    private static func value(of option: String, _ rest: inout ArraySlice<String>) -> String {
        guard let value = rest.popFirst() else { Runner.failUsage("\(option) needs a value") }
        return value
    }

    private static func integer(of option: String, _ rest: inout ArraySlice<String>, from minimum: Int) -> Int {
        let text = value(of: option, &rest)
        guard let value = Int(text), value >= minimum else {
            Runner.failUsage("\(option) is a whole number from \(minimum), not '\(text)'")
        }
        return value
    }
}
