/// Pieces of SVG pictures as text.
package enum SVG {
    package static let font = "Helvetica Neue, Helvetica, Arial, DejaVu Sans, sans-serif"

    /// A whole document; one unit is a pixel, or what `unit` says.
    package static func document(width: Double, height: Double, unit: String = "", _ body: String) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="\(number(width))\(unit)" \
        height="\(number(height))\(unit)" viewBox="0 0 \(number(width)) \(number(height))" font-family="\(font)">
        \(body)</svg>
        """
    }

    /// At most two digits after the point.
    package static func number(_ value: Double) -> String {
        guard value.isFinite, value.magnitude < 1e12 else { return "0" }
        let cents = Int((value * 100).rounded())
        let (whole, rest) = (abs(cents) / 100, abs(cents) % 100)
        let digits = rest == 0 ? "" : rest % 10 == 0 ? ".\(rest / 10)" : rest < 10 ? ".0\(rest)" : ".\(rest)"
        return (cents < 0 ? "-" : "") + "\(whole)\(digits)"
    }

    /// A share as a percentage with one digit after the point.
    static func percent(_ share: Double) -> String {
        guard share.isFinite else { return "?" }
        let tenths = Int((1000 * max(0, min(1, share))).rounded())
        return "\(tenths / 10).\(tenths % 10) %"
    }

    package static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            // XML has no place for other control characters.
            case "\0"..<" ": result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The start of a text that is too long.
    package static func cut(_ text: String, _ length: Int) -> String {
        text.count <= length ? text : text.prefix(length - 1) + "…"
    }

    package static func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, fill: String, stroke: String? = nil,
        radius: Double = 0
    ) -> String {
        var text =
            "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\" height=\"\(number(height))\" fill=\"\(fill)\""
        if let stroke { text += " stroke=\"\(stroke)\"" }
        if radius > 0 { text += " rx=\"\(number(radius))\"" }
        return text + "/>\n"
    }

    package static func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, stroke: String, width: Double = 1, dashes: String? = nil
    ) -> String {
        var text =
            "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" stroke=\"\(stroke)\""
        text += " stroke-width=\"\(number(width))\""
        if let dashes { text += " stroke-dasharray=\"\(dashes)\"" }
        return text + "/>\n"
    }

    package static func polyline(
        _ points: [(Double, Double)], stroke: String, width: Double, opacity: Double = 1
    ) -> String {
        let list = points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
        var text = "<polyline points=\"\(list)\" fill=\"none\" stroke=\"\(stroke)\" stroke-width=\"\(number(width))\""
        if opacity < 1 { text += " opacity=\"\(number(opacity))\"" }
        return text + " stroke-linejoin=\"round\"/>\n"
    }

    package static func text(
        _ text: String, _ x: Double, _ y: Double, size: Double, anchor: String = "start", fill: String = "#1c2733",
        isBold: Bool = false, turned degrees: Double = 0, rim: String? = nil
    ) -> String {
        var result =
            "<text x=\"\(number(x))\" y=\"\(number(y))\" font-size=\"\(number(size))\" text-anchor=\"\(anchor)\" fill=\"\(fill)\""
        if isBold { result += " font-weight=\"600\"" }
        if let rim { result += " stroke=\"\(rim)\" stroke-width=\"\(number(size / 4))\" paint-order=\"stroke\"" }
        if degrees != 0 { result += " transform=\"rotate(\(number(degrees)) \(number(x)) \(number(y)))\"" }
        return result + ">\(escaped(text))</text>\n"
    }
}
