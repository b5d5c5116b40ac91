import AlulaData

extension ImagePreprocessor {
    /// What a model gets that came without preprocessing: pictures of its size, ImageNet statistics.
    static func standard(height: Int, width: Int) throws -> ImagePreprocessor {
        let published = try ImagePreprocessor(huggingFace: Array("{}".utf8))
        return try ImagePreprocessor(
            resize: .exact(width: width, height: height), filter: published.filter,
            crop: .init(width: width, height: height), rescale: published.rescale, mean: published.mean,
            deviation: published.deviation)
    }
}

extension SignalPreprocessor {
    /// What a model of ECGs gets that came without preprocessing: 0.5-40 Hz, every lead normalized. The leads are the twelve,
    /// or the reduced sets of the PhysioNet Challenge 2021; nil where that names none for as many leads.
    static func standard(leads: Int, length: Int, rate: Double = 100) -> SignalPreprocessor? {
        let names: [Int: [String]] = [
            1: ["I"], 2: ["I", "II"], 3: ["I", "II", "V2"], 4: ["I", "II", "III", "V2"],
            6: Array(ECGRecording.twelveLeads.prefix(6)), 8: ["I", "II"] + ECGRecording.twelveLeads.suffix(6),
            12: ECGRecording.twelveLeads,
        ]
        // Half the rate bounds the band.
        return names[leads].flatMap {
            try? SignalPreprocessor(leads: $0, rate: rate, length: length, lowPass: rate > 80 ? 40 : nil)
        }
    }
}
