// add_u8 and quantize: plain streams, 16 bytes at a time. The last block computes on bytes beyond the end and stores only its own.
#pragma STDC FP_CONTRACT OFF
#include "kernels_internal.h"
#include "requantize_avx2.h"

#if defined(__x86_64__)
ALULA_TARGET_AVX2 void alula_add_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_add_u8_args *p = args;
    __m256 a_zero = alula_offset_f32(p->a_zero), b_zero = alula_offset_f32(p->b_zero);
    __m256 a_multiplier = _mm256_set1_ps(p->a_multiplier), b_multiplier = _mm256_set1_ps(p->b_multiplier);
    __m256i zero = _mm256_set1_epi16((int16_t)p->zero);
    __m128i low = _mm_set1_epi8((char)p->low), high = _mm_set1_epi8((char)p->high);
    const uint8_t *a_bytes = p->a, *b_bytes = p->b;
    uint8_t *out = p->output;
    for (size_t i = begin; i < end; i += 16) {
        alula_split_f32 a = alula_split_f32_of_u16(alula_u16_of_16_bytes(a_bytes + i), a_zero);
        alula_split_f32 b = alula_split_f32_of_u16(alula_u16_of_16_bytes(b_bytes + i), b_zero);
        alula_split_f32 t = {_mm256_add_ps(_mm256_mul_ps(a.first, a_multiplier), _mm256_mul_ps(b.first, b_multiplier)),
                             _mm256_add_ps(_mm256_mul_ps(a.second, a_multiplier), _mm256_mul_ps(b.second, b_multiplier))};
        alula_store_bytes(out + i, _mm_min_epu8(_mm_max_epu8(alula_requantize_split(t, zero), low), high), end - i);
    }
}

// NaN becomes +0, which gives the zero point.
ALULA_AVX2_INLINE __m256 scaled(const float *x, __m256 scale) {
    __m256 t = _mm256_mul_ps(_mm256_loadu_ps(x), scale);
    return _mm256_and_ps(t, _mm256_cmp_ps(t, t, _CMP_ORD_Q));
}

ALULA_TARGET_AVX2 void alula_quantize_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_quantize_args *p = args;
    __m256 scale = _mm256_set1_ps(p->inverse_scale);
    __m256i zero = _mm256_set1_epi16((int16_t)p->zero);
    for (size_t i = begin; i < end; i += 16) {
        __m128i y = alula_requantize_16(scaled(p->input + i, scale), scaled(p->input + i + 8, scale), zero);
        alula_store_bytes(p->output + i, y, end - i);
    }
}
#endif
