import AlulaData
import AlulaGraph
import Foundation

/// `metrics.jsonl`: one JSON object an epoch, one a line.
package struct MetricsLog {
    private let path: String
    private let handle: FileHandle

    /// Starts the file with the epochs that are done already: a run that goes on shows each epoch once.
    package init(_ path: String, history: [EpochRecord]) throws {
        self.path = path
        let text = history.map { MetricsLog.line($0) }.joined()
        do throws(SystemError) { try AtomicFile.write(Array(text.utf8), to: path) } catch {
            throw TrainingFileError(path, error.message)
        }
        do {
            handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try handle.seekToEnd()
        } catch { throw TrainingFileError(path, "cannot be written") }
    }

    package func add(_ record: EpochRecord) throws {
        do { try handle.write(contentsOf: Data(MetricsLog.line(record).utf8)) } catch {
            throw TrainingFileError(path, "cannot be written")
        }
    }

    package func close() { try? handle.close() }

    private static func line(_ record: EpochRecord) -> String { JSON.object(record.json).text + "\n" }
}
