/// A twelve-lead electrocardiogram as on paper: 25 mm a second, 10 mm a millivolt, three rows of four leads and a rhythm strip.
public struct ECGPlot: Sendable {
    /// Left of the title, such as the record's name.
    public var title: String
    /// Under the title, such as age and sex.
    public var subtitle: String
    public var results: [PlottedResult]
    public var recording: ECGRecording

    public init(_ recording: ECGRecording, title: String, subtitle: String = "", results: [PlottedResult] = []) {
        (self.recording, self.title) = (recording, title)
        (self.subtitle, self.results) = (subtitle, results)
    }

    // Millimetres of paper throughout.
    private static let speed = 25.0
    private static let gain = 10.0
    private static let columnSeconds = 2.5
    private static let rowHeight = 30.0
    private static let margin = 8.0
    private static let pulseWidth = 10.0
    private static let layout = [
        ["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"],
    ]
    private static let rhythmLead = "II"

    private var paperWidth: Double { ECGPlot.pulseWidth + 4 * ECGPlot.columnSeconds * ECGPlot.speed + 5 }
    private var paperHeight: Double { ECGPlot.rowHeight * Double(ECGPlot.layout.count + 1) + 5 }

    /// The picture; one unit is a millimetre.
    public var svg: String {
        let margin = ECGPlot.margin
        let panelHeight = 5.4 * Double(results.count)
        let paperTop = margin + max(14, panelHeight + 4)
        let width = paperWidth + 2 * margin
        var body = SVG.rectangle(0, 0, width, paperTop + paperHeight + 12, fill: "#ffffff")
        body += SVG.text(title, margin, margin + 4.5, size: 5.2, isBold: true)
        body += SVG.text(subtitle, margin, margin + 10.2, size: 3.7, fill: "#5b6b7b")
        body += SVG.panel(results, x: width - margin - 92, y: margin - 1, width: 92, line: 5.4).body
        body += grid(margin, paperTop)
        for (row, leads) in ECGPlot.layout.enumerated() {
            let center = paperTop + ECGPlot.rowHeight * (Double(row) + 0.5) + 2.5
            body += pulse(margin, center)
            for (column, lead) in leads.enumerated() {
                let start = Double(column) * ECGPlot.columnSeconds
                body += trace(lead, from: start, seconds: ECGPlot.columnSeconds, center, isFirst: column == 0)
            }
        }
        let center = paperTop + ECGPlot.rowHeight * (Double(ECGPlot.layout.count) + 0.5) + 2.5
        body += pulse(margin, center)
        body += trace(
            ECGPlot.rhythmLead, from: 0, seconds: 4 * ECGPlot.columnSeconds, center, isFirst: true)
        let foot = paperTop + paperHeight + 5.5
        body += SVG.text(
            "25 mm/s · 10 mm/mV · \(SVG.number(recording.rate)) Hz", margin, foot, size: 3.4, fill: "#5b6b7b")
        body += SVG.text(
            "Not for diagnosis", width - margin, foot, size: 3.4, anchor: "end", fill: "#5b6b7b")
        return SVG.document(width: width, height: paperTop + paperHeight + 10, unit: "mm", body)
    }

    /// Lines every millimetre, stronger ones every five.
    private func grid(_ left: Double, _ top: Double) -> String {
        var (thin, thick) = ("", "")
        for step in 0...Int(paperWidth) {
            let line = "M\(SVG.number(left + Double(step))) \(SVG.number(top))v\(SVG.number(paperHeight))"
            if step % 5 == 0 { thick += line } else { thin += line }
        }
        for step in 0...Int(paperHeight) {
            let line = "M\(SVG.number(left)) \(SVG.number(top + Double(step)))h\(SVG.number(paperWidth))"
            if step % 5 == 0 { thick += line } else { thin += line }
        }
        return SVG.rectangle(left, top, paperWidth, paperHeight, fill: "#fffafa")
            + "<path d=\"\(thin)\" stroke=\"#f8dcdc\" stroke-width=\"0.12\" fill=\"none\"/>\n"
            + "<path d=\"\(thick)\" stroke=\"#eeb4b4\" stroke-width=\"0.22\" fill=\"none\"/>\n"
    }

    /// One millivolt for a fifth of a second.
    private func pulse(_ left: Double, _ center: Double) -> String {
        let points = [(1.5, 0.0), (3, 0), (3, -ECGPlot.gain), (8, -ECGPlot.gain), (8, 0), (9.5, 0)]
        return SVG.polyline(points.map { (left + $0.0, center + $0.1) }, stroke: "#1b1f24", width: 0.28)
    }

    /// A stretch of a lead around `center`, which is the lead's median.
    private func trace(
        _ lead: String, from start: Double, seconds: Double, _ center: Double, isFirst: Bool
    ) -> String {
        let left = ECGPlot.margin + ECGPlot.pulseWidth + start * ECGPlot.speed
        var body = ""
        if !isFirst { body += SVG.line(left, center - 4, left, center + 4, stroke: "#1b1f24", width: 0.25) }
        let name = SVG.text(lead, left + 1.2, center - 11.6, size: 3.6, isBold: true, rim: "#fffafa")
        guard let samples = recording.leadOrDerived(lead) else { return body + name }
        let baseline = ECGPlot.median(samples)
        let limit = ECGPlot.rowHeight * 0.62
        var stretch: [(Double, Double)] = []
        func finish() {
            if stretch.count > 1 { body += SVG.polyline(stretch, stroke: "#1b1f24", width: 0.28) }
            stretch = []
        }
        let first = Int((start * recording.rate).rounded(.up))
        let last = min(samples.count - 1, Int(((start + seconds) * recording.rate).rounded(.down)))
        guard first <= last else { return body + name }
        // Finer than a twentieth of a millimetre no eye sees.
        let step = max(1, Int(recording.rate / 500))
        for index in stride(from: first, through: last, by: step) {
            guard samples[index].isFinite else {
                finish()
                continue
            }
            let height = max(-limit, min(limit, (samples[index] - baseline) * ECGPlot.gain))
            stretch.append((left + (Double(index) / recording.rate - start) * ECGPlot.speed, center - height))
        }
        finish()
        return body + name
    }

    private static func median(_ samples: [Double]) -> Double {
        let sorted = samples.filter(\.isFinite).sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
}
