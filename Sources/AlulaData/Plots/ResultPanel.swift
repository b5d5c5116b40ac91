/// One line of a result: a class, its probability, and whether it was decided to be there.
public struct PlottedResult: Sendable, Equatable {
    public var label: String
    public var probability: Double
    public var isPositive: Bool

    public init(label: String, probability: Double, isPositive: Bool) {
        (self.label, self.probability, self.isPositive) = (label, probability, isPositive)
    }
}

extension SVG {
    /// Results as bars, one under another; gives the height used.
    static func panel(
        _ results: [PlottedResult], x: Double, y: Double, width: Double, line height: Double
    ) -> (body: String, height: Double) {
        var body = ""
        let (labels, numbers) = (width * 0.42, width * 0.19)
        let size = height * 0.56
        for (index, result) in results.enumerated() {
            let top = y + height * Double(index)
            let baseline = top + height * 0.68
            let color = result.isPositive ? "#b3261e" : "#7d8b99"
            let letters = max(4, Int(labels / (size * 0.56)))
            body += text(
                cut(result.label, letters), x, baseline, size: size, fill: result.isPositive ? "#1c2733" : "#5b6b7b",
                isBold: result.isPositive)
            let (start, full) = (x + labels, width - labels - numbers)
            body += rectangle(start, top + height * 0.24, full, height * 0.5, fill: "#edf0f3", radius: height * 0.12)
            let share = max(0, min(1, result.probability))
            if share * full > 0.3 {
                body += rectangle(
                    start, top + height * 0.24, share * full, height * 0.5, fill: color,
                    radius: min(height * 0.12, share * full / 2))
            }
            body += text(percent(result.probability), x + width, baseline, size: size, anchor: "end", fill: "#1c2733")
        }
        return (body, height * Double(results.count))
    }
}
