// binary_u8 and quantize: plain streams, 16 bytes at a time. The last block computes on bytes beyond the end and stores only its own.
#pragma STDC FP_CONTRACT OFF
#include "kernels_internal.h"
#include "requantize_avx2.h"
#include "strides.h"

#if defined(__x86_64__)
typedef struct { __m256 a_zero, b_zero, a_multiplier, b_multiplier; __m256i zero; __m128i low, high; } binary_constants;

// One block of 16 sums or products.
ALULA_AVX2_INLINE __m128i combine_16(const binary_constants *c, __m256i x, __m256i y, bool is_product) {
    alula_split_f32 a = alula_split_f32_of_u16(x, c->a_zero), b = alula_split_f32_of_u16(y, c->b_zero), t;
    if (is_product) {
        t.first = _mm256_mul_ps(_mm256_mul_ps(a.first, b.first), c->a_multiplier);
        t.second = _mm256_mul_ps(_mm256_mul_ps(a.second, b.second), c->a_multiplier);
    } else {
        t.first = _mm256_add_ps(_mm256_mul_ps(a.first, c->a_multiplier), _mm256_mul_ps(b.first, c->b_multiplier));
        t.second = _mm256_add_ps(_mm256_mul_ps(a.second, c->a_multiplier), _mm256_mul_ps(b.second, c->b_multiplier));
    }
    return _mm_min_epu8(_mm_max_epu8(alula_requantize_split(t, c->zero), c->low), c->high);
}

// sa and sb, 0 or 1, are constants in each call.
ALULA_AVX2_INLINE void combine_row(const binary_constants *c, bool is_product, const uint8_t *a, size_t sa, const uint8_t *b, size_t sb, uint8_t *out,
                                   size_t n) {
    __m256i x = _mm256_set1_epi16(a[0]), y = _mm256_set1_epi16(b[0]);
    for (size_t i = 0; i < n; i += 16) {
        if (sa) x = alula_u16_of_16_bytes(a + i);
        if (sb) y = alula_u16_of_16_bytes(b + i);
        __m128i block = is_product ? combine_16(c, x, y, true) : combine_16(c, x, y, false);
        alula_store_bytes(out + i, block, n - i);
    }
}

ALULA_TARGET_AVX2 void alula_binary_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_binary_u8_args *p = args;
    const binary_constants c = {alula_offset_f32(p->a_zero), alula_offset_f32(p->b_zero), _mm256_set1_ps(p->a_multiplier),
                                _mm256_set1_ps(p->b_multiplier), _mm256_set1_epi16((int16_t)p->zero), _mm_set1_epi8((char)p->low),
                                _mm_set1_epi8((char)p->high)};
    int32_t last = p->rank - 1;
    size_t n = (size_t)p->shape[last];
    for (size_t row = begin; row < end; row++) {
        const uint8_t *a = p->a + alula_offset_of(row, last, p->shape, p->a_strides);
        const uint8_t *b = p->b + alula_offset_of(row, last, p->shape, p->b_strides);
        uint8_t *out = p->output + row * n;
        if (p->a_strides[last] && p->b_strides[last]) combine_row(&c, p->is_product, a, 1, b, 1, out, n);
        else if (p->a_strides[last]) combine_row(&c, p->is_product, a, 1, b, 0, out, n);
        else if (p->b_strides[last]) combine_row(&c, p->is_product, a, 0, b, 1, out, n);
        else combine_row(&c, p->is_product, a, 0, b, 0, out, n);
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
