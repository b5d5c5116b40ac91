import AlulaData
import AlulaTraining

/// A training run as one HTML file that needs no other.
struct TrainingPage {
    var title: String
    /// What was trained, on what and how, as rows of name and value.
    var facts: [(String, String)]
    var history: [EpochRecord]
    var bestEpoch: Int
    /// Names and numbers of the best model's confusion; empty where nothing was measured.
    var confusion: (names: [String], counts: [Int], supports: [Int])?
    /// Training examples as they were shown to the model: a picture or curve each, with its classes.
    var samples: [(svg: String, label: String)]
    /// Whether examples are recordings, which need more room than pictures.
    var areSignals: Bool
    var recipe: [(String, String)]

    var text: String {
        var body = "<h1>\(SVG.escaped(title))</h1>\n" + summary + factTable
        body += "<div class=\"plots\">\n" + plots + "</div>\n"
        if !samples.isEmpty {
            body +=
                "<h2>Training examples</h2>\n<p class=\"sub\">As the model saw them in the first epoch, changed as the recipe says.</p>\n"
            body += "<div class=\"samples\(areSignals ? " long" : "")\">\n"
            for sample in samples {
                body += "<figure>\(sample.svg)<figcaption>\(SVG.escaped(sample.label))</figcaption></figure>\n"
            }
            body += "</div>\n"
        }
        if let confusion {
            body += "<h2>Confusion of the best epoch</h2>\n<figure class=\"wide\">"
            body += ConfusionPlot(names: confusion.names, counts: confusion.counts, supports: confusion.supports).svg
            body += "<figcaption>Validation data. Rows are true classes, columns decided ones.</figcaption></figure>\n"
        }
        body += "<h2>Epochs</h2>\n" + epochTable
        body += "<h2>Recipe</h2>\n<table class=\"facts\">\n" + recipe.map { row([$0.0, $0.1]) }.joined() + "</table>\n"
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(SVG.escaped(title))</title>
            <style>
            body { font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1c2733; margin: 2.5rem auto; max-width: 72rem; padding: 0 1.5rem; }
            h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; } .sub { color: #5b6b7b; margin: .2rem 0 .8rem; }
            table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
            th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e3e8ee; } th { font-weight: 600; color: #5b6b7b; }
            th:first-child, td:first-child { text-align: left; padding-left: 0; } tr.best td { font-weight: 600; background: #eef5fb; }
            table.facts td { text-align: left; } table.facts td:first-child { color: #5b6b7b; }
            .plots { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; margin-top: 1.5rem; } figure { margin: 0; }
            .plots figure { flex: 1 1 26rem; max-width: 38rem; } figure svg { width: 100%; height: auto; } figcaption { color: #5b6b7b; font-size: .85rem; }
            .samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 1rem; } .samples.long { grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
            figure.wide svg { width: auto; max-width: 100%; }
            </style></head><body>
            \(body)</body></html>

            """
    }

    private var summary: String {
        guard let best = history.first(where: { $0.epoch == bestEpoch }) else { return "" }
        let figures = best.figures.map { "\(TrainingPage.name($0.key)) \(TrainingPage.value($0.key, $0.value))" }
        return "<p class=\"sub\">Best of \(history.count) epochs: \(bestEpoch). "
            + SVG.escaped(figures.joined(separator: ", ")) + "</p>\n"
    }

    private var factTable: String {
        "<table class=\"facts\">\n" + facts.map { row([$0.0, $0.1]) }.joined() + "</table>\n"
    }

    private var plots: String {
        func curve(_ name: String, _ color: String, _ value: (EpochRecord) -> Double?) -> CurvePlot.Curve {
            CurvePlot.Curve(
                name, color: color,
                history.compactMap { record in value(record).map { (Double(record.epoch), $0) } })
        }
        func figure(_ caption: String, _ plot: CurvePlot) -> String {
            "<figure>\(plot.svg)<figcaption>\(caption)</figcaption></figure>\n"
        }
        let marked = Double(bestEpoch)
        var text = figure(
            "Loss. With smoothing, mixing or other changes the training loss is of harder examples.",
            CurvePlot(
                [
                    curve("training", "#be3e30") { $0.trainLoss }, curve("validation", "#1e5e96") { $0.validationLoss },
                ], xTitle: "epoch", marked: marked))
        let colors = ["#1e5e96", "#2f8f5b", "#b07d12", "#7a4fa3", "#0f8a9d"]
        var shares = (history.first?.figures ?? []).enumerated().map { index, shown in
            curve(TrainingPage.name(shown.key), colors[index % colors.count]) { $0[shown.key] }
        }
        if history.contains(where: { $0.trainAccuracy != nil }) {
            shares.append(curve("training accuracy", "#be3e30") { $0.trainAccuracy })
        }
        text += figure(
            "Figures of the validation data; training accuracy is of changed examples.",
            CurvePlot(shares, xTitle: "epoch", marked: marked, isPercent: history.first?["accuracy"] != nil))
        text += figure(
            "Learning rate at the end of each epoch.",
            CurvePlot([curve("learning rate", "#7a4fa3") { $0.rate }], xTitle: "epoch", marked: marked))
        return text
            + figure(
                "Training examples a second.",
                CurvePlot([curve("examples / s", "#5f6b2a") { $0.examplesPerSecond }], xTitle: "epoch"))
    }

    private var epochTable: String {
        let keys = history.first?.figures.map(\.key) ?? []
        let header =
            ["epoch", "rate", "train loss"] + (history.first?.trainAccuracy == nil ? [] : ["train accuracy"])
            + ["val loss"] + keys.map(TrainingPage.name) + ["seconds"]
        var text = "<table>\n<tr>" + header.map { "<th>\(SVG.escaped($0))</th>" }.joined() + "</tr>\n"
        for record in history {
            var cells = [String(record.epoch), TrainingPage.rate(record.rate), Format.fixed(record.trainLoss, 4)]
            if let accuracy = record.trainAccuracy { cells.append(TrainingPage.value("accuracy", accuracy)) }
            cells.append(record.validationLoss.map { Format.fixed($0, 4) } ?? "-")
            cells += record.figures.map { TrainingPage.value($0.key, $0.value) }
            cells.append(Format.fixed(record.seconds, 1))
            text += row(cells, style: record.epoch == bestEpoch ? "best" : nil)
        }
        return text + "</table>\n"
    }

    private func row(_ cells: [String], style: String? = nil) -> String {
        "<tr\(style.map { " class=\"\($0)\"" } ?? "")>" + cells.map { "<td>\(SVG.escaped($0))</td>" }.joined()
            + "</tr>\n"
    }

    static func name(_ key: String) -> String {
        [
            "accuracy": "accuracy", "top5": "top 5", "macro_f1": "macro F1", "macro_auroc": "macro AUROC",
            "macro_ap": "macro AP",
        ][key] ?? key
    }

    static func value(_ key: String, _ value: Double) -> String {
        ["accuracy", "top5"].contains(key) ? Format.fixed(100 * value, 2) + " %" : Format.fixed(value, 4)
    }

    /// Three digits, whatever the size.
    static func rate(_ rate: Double) -> String {
        guard rate > 0 else { return "0" }
        var (mantissa, exponent) = (rate, 0)
        while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        return exponent >= -2 && exponent < 3
            ? Format.fixed(rate, 2 - exponent) : Format.fixed(mantissa, 2) + "e\(exponent)"
    }
}
