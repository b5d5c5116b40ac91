import AlulaGraph
import Foundation

/// How a reader's process comes about.
package enum HDF5ReaderStart {
    case program(String)
    /// By a function of path, budget, seconds and a descriptor for the records, which gives the child or -1: for tests of many files.
    case fork((String, Int, Int, Int32) -> pid_t)
}

/// `alula-hdf5-reader` at work on one file: a process of its own, whose output is read through a pipe.
final class ReaderProcess {
    private let path: String
    private let seconds: Int
    private let silence: Int
    private var child: pid_t = 0
    private var pipeEnd: Int32 = -1
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private var available = 0..<0

    static let programName = "alula-hdf5-reader"

    /// Beside the running program, where both are built and installed.
    static var program: String {
        let own = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
        return own.resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent(programName).path
    }

    init(
        reading path: String, start: HDF5ReaderStart, budget: Int, seconds: Int, silence: Int
    ) throws(HDF5ImportError) {
        (self.path, self.seconds, self.silence) = (path, seconds, silence)
        let program: String
        switch start {
        case .program(let name):
            program = name
            guard access(program, X_OK) == 0 else {
                throw .noReader(path: path, program: program, problem: "is missing: it goes beside this one")
            }
        case .fork: program = ReaderProcess.programName
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .noReader(path: path, program: program, problem: "gets no pipe") }
        // Another process that is started meanwhile must not keep the pipe open. The reader's own end is a duplicate without this.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // A relative path must not look like an option, nor change its meaning.
        let code: Int32
        switch start {
        case .program:
            code = ReaderProcess.spawn(
                program, [program, path, String(budget), String(seconds)], output: ends[1], close: ends[0], &child)
        case .fork(let fork):
            child = fork(path, budget, seconds, ends[1])
            code = child < 0 ? errno : 0
        }
        close(ends[1])
        pipeEnd = ends[0]
        guard code == 0 else {
            throw .noReader(
                path: path, program: program, problem: "cannot be started: " + String(cString: strerror(code)))
        }
    }

    deinit {
        buffer.deallocate()
        if pipeEnd >= 0 { close(pipeEnd) }
        if child > 0 {
            kill(child, SIGKILL)
            _ = wait()
        }
    }

    /// Starts the program with an empty input, `output` as its output, and nothing to complain to.
    private static func spawn(
        _ program: String, _ arguments: [String], output: Int32, close other: Int32, _ child: inout pid_t
    ) -> Int32 {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        // Threads of a dispatch queue block signals, and a child inherits that: a reader that nothing could end.
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addclose(&actions, other)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addclose(&actions, output)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        return posix_spawn(&child, program, &actions, &attributes, &words, environ)
    }

    // MARK: Reading

    /// Fills `target`, or throws why the reader ended before.
    func read(into target: UnsafeMutableRawBufferPointer) throws(HDF5ImportError) {
        var done = 0
        while done < target.count {
            if available.isEmpty {
                // Large data go straight to their place.
                let rest = target.count - done
                if rest >= buffer.count {
                    done += try receive(target.baseAddress! + done, rest)
                    continue
                }
                available = 0..<(try receive(buffer.baseAddress!, buffer.count))
            }
            let count = min(available.count, target.count - done)
            UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[available.prefix(count)]))
            available = available.lowerBound + count..<available.upperBound
            done += count
        }
    }

    /// The next bytes.
    func read(_ count: Int) throws(HDF5ImportError) -> [UInt8] {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { memory.deallocate() }
        try read(into: memory)
        return Array(memory)
    }

    private func receive(_ address: UnsafeMutableRawPointer, _ count: Int) throws(HDF5ImportError) -> Int {
        while true {
            var request = pollfd(fd: pipeEnd, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, Int32(clamping: silence))
            if ready == 0 { throw .reader(path: path, problem: "was silent for \(silence / 1000) s and was ended") }
            if ready < 0, errno != EINTR {
                throw .reader(path: path, problem: "cannot be read: " + String(cString: strerror(errno)))
            }
            if ready < 0 { continue }
            let got = Foundation.read(pipeEnd, address, count)
            if got > 0 { return got }
            if got == 0 { throw ended() }
            if errno != EINTR {
                throw .reader(path: path, problem: "cannot be read: " + String(cString: strerror(errno)))
            }
        }
    }

    // MARK: Ending

    /// Throws unless the reader ends by itself and successfully after its last record.
    func finish() throws(HDF5ImportError) {
        let status = wait()
        if status != 0 { throw ReaderProcess.failure(status, path: path, seconds: seconds) }
    }

    private func ended() -> HDF5ImportError { ReaderProcess.failure(wait(), path: path, seconds: seconds) }

    /// The status of the child, which is ended if it does not end by itself: its output is over in any case.
    private func wait() -> Int32 {
        // Milliseconds: on a busy machine even an exit takes its time.
        let patience = 10_000
        var status: Int32 = 0
        for attempt in 0... {
            if attempt == patience { kill(child, SIGKILL) }
            let found = waitpid(child, &status, attempt < patience ? WNOHANG : 0)
            if found == child || found < 0 && errno != EINTR { break }
            if attempt < patience { usleep(1000) }
        }
        child = 0
        return status
    }

    private static func failure(_ status: Int32, path: String, seconds: Int) -> HDF5ImportError {
        // As POSIX lays out the status of waitpid: a signal in the low seven bits, else a code above them.
        let signal = status & 0x7F
        switch signal {
        case 0:
            return .reader(
                path: path,
                problem: "ended early (code \(status >> 8 & 0xFF)): the file is damaged or asks for too much memory")
        case SIGXCPU: return .reader(path: path, problem: "was ended after \(seconds) s of processor time")
        case SIGKILL: return .reader(path: path, problem: "did not end by itself and was ended")
        default: return .reader(path: path, problem: "crashed (signal \(signal)): the file is damaged")
        }
    }
}
