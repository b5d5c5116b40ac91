import ArgumentParser

// Exit codes: 0 success, 1 the work failed, 2 wrong usage. ArgumentParser's own code for wrong usage is 64.
do {
    var command = try AlulaTool.parseAsRoot()
    try command.run()
} catch let failure as Failure {
    Console.fail("alula: " + failure.line)
} catch {
    let text = AlulaTool.fullMessage(for: error)
    switch AlulaTool.exitCode(for: error) {
    case .success: Console.write(text + "\n")
    case .validationFailure: Console.fail(text, code: 2)
    default: Console.fail("alula: " + text)
    }
}
