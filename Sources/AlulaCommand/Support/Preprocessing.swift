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
