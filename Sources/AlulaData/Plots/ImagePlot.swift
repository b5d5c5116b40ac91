import Foundation

/// A picture with what a model says it shows.
public struct ImagePlot: Sendable {
    public var image: Image
    public var title: String
    public var results: [PlottedResult]

    public init(_ image: Image, title: String, results: [PlottedResult]) {
        (self.image, self.title, self.results) = (image, title, results)
    }

    /// Longest side of the picture as it is embedded, in pixels.
    private static let longestSide = 480

    public func svg() throws(ImageError) -> String {
        let long = max(image.width, image.height)
        let scale = min(1, Double(ImagePlot.longestSide) / Double(long))
        let picture = try image.resized(
            width: max(1, Int((Double(image.width) * scale).rounded())),
            height: max(1, Int((Double(image.height) * scale).rounded())), filter: .lanczos)
        // Small pictures, such as CIFAR's, are shown enlarged.
        let zoom = max(1, (240 / Double(max(picture.width, picture.height))).rounded(.down))
        let (width, height) = (Double(picture.width) * zoom, Double(picture.height) * zoom)
        let (margin, panelWidth) = (20.0, 320.0)
        let panel = SVG.panel(results, x: 2 * margin + width, y: margin + 34, width: panelWidth, line: 28)
        let total = max(height, panel.height + 40) + 2 * margin
        let wide = width + panelWidth + 3 * margin
        var body = SVG.rectangle(0, 0, wide, total, fill: "#ffffff")
        body += "<image x=\"\(SVG.number(margin))\" y=\"\(SVG.number(margin))\" width=\"\(SVG.number(width))\" "
        body += "height=\"\(SVG.number(height))\" style=\"image-rendering:\(zoom > 1 ? "pixelated" : "auto")\" "
        body += "xlink:href=\"data:image/png;base64,\(Data(try picture.pngData()).base64EncodedString())\"/>\n"
        body += SVG.text(SVG.cut(title, 36), 2 * margin + width, margin + 16, size: 17, isBold: true)
        return SVG.document(width: wide, height: total, body + panel.body)
    }
}
