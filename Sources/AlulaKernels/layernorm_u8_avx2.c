#pragma STDC FP_CONTRACT OFF
#include "kernels_internal.h"
#include "requantize_avx2.h"

#if defined(__x86_64__)
// sum of x and of x * x; c <= 32768 keeps both within 31 bits.
ALULA_TARGET_AVX2 static void sums(const uint8_t *x, size_t c, uint32_t *sum, uint32_t *squares) {
    __m256i s1 = _mm256_setzero_si256(), s2 = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= c; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(v)), high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(v, 1));
        s1 = _mm256_add_epi64(s1, _mm256_sad_epu8(v, _mm256_setzero_si256()));
        s2 = _mm256_add_epi32(s2, _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high)));
    }
    uint64_t a[4];
    uint32_t b[8], first = 0, second = 0;
    _mm256_storeu_si256((__m256i *)a, s1);
    _mm256_storeu_si256((__m256i *)b, s2);
    for (int l = 0; l < 4; l++) first += (uint32_t)a[l];
    for (int l = 0; l < 8; l++) second += b[l];
    for (; i < c; i++) {
        first += x[i];
        second += (uint32_t)x[i] * x[i];
    }
    *sum = first;
    *squares = second;
}

// c * x and s1 are integers below 2^24, so f32 holds them and their difference exactly.
typedef struct { __m256 c, s1, r; } row_constants;

ALULA_AVX2_INLINE __m256 normalized(const uint8_t *x, const float *gamma, const float *beta, const row_constants *k) {
    __m256 d = _mm256_sub_ps(_mm256_mul_ps(alula_f32_of_8_bytes(x), k->c), k->s1);
    return _mm256_add_ps(_mm256_mul_ps(_mm256_mul_ps(d, k->r), _mm256_loadu_ps(gamma)), _mm256_loadu_ps(beta));
}

ALULA_TARGET_AVX2 void alula_layernorm_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_u8_args *p = args;
    size_t c = (size_t)p->c;
    __m256i zero = _mm256_set1_epi16((int16_t)p->zero);
    for (size_t row = begin; row < end; row++) {
        const uint8_t *in = p->input + row * c;
        uint8_t *out = p->output + row * c;
        uint32_t s1, s2;
        sums(in, c, &s1, &s2);
        int64_t n = (int64_t)p->c * s2 - (int64_t)s1 * s1;
        float v = (float)n * p->variance_scale + p->epsilon;
        float r = v > 0.0f ? p->d_scale / __builtin_elementwise_sqrt(v) : 0.0f;
        row_constants k = {_mm256_set1_ps((float)p->c), _mm256_set1_ps((float)s1), _mm256_set1_ps(r)};
        for (size_t i = 0; i < c; i += 16) {
            __m256 t0 = normalized(in + i, p->gamma + i, p->beta + i, &k), t1 = normalized(in + i + 8, p->gamma + i + 8, p->beta + i + 8, &k);
            alula_store_bytes(out + i, alula_requantize_16(t0, t1, zero), c - i);
        }
    }
}
#endif
