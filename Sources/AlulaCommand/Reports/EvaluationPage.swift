import AlulaData

/// The results of `alula evaluate` as one HTML file that needs no other.
struct EvaluationPage {
    var title: String
    var data: String
    var samples: Int
    var results: [EvaluationResult]

    var text: String {
        let first = results[0]
        var body =
            "<h1>\(SVG.escaped(fileName(title)))</h1>\n<p class=\"sub\">\(samples) samples of \(SVG.escaped(data))</p>\n"
        body += figures
        let isMultiLabel = first.single == nil
        let caption =
            isMultiLabel
            ? "Rows are true classes, columns decided ones; a sample counts in every cell of its classes."
            : "Rows are true classes, columns decided ones."
        body +=
            "<div class=\"plots\">\n<figure>\(ConfusionPlot(names: first.names, counts: first.confusion, supports: first.counts.map(\.support)).svg)"
        body += "<figcaption>Confusion. \(caption)</figcaption></figure>\n"
        body +=
            "<figure>\(ROCPlot(first).svg)<figcaption>Receiver operating characteristic, each class against the others.</figcaption></figure>\n</div>\n"
        body +=
            "<h2>Classes</h2>\n"
            + EvaluationPage.table(
                EvaluationResult.classHeader(isMultiLabel), first.classRows)
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(SVG.escaped(fileName(title)))</title>
            <style>
            body { font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1c2733; margin: 2.5rem auto; max-width: 72rem; padding: 0 1.5rem; }
            h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin-top: 2.2rem; } .sub { color: #5b6b7b; margin-top: .2rem; }
            table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
            th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e3e8ee; } th { font-weight: 600; color: #5b6b7b; }
            th:first-child, td:first-child { text-align: left; padding-left: 0; }
            .plots { display: flex; flex-wrap: wrap; gap: 2rem; margin-top: 1.5rem; } figure { margin: 0; flex: 1 1 26rem; }
            figure svg { width: 100%; height: auto; } figcaption { color: #5b6b7b; font-size: .85rem; }
            </style></head><body>
            \(body)</body></html>

            """
    }

    private func fileName(_ path: String) -> String {
        String(path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...])
    }

    /// A row a figure, a column a model.
    private var figures: String {
        let rows = results[0].figures.indices.map { index in
            [results[0].figures[index].name]
                + results.map { result in
                    let figure = result.figures[index]
                    return figure.isShare ? Format.fixed(100 * figure.value, 2) + " %" : Format.fixed(figure.value, 4)
                }
        }
        return EvaluationPage.table([""] + results.map { fileName($0.model) }, rows)
    }

    private static func table(_ header: [String], _ rows: [[String]]) -> String {
        func row(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\(SVG.escaped($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        return "<table>\n" + row(header, "th") + rows.map { row($0, "td") }.joined() + "</table>\n"
    }
}

/// A confusion matrix as a picture: each row's shares, darker where larger.
struct ConfusionPlot {
    var names: [String]
    var counts: [Int]
    /// Samples of each row.
    var supports: [Int]

    var svg: String {
        let count = names.count
        let cell = max(3, min(44, 520 / Double(max(1, count))))
        let isLabelled = cell >= 9
        let margin: Double = isLabelled ? min(170, 16 + 7.4 * Double(names.map { min(22, $0.count) }.max() ?? 0)) : 12
        let side = cell * Double(count)
        var body = ""
        for row in 0..<count {
            for column in 0..<count where counts[row * count + column] > 0 {
                let share = Double(counts[row * count + column]) / Double(max(1, supports[row]))
                let (x, y) = (margin + cell * Double(column), margin + cell * Double(row))
                body += SVG.rectangle(x, y, cell, cell, fill: ConfusionPlot.color(share, isRight: row == column))
                guard cell >= 22 else { continue }
                body += SVG.text(
                    String(counts[row * count + column]), x + cell / 2, y + cell / 2 + 4, size: 11, anchor: "middle",
                    fill: share > 0.55 ? "#fff" : "#1c2733")
            }
        }
        body += SVG.rectangle(margin, margin, side, side, fill: "none", stroke: "#9aa8b5")
        if isLabelled {
            for (index, name) in names.enumerated() {
                let center = margin + cell * (Double(index) + 0.5)
                let size = min(11, cell * 0.9)
                body += SVG.text(SVG.cut(name, 22), margin - 6, center + 4, size: size, anchor: "end")
                body += SVG.text(
                    SVG.cut(name, 22), center + 4, margin - 6, size: size, anchor: "start",
                    turned: -90)
            }
        }
        return SVG.document(width: margin + side + 8, height: margin + side + 8, body)
    }

    /// White to blue for right decisions, white to red for wrong ones.
    private static func color(_ share: Double, isRight: Bool) -> String {
        let depth = max(0.06, min(1, share)).squareRoot()
        let end: (Double, Double, Double) = isRight ? (30.0, 94, 150) : (190.0, 62, 48)
        func mix(_ value: Double) -> Int { Int((255 + (value - 255) * depth).rounded()) }
        return "rgb(\(mix(end.0)),\(mix(end.1)),\(mix(end.2)))"
    }
}

/// Curves of true against false positives, one a class, with the largest classes named.
struct ROCPlot {
    private let curves: [(name: String, area: Double, points: [(Double, Double)])]

    init(_ result: EvaluationResult) {
        let areas = result.multiple.areasUnderROC
        curves = result.names.indices.compactMap { index in
            guard let area = areas[index] else { return nil }
            let points = RankMetrics.curve(result.multiple.scores[index], result.multiple.labels[index])
            guard let end = points.last else { return nil }
            return (
                result.names[index], area,
                points.map {
                    (
                        Double($0.falsePositives) / Double(end.falsePositives),
                        Double($0.truePositives) / Double(end.truePositives)
                    )
                }
            )
        }
    }

    private static let colors = [
        "#1e5e96", "#be3e30", "#2f8f5b", "#b07d12", "#7a4fa3", "#0f8a9d", "#c2577f", "#5f6b2a", "#8a5a3c", "#444f5a",
    ]

    var svg: String {
        let (left, top, side) = (52.0, 14.0, 420.0)
        var body = ""
        for tick in 0...5 {
            let share = Double(tick) / 5
            let (x, y) = (left + side * share, top + side * (1 - share))
            body +=
                SVG.line(left, y, left + side, y, stroke: "#e3e8ee")
                + SVG.line(x, top, x, top + side, stroke: "#e3e8ee")
            body += SVG.text(Format.fixed(share, 1), left - 8, y + 4, size: 11, anchor: "end", fill: "#5b6b7b")
            body += SVG.text(Format.fixed(share, 1), x, top + side + 17, size: 11, anchor: "middle", fill: "#5b6b7b")
        }
        body += SVG.line(left, top + side, left + side, top, stroke: "#9aa8b5", dashes: "4 4")
        let isCrowded = curves.count > ROCPlot.colors.count
        var legend = ""
        for (index, curve) in curves.enumerated() {
            let points = curve.points.map { (left + side * $0.0, top + side * (1 - $0.1)) }
            let color = isCrowded ? "#1e5e96" : ROCPlot.colors[index]
            body += SVG.polyline(points, stroke: color, width: isCrowded ? 0.8 : 1.8, opacity: isCrowded ? 0.35 : 1)
            guard !isCrowded else { continue }
            let y = top + side - 17 * Double(curves.count - index)
            legend += SVG.line(left + side - 186, y, left + side - 164, y, stroke: color, width: 2.5)
            legend += SVG.text(SVG.cut(curve.name, 16), left + side - 158, y + 4, size: 12)
            legend += SVG.text(Format.fixed(curve.area, 3), left + side - 14, y + 4, size: 12, anchor: "end")
        }
        if !legend.isEmpty {
            let height = 17 * Double(curves.count) + 8
            body += SVG.rectangle(
                left + side - 194, top + side - height - 8, 188, height, fill: "rgba(255,255,255,0.85)",
                stroke: "#e3e8ee",
                radius: 4)
        }
        body += legend
        body += SVG.text(
            "false positive rate", left + side / 2, top + side + 36, size: 12, anchor: "middle", fill: "#5b6b7b")
        body += SVG.text(
            "true positive rate", 14, top + side / 2, size: 12, anchor: "middle", fill: "#5b6b7b", turned: -90)
        return SVG.document(width: left + side + 12, height: top + side + 44, body)
    }
}
