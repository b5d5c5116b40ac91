import AlulaData
import AlulaTraining
import Foundation

/// Training examples as the model sees them, drawn.
enum TrainingSamples {
    /// The first batch's first examples.
    static func drawn(
        _ batches: BatchMaker, _ preparation: InputPreparation, names: [String]
    ) throws -> [(svg: String, label: String)] {
        guard let indices = batches.batches(epoch: 0).first else { return [] }
        let batch = try batches.batch(indices, epoch: 0, place: 0)
        let shape = preparation.shape
        let count = preparation.isSignal ? 6 : 12
        return zip(batch.inputs, batch.targets).prefix(count).compactMap { input, target in
            let label = TrainingSamples.label(target, names)
            if let picture = preparation.picture(input), let svg = try? embedded(picture) { return (svg, label) }
            return preparation.isSignal ? (signal(input, samples: shape[1], leads: shape[2]), label) : nil
        }
    }

    /// The largest classes of a target, with their shares where there are several.
    private static func label(_ target: [Float], _ names: [String]) -> String {
        let shown = target.indices.filter { target[$0] > 0.15 }.sorted { target[$0] > target[$1] }.prefix(3)
        let areWhole = shown.count == 1 || shown.allSatisfy { target[$0] > 0.99 }
        return shown.map { areWhole ? names[$0] : "\(names[$0]) \(Format.fixed(Double(target[$0]), 2))" }.joined(
            separator: ", ")
    }

    private static func embedded(_ picture: Image) throws -> String {
        let data = Data(try picture.pngData()).base64EncodedString()
        return
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" viewBox=\"0 0 \(picture.width) \(picture.height)\"><image width=\"\(picture.width)\" height=\"\(picture.height)\" style=\"image-rendering:\(picture.width < 96 ? "pixelated" : "auto")\" xlink:href=\"data:image/png;base64,\(data)\"/></svg>"
    }

    /// Leads under one another.
    private static func signal(_ input: [Float], samples: Int, leads: Int) -> String {
        let (width, row) = (360.0, 20.0)
        var body = SVG.rectangle(0, 0, width, row * Double(leads) + 8, fill: "#fffafa", stroke: "#f0d6d6")
        // Finer than a pixel no eye sees.
        let stride = max(1, samples / 720)
        for lead in 0..<leads {
            let middle = row * (Double(lead) + 0.5) + 4
            let points = Swift.stride(from: 0, to: samples, by: stride).map { sample -> (Double, Double) in
                let height = max(-2.5, min(4, Double(input[sample * leads + lead])))
                return (width * Double(sample) / Double(samples), middle - height * row / 7)
            }
            body += SVG.polyline(points, stroke: "#1b1f24", width: 0.7)
        }
        return SVG.document(width: width, height: row * Double(leads) + 8, body)
    }
}
