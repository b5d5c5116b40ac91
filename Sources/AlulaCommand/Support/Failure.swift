import Alula
import AlulaCompiler
import AlulaData
import AlulaGraph
import AlulaRuntime
import AlulaTraining
import ONNXConverter

/// Work that failed: the file at fault and the cause, which become one line on stderr.
struct Failure: Error {
    var file: String?
    var cause: String

    init(_ file: String?, _ cause: String) {
        self.file = file
        self.cause = cause
    }

    /// `FILE: cause` on one line, whatever the names and messages hold.
    var line: String {
        let text = (file.map { $0 + ": " } ?? "") + cause
        return String(text.map { $0.isNewline ? " " : $0 })
    }
}

/// Runs `body`; what it throws becomes a failure of `file`.
func naming<Result>(_ file: String, _ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let failure as Failure {
        throw failure.file == nil ? Failure(file, failure.cause) : failure
    } catch {
        throw Failure(file, cause(of: error))
    }
}

/// `naming` for a file that `body` writes: where its folder is missing, the failure says which.
func writing<Result>(_ file: String, _ body: () throws -> Result) throws -> Result {
    do { return try naming(file, body) } catch {
        guard let end = file.lastIndex(of: "/"), end > file.startIndex, !isDirectory(String(file[..<end])) else {
            throw error
        }
        throw Failure(file, "No such file or directory: there is no folder \(file[..<end])")
    }
}

/// The message of an error of any of the package's kinds.
func cause(of error: any Error) -> String {
    switch error {
    case let error as ModelFileError: error.message
    case let error as SafetensorsError: error.message
    case let error as SafetensorsWriteError: error.message
    case let error as SystemError: error.message
    case let error as GraphError: error.message
    case let error as RuntimeError: error.message
    case let error as CompilerError: error.message
    case let error as ONNXError: error.message
    case let error as AlulaError: error.message
    case let error as JSONError: error.message
    case let error as DataError: error.cause
    case let error as TrainingError: error.message
    case let error as TrainerError: error.message
    case let error as TrainingFileError: error.cause
    case let error as Failure: error.line
    default: "\(error)"
    }
}
