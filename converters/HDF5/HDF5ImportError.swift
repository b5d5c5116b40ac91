import AlulaGraph

/// Why an HDF5 file cannot be imported. `message` says it in one line and names the file.
public enum HDF5ImportError: Error, Equatable, Sendable {
    case unreadable(path: String, problem: String)
    /// The program that reads HDF5 is not beside this one, or cannot be started.
    case noReader(path: String, program: String, problem: String)
    /// The reader refused the file; `object` is the path of what is at fault, or empty.
    case refused(path: String, object: String, problem: String)
    /// The reader crashed, was ended by a limit, or sent something else than records.
    case reader(path: String, problem: String)
    /// An attribute lists a weight or a layer that the file does not hold.
    case missing(path: String, name: String)
    case tensor(path: String, name: String, problem: String)
    /// Keras 3 numbers the variables of such a file instead of naming them.
    case unnamedVariables(path: String)
    case noTensors(path: String)

    public var message: String {
        switch self {
        case .unreadable(let path, let problem): "\(path): \(problem)"
        case .noReader(let path, let program, let problem):
            "\(path): HDF5 is read by the program \(program), which \(problem)"
        case .refused(let path, let object, let problem):
            object.isEmpty
                ? "\(path): \(HDF5ImportError.line(problem))"
                : "\(path): \(object.quotedForMessage) \(HDF5ImportError.line(problem))"
        case .reader(let path, let problem): "\(path): the HDF5 reader \(problem)"
        case .missing(let path, let name): "\(path): lists \(name.quotedForMessage), but does not hold it"
        case .tensor(let path, let name, let problem): "\(path): tensor \(name.quotedForMessage) \(problem)"
        case .unnamedVariables(let path):
            "\(path): is a .weights.h5 file of Keras 3, whose variables have no names; save the model as .h5 instead"
        case .noTensors(let path): "\(path): holds no tensors"
        }
    }

    /// The reader's words, which a damaged reader could choose, without anything but printable characters.
    private static func line(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(300).map { $0.value >= 0x20 && $0.value < 0x7F ? $0 : "?" }))
    }
}
