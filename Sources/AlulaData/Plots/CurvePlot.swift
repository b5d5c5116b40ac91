import Foundation

/// Curves over whole numbers such as epochs, with axes.
package struct CurvePlot {
    package struct Curve {
        package var name: String
        package var color: String
        package var points: [(x: Double, y: Double)]

        package init(_ name: String, color: String, _ points: [(x: Double, y: Double)]) {
            (self.name, self.color, self.points) = (name, color, points)
        }
    }

    package var curves: [Curve]
    package var xTitle: String
    /// A point to mark, such as the best epoch.
    package var marked: Double?
    /// How values are written at the axis.
    package var isPercent: Bool

    package init(_ curves: [Curve], xTitle: String, marked: Double? = nil, isPercent: Bool = false) {
        self.curves = curves.map { curve in
            var curve = curve
            curve.points = curve.points.filter { $0.x.isFinite && $0.y.isFinite }
            return curve
        }
        (self.xTitle, self.marked, self.isPercent) = (xTitle, marked, isPercent)
    }

    package var svg: String {
        let (left, top, width, height) = (62.0, 30.0, 470.0, 250.0)
        let points = curves.flatMap(\.points)
        guard let first = points.first else { return SVG.document(width: left + width, height: 60, "") }
        var (x0, x1) = points.reduce((first.x, first.x)) { (min($0.0, $1.x), max($0.1, $1.x)) }
        let (low, high) = points.reduce((first.y, first.y)) { (min($0.0, $1.y), max($0.1, $1.y)) }
        if x1 == x0 { (x0, x1) = (x0 - 0.5, x1 + 0.5) }
        let (y0, y1, ticks) = CurvePlot.axis(low, high)
        func place(_ x: Double, _ y: Double) -> (Double, Double) {
            (left + width * (x - x0) / (x1 - x0), top + height * (1 - (y - y0) / (y1 - y0)))
        }
        var body = ""
        for tick in ticks {
            let y = place(x0, tick).1
            body += SVG.line(left, y, left + width, y, stroke: "#e3e8ee")
            body += SVG.text(text(tick, step: ticks), left - 8, y + 4, size: 11, anchor: "end", fill: "#5b6b7b")
        }
        for tick in CurvePlot.wholeTicks(x0, x1) {
            let x = place(tick, y0).0
            body += SVG.line(x, top + height, x, top + height + 4, stroke: "#9aa8b5")
            body += SVG.text(
                String(Int(tick)), x, top + height + 17, size: 11, anchor: "middle", fill: "#5b6b7b")
        }
        if let marked, marked >= x0, marked <= x1 {
            let x = place(marked, y0).0
            body += SVG.line(x, top, x, top + height, stroke: "#9aa8b5", dashes: "3 4")
        }
        body += SVG.line(left, top + height, left + width, top + height, stroke: "#9aa8b5")
        for curve in curves {
            let line = curve.points.map { place($0.x, $0.y) }
            if line.count > 1 {
                body += SVG.polyline(line, stroke: curve.color, width: 2)
            }
            if line.count < 40 {
                for (x, y) in line {
                    body += SVG.rectangle(x - 2.2, y - 2.2, 4.4, 4.4, fill: curve.color, radius: 2.2)
                }
            }
        }
        body += legend(left, width)
        body += SVG.text(xTitle, left + width / 2, top + height + 36, size: 12, anchor: "middle", fill: "#5b6b7b")
        return SVG.document(width: left + width + 16, height: top + height + 44, body)
    }

    private func legend(_ left: Double, _ width: Double) -> String {
        var (body, x) = ("", left)
        for curve in curves {
            body += SVG.rectangle(x, 9, 16, 4, fill: curve.color, radius: 2)
            body += SVG.text(curve.name, x + 22, 15, size: 12)
            x += 22 + 7.2 * Double(curve.name.count) + 22
        }
        return body
    }

    /// Round ends and steps for an axis.
    static func axis(_ low: Double, _ high: Double) -> (low: Double, high: Double, ticks: [Double]) {
        let span = high > low ? high - low : max(abs(high), 1e-12)
        let rough = span / 5
        let power = pow(10, floor(log10(rough)))
        let step = [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? 10 * power
        let start = (low / step).rounded(.down)
        let end = max((high / step).rounded(.up), start + 1)
        let ticks = stride(from: start, through: end, by: 1).map { $0 * step }
        return (start * step, end * step, ticks)
    }

    /// At most a dozen whole numbers, evenly apart.
    static func wholeTicks(_ low: Double, _ high: Double) -> [Double] {
        let (first, last) = (low.rounded(.up), high.rounded(.down))
        guard first <= last else { return [] }
        let steps: [Double] = (0..<9).flatMap { power in [1, 2, 5].map { $0 * pow(10, Double(power)) } }
        let step = steps.first { (last - first) / $0 <= 11 } ?? last - first
        return stride(from: (first / step).rounded(.up) * step, through: last, by: step).map { $0 }
    }

    private func text(_ value: Double, step ticks: [Double]) -> String {
        let step = ticks.count > 1 ? ticks[1] - ticks[0] : 1
        if isPercent {
            return String(format: step < 0.01 ? "%.1f %%" : "%.0f %%", 100 * value)
        }
        if abs(value) < step / 2 { return "0" }
        if max(abs(ticks[0]), abs(ticks[ticks.count - 1])) < 1e-3 { return String(format: "%.1e", value) }
        let digits = max(0, Int((-log10(step) + 0.31).rounded(.up)))
        return String(format: "%.\(min(digits, 8))f", value)
    }
}
