/// Numbers and tables for people.
enum Format {
    /// `value` with `digits` after the point.
    static func fixed(_ value: Double, _ digits: Int = 2) -> String {
        guard value.isFinite else { return value > 0 ? "inf" : value.isNaN ? "nan" : "-inf" }
        var factor = 1.0
        for _ in 0..<digits { factor *= 10 }
        guard value.magnitude * factor < 9e15 else { return "\(value)" }
        let scaled = Int((value.magnitude * factor).rounded())
        let whole = String(scaled / Int(factor))
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + whole }
        let fraction = String(scaled % Int(factor))
        return sign + whole + "." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// A count with the prefix that keeps it short: `1.31 G`.
    static func count(_ value: Int) -> String {
        switch value {
        case 1_000_000_000...: fixed(Double(value) / 1e9) + " G"
        case 1_000_000...: fixed(Double(value) / 1e6) + " M"
        case 10_000...: fixed(Double(value) / 1e3, 1) + " k"
        default: String(value)
        }
    }

    /// Bytes in powers of 1024.
    static func bytes(_ value: Int) -> String {
        switch value {
        case (1 << 30)...: fixed(Double(value) / Double(1 << 30)) + " GiB"
        case (1 << 20)...: fixed(Double(value) / Double(1 << 20)) + " MiB"
        case (1 << 10)...: fixed(Double(value) / Double(1 << 10), 1) + " KiB"
        default: "\(value) bytes"
        }
    }

    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// Rows in columns; the first column is flushed left, as are those in `leftColumns`.
    static func table(_ rows: [[String]], leftColumns: Set<Int> = [0]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { leftColumns.contains($0) ? left($1, widths[$0]) : right($1, widths[$0]) }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    /// A share between 0 and 1 as a bar.
    static func bar(_ share: Double, width: Int = 24) -> String {
        let eighths = Int((max(0, min(1, share)) * Double(width * 8)).rounded())
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        return String(repeating: "█", count: eighths / 8) + partial
    }
}

extension Array where Element == Double {
    /// The smallest element that at least `share` of all do not exceed (nearest rank); nil when empty.
    func percentile(_ share: Double) -> Double? {
        guard !isEmpty else { return nil }
        let rank = Int((share * Double(count)).rounded(.up))
        return sorted()[Swift.min(count - 1, Swift.max(0, rank - 1))]
    }
}
