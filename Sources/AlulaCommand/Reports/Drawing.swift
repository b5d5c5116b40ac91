import AlulaData
import AlulaGraph

/// An input as a picture, with what a model says about it.
struct Drawing {
    var path: String
    var results: [PlottedResult]

    func svg() throws -> String {
        let cut = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let name = String(path[cut...])
        if !path.hasSuffix(".hea"), let bytes = try? Bytes(mapping: path) {
            guard [.png, .jpeg].contains(FileKind(bytes)) else {
                throw Failure(nil, "is no picture or recording, and cannot be drawn")
            }
            return try ImagePlot(Image(contentsOf: path), title: name, results: results).svg()
        }
        let record = try WFDBRecord(contentsOf: path)
        let facts = ["Age", "Sex", "Rhythm"].compactMap { key in record.header.comment(key).map { "\(key) \($0)" } }
        let title = name.hasSuffix(".hea") ? String(name.dropLast(4)) : name
        return ECGPlot(
            ECGRecording(record), title: title, subtitle: facts.joined(separator: " · "), results: results
        ).svg
    }
}
