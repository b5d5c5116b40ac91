import AlulaKernels

/// The families of kernels: one entry of the C dispatch table each.
enum KernelFamily: Sendable, CaseIterable {
    case convU8S8, depthwiseU8S8, convTransposeU8S8, pairU8, attentionU8, layerNormU8, poolMixerU8, poolU8, meanU8,
        binaryU8, tableU8
    case quantize, dequantize, rangeF32, dynamicQuantize, dynamicLayer
    case convF32, depthwiseF32, convTransposeF32, pairF32, matmulF32, attentionF32, layerNormF32, softmaxF32, affineF32,
        poolMixerF32
    case poolF32, reduceF32, topKF32, resampleF32, resampleU8, unaryF32, binaryF32, selectF32
    case copy, fill, gather
    case weightGradientF32, depthwiseWeightGradientF32, unaryGradientF32, channelSumF32, channelTotalF32
    case channelMomentsF32, channelVarianceF32, batchNormScaleF32, batchNormSumsF32, batchNormFactorsF32
    case batchNormGradientF32, layerNormGradientF32, poolGradientF32, attentionGradientF32

    /// The entry's kernel, or nil if the build lacks it.
    func kernel(in table: alula_kernel_table) -> alula_kernel? {
        switch self {
        case .convU8S8: table.conv_u8s8
        case .depthwiseU8S8: table.depthwise_u8s8
        case .convTransposeU8S8: table.conv_transpose_u8s8
        case .pairU8: table.pair_u8
        case .attentionU8: table.attention_u8
        case .layerNormU8: table.layernorm_u8
        case .poolMixerU8: table.pool_mixer_u8
        case .poolU8: table.pool_u8
        case .meanU8: table.mean_u8
        case .binaryU8: table.binary_u8
        case .tableU8: table.table_u8
        case .quantize: table.quantize
        case .dequantize: table.dequantize
        case .rangeF32: table.range_f32
        case .dynamicQuantize: table.dynamic_quantize
        case .dynamicLayer: table.dynamic_layer
        case .convF32: table.conv_f32
        case .depthwiseF32: table.depthwise_f32
        case .convTransposeF32: table.conv_transpose_f32
        case .pairF32: table.pair_f32
        case .matmulF32: table.matmul_f32
        case .attentionF32: table.attention_f32
        case .layerNormF32: table.layernorm_f32
        case .softmaxF32: table.softmax_f32
        case .affineF32: table.affine_f32
        case .poolMixerF32: table.pool_mixer_f32
        case .poolF32: table.pool_f32
        case .reduceF32: table.reduce_f32
        case .topKF32: table.top_k_f32
        case .resampleF32: table.resample_f32
        case .resampleU8: table.resample_u8
        case .unaryF32: table.unary_f32
        case .binaryF32: table.binary_f32
        case .selectF32: table.select_f32
        case .copy: table.copy
        case .fill: table.fill
        case .gather: table.gather
        case .weightGradientF32: table.weight_gradient_f32
        case .depthwiseWeightGradientF32: table.depthwise_weight_gradient_f32
        case .unaryGradientF32: table.unary_gradient_f32
        case .channelSumF32: table.channel_sum_f32
        case .channelTotalF32: table.channel_total_f32
        case .channelMomentsF32: table.channel_moments_f32
        case .channelVarianceF32: table.channel_variance_f32
        case .batchNormScaleF32: table.batch_norm_scale_f32
        case .batchNormSumsF32: table.batch_norm_sums_f32
        case .batchNormFactorsF32: table.batch_norm_factors_f32
        case .batchNormGradientF32: table.batch_norm_gradient_f32
        case .layerNormGradientF32: table.layernorm_gradient_f32
        case .poolGradientF32: table.pool_gradient_f32
        case .attentionGradientF32: table.attention_gradient_f32
        }
    }

    /// The name in C, without the instruction set.
    var name: String {
        switch self {
        case .convU8S8: "conv_u8s8"
        case .depthwiseU8S8: "depthwise_u8s8"
        case .convTransposeU8S8: "conv_transpose_u8s8"
        case .pairU8: "pair_u8"
        case .attentionU8: "attention_u8"
        case .layerNormU8: "layernorm_u8"
        case .poolMixerU8: "pool_mixer_u8"
        case .poolU8: "pool_u8"
        case .meanU8: "mean_u8"
        case .binaryU8: "binary_u8"
        case .tableU8: "table_u8"
        case .quantize: "quantize"
        case .dequantize: "dequantize"
        case .rangeF32: "range_f32"
        case .dynamicQuantize: "dynamic_quantize"
        case .dynamicLayer: "dynamic_layer"
        case .convF32: "conv_f32"
        case .depthwiseF32: "depthwise_f32"
        case .convTransposeF32: "conv_transpose_f32"
        case .pairF32: "pair_f32"
        case .matmulF32: "matmul_f32"
        case .attentionF32: "attention_f32"
        case .layerNormF32: "layernorm_f32"
        case .softmaxF32: "softmax_f32"
        case .affineF32: "affine_f32"
        case .poolMixerF32: "pool_mixer_f32"
        case .poolF32: "pool_f32"
        case .reduceF32: "reduce_f32"
        case .topKF32: "top_k_f32"
        case .resampleF32: "resample_f32"
        case .resampleU8: "resample_u8"
        case .unaryF32: "unary_f32"
        case .binaryF32: "binary_f32"
        case .selectF32: "select_f32"
        case .copy: "copy"
        case .fill: "fill"
        case .gather: "gather"
        case .weightGradientF32: "weight_gradient_f32"
        case .depthwiseWeightGradientF32: "depthwise_weight_gradient_f32"
        case .unaryGradientF32: "unary_gradient_f32"
        case .channelSumF32: "channel_sum_f32"
        case .channelTotalF32: "channel_total_f32"
        case .channelMomentsF32: "channel_moments_f32"
        case .channelVarianceF32: "channel_variance_f32"
        case .batchNormScaleF32: "batch_norm_scale_f32"
        case .batchNormSumsF32: "batch_norm_sums_f32"
        case .batchNormFactorsF32: "batch_norm_factors_f32"
        case .batchNormGradientF32: "batch_norm_gradient_f32"
        case .layerNormGradientF32: "layernorm_gradient_f32"
        case .poolGradientF32: "pool_gradient_f32"
        case .attentionGradientF32: "attention_gradient_f32"
        }
    }

    /// The lowest instruction set whose entry is the one that `set`'s table holds: what the kernel was really written
    /// for.
    func implementation(for set: InstructionSet) -> InstructionSet {
        guard let chosen = address(in: set) else { return set }
        return InstructionSet.allCases.first { address(in: $0) == chosen } ?? set
    }

    private func address(in set: InstructionSet) -> UInt? {
        guard let kernel = set.kernels.flatMap({ kernel(in: $0.pointee) }) else { return nil }
        return unsafeBitCast(kernel, to: UInt.self)
    }
}
