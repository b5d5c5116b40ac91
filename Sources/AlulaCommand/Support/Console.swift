import AlulaGraph
import AlulaSystem
import ArgumentParser

/// Standard output and error.
enum Console {
    /// Writes to standard output. A reader that went away (`alula inspect … | head`) ends the program quietly.
    static func write(_ text: String) { put(text, to: 1) }

    /// Writes a line to standard error.
    static func note(_ text: String) { put(text + "\n", to: 2) }

    static func fail(_ line: String, code: Int32 = 1) -> Never {
        note(line)
        alula_console_exit(code)
    }

    /// Whether a person sees what is written to standard error.
    static var isErrorATerminal: Bool { alula_console_is_terminal(2) != 0 }

    /// Writes to standard error without a line break, for progress.
    static func writeError(_ text: String) { put(text, to: 2) }

    private static func put(_ text: String, to stream: Int32) {
        var text = text
        let isWritten = text.withUTF8 { alula_console_write(stream, $0.baseAddress, $0.count) }
        if isWritten != 0, stream == 1 {
            // Nobody reads on: that is no failure. Anything else, such as a full disk, is.
            if isWritten == ALULA_CONSOLE_CLOSED { alula_console_exit(0) }
            fail("alula: standard output: " + cause(of: SystemError(code: isWritten)))
        }
    }
}

/// A bar on standard error, drawn only where that is a terminal.
struct Progress {
    private let title: String
    private let total: Int
    private let isShown: Bool
    private var done = 0
    private var shownPercent = -1

    init(_ title: String, total: Int) {
        self.title = title
        self.total = max(1, total)
        isShown = Console.isErrorATerminal
        draw()
    }

    mutating func advance() {
        done += 1
        draw()
    }

    func finish() {
        if isShown { Console.writeError("\r\u{1B}[K") }
    }

    private mutating func draw() {
        let percent = 100 * done / total
        guard isShown, percent != shownPercent else { return }
        shownPercent = percent
        let filled = 30 * done / total
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
        Console.writeError("\r\(title) \(bar) \(done)/\(total)")
    }
}

/// The flag that every verb has.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object on standard output and nothing else.")
    var json = false

    /// Prints the result: as JSON, or as the text that `text` makes.
    func print(_ json: @autoclosure () -> JSON, text: @autoclosure () -> String) {
        Console.write(self.json ? json().text + "\n" : text())
    }
}
