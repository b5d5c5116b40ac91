// Requantization, table, residual and stores of int8 tiles up to 6x16, for the kernels with 256-bit registers.
#pragma once
#if defined(__x86_64__)
#include "avx2_internal.h"

// A panel of 16 output channels (the last may have less) and where its results go.
typedef struct {
    const alula_conv_u8s8_args *args;
    const int32_t *bias;
    const float *multiplier;
    size_t column, count;         // first output column and number of columns of the panel
} alula_target;

// t of 8 channels.
ALULA_AVX2_INLINE __m256 alula_scaled_avx2(const alula_target *p, __m256i sum, size_t lane, size_t at, int with_residual) {
    const alula_conv_u8s8_args *a = p->args;
    __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(p->multiplier + lane));
    if (with_residual) {
        const __m128i bytes = _mm_loadl_epi64((const __m128i *)(a->residual + at + lane));
        const __m256i r = _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(a->residual_zero));
        t = _mm256_add_ps(t, _mm256_mul_ps(_mm256_cvtepi32_ps(r), _mm256_set1_ps(a->residual_multiplier)));
    }
    return t;
}

// Requantizes and stores `rows` rows of a tile, two rows a step so that clamps and lookups work on 32 bytes.
ALULA_AVX2_INLINE void alula_finish_avx2(const alula_target *p, size_t row, const __m256i sum[6][2], const int rows, int with_residual) {
    const alula_conv_u8s8_args *a = p->args;
    const size_t stride = (size_t)a->window.out_c, at = row * stride + p->column;
    if (a->output_f32) {
        ALULA_UNROLL for (int r = 0; r < rows; r++) {
            const size_t to = at + (size_t)r * stride;
            alula_store_floats(a->output_f32 + to, alula_scaled_avx2(p, sum[r][0], 0, to, with_residual), alula_min(p->count, 8));
            if (p->count > 8) alula_store_floats(a->output_f32 + to + 8, alula_scaled_avx2(p, sum[r][1], 8, to, with_residual), p->count - 8);
        }
        return;
    }
    const __m256i zero = _mm256_set1_epi16((int16_t)a->zero);
    const __m256i low = _mm256_set1_epi8((int8_t)a->low), high = _mm256_set1_epi8((int8_t)a->high);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    ALULA_UNROLL for (int r = 0; r < rows; r += 2) {
        const int s = r + 1 < rows ? r + 1 : r;
        const size_t to = at + (size_t)r * stride, to2 = at + (size_t)s * stride;
        const __m256i first = _mm256_packs_epi32(alula_round_avx2(alula_scaled_avx2(p, sum[r][0], 0, to, with_residual)),
                                                 alula_round_avx2(alula_scaled_avx2(p, sum[r][1], 8, to, with_residual)));
        __m256i second = first;
        if (s != r) {
            second = _mm256_packs_epi32(alula_round_avx2(alula_scaled_avx2(p, sum[s][0], 0, to2, with_residual)),
                                        alula_round_avx2(alula_scaled_avx2(p, sum[s][1], 8, to2, with_residual)));
        }
        // Saturation at +-32767 before and after adding the zero point changes no clamped byte.
        __m256i q = _mm256_packus_epi16(_mm256_adds_epi16(first, zero), _mm256_adds_epi16(second, zero));
        q = _mm256_min_epu8(_mm256_max_epu8(q, low), high);
        q = _mm256_permutevar8x32_epi32(q, in_order);
        if (a->table) q = alula_lookup_avx2(a->table, q);
        alula_store_bytes(a->output + to, _mm256_castsi256_si128(q), p->count);
        if (s != r) alula_store_bytes(a->output + to2, _mm256_extracti128_si256(q, 1), p->count);
    }
}
#endif
