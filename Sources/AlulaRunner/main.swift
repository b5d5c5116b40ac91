import AlulaSystem

let arguments = CommandLine.arguments.dropFirst()
switch arguments.first {
case "run": Runner.run(Array(arguments.dropFirst()))
case "bench": Runner.bench(Array(arguments.dropFirst()))
case "--help", "-h", "help": Runner.write(Runner.help)
case nil: Runner.failUsage("a verb is missing: run or bench")
case let verb?: Runner.failUsage("'\(verb)' is neither run nor bench")
}
