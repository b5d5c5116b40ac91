import AlulaSystem

#if hasFeature(Embedded)
    // Embedded Swift has no CommandLine.
    let arguments = (0..<alula_argument_count()).map { String(cString: alula_argument($0)!) }.dropFirst()
#else
    let arguments = CommandLine.arguments.dropFirst()
#endif
switch arguments.first {
case "run": Runner.run(Array(arguments.dropFirst()))
case "bench": Runner.bench(Array(arguments.dropFirst()))
case "--help", "-h", "help": Runner.write(Runner.help)
case nil: Runner.failUsage("a verb is missing: run or bench")
case let verb?: Runner.failUsage("'\(verb)' is neither run nor bench")
}
