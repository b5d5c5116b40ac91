// Every kernel of every instruction set, for dispatch.c.
#pragma once
#include "alula_kernels.h"
#include "arm.h"

#define ALULA_HIDDEN __attribute__((visibility("hidden")))
#define ALULA_DECLARE(family, isa) ALULA_HIDDEN void alula_##family##_##isa(const void *args, size_t begin, size_t end, void *scratch);

// Families that have a scalar and an AVX2 version; table_u8 and the wide ones have one for AVX-512 too.
#define ALULA_GENERAL_FAMILIES(X, isa) ALULA_GENERAL_FAMILIES_WITHOUT_TABLE(X, isa) X(table_u8, isa)
#define ALULA_GENERAL_FAMILIES_WITHOUT_TABLE(X, isa) ALULA_NARROW_FAMILIES(X, isa) ALULA_WIDE_FAMILIES(X, isa)
#define ALULA_WIDE_FAMILIES(X, isa) X(attention_u8, isa) X(layernorm_u8, isa) X(unary_f32, isa) X(affine_f32, isa)
#define ALULA_NARROW_FAMILIES(X, isa) \
    X(pool_mixer_u8, isa) X(pool_u8, isa) X(mean_u8, isa) X(binary_u8, isa) \
    X(quantize, isa) X(dequantize, isa) X(range_f32, isa) X(dynamic_quantize, isa) X(dynamic_layer, isa) \
    X(matmul_f32, isa) X(attention_f32, isa) X(layernorm_f32, isa) X(softmax_f32, isa) \
    X(pool_mixer_f32, isa) X(pool_f32, isa) X(reduce_f32, isa) X(top_k_f32, isa) \
    X(resample_f32, isa) X(resample_u8, isa) X(binary_f32, isa) X(select_f32, isa) X(copy, isa) X(fill, isa) X(gather, isa)

// Families of training: vectors of the compiler's own; the weights' gradients are written in vectors.
#define ALULA_GRADIENT_FAMILIES(X, isa) \
    X(unary_gradient_f32, isa) X(channel_sum_f32, isa) X(channel_total_f32, isa) X(channel_moments_f32, isa) X(channel_variance_f32, isa) \
    X(batch_norm_scale_f32, isa) X(batch_norm_sums_f32, isa) X(batch_norm_factors_f32, isa) X(batch_norm_gradient_f32, isa) \
    X(layernorm_gradient_f32, isa) X(pool_gradient_f32, isa) X(attention_gradient_f32, isa) X(weight_gradient_f32, isa) \
    X(depthwise_weight_gradient_f32, isa)

ALULA_GENERAL_FAMILIES(ALULA_DECLARE, scalar)
ALULA_GRADIENT_FAMILIES(ALULA_DECLARE, scalar)
#if defined(__x86_64__)
ALULA_GENERAL_FAMILIES(ALULA_DECLARE, avx2)
ALULA_WIDE_FAMILIES(ALULA_DECLARE, avx512vnni)
ALULA_GRADIENT_FAMILIES(ALULA_DECLARE, avx2)
ALULA_GRADIENT_FAMILIES(ALULA_DECLARE, avx512)
ALULA_DECLARE(table_u8, avx512vnni)
#endif
#if ALULA_ARM64
ALULA_DECLARE(table_u8, neon)
#endif
