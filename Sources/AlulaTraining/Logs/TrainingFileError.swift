/// A file of a training run that cannot be used: which, and why.
package struct TrainingFileError: Error, Equatable, Sendable {
    package var path: String
    package var cause: String

    package init(_ path: String, _ cause: String) { (self.path, self.cause) = (path, cause) }
}
