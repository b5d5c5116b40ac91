// u8 layer norm. The sums of a few rows come first, then the rows: a row's square root and division end a chain of some seventy cycles, which rows
// after it hide. Reading a row twice costs nothing, it is in the first-level cache.
#pragma STDC FP_CONTRACT OFF
#include "kernels_internal.h"
#include "requantize_avx2.h"

#if defined(__x86_64__)
#define ALULA_UNROLL _Pragma("clang loop unroll(full)")

enum { ROWS = 16 };

// f32 of a row's sum, and r. c * x and s1 are integers below 2^24, so f32 holds them and their difference exactly.
typedef struct { float s1, r; } row_constants;

// sum of x and of x * x; c <= 32768 keeps both within 31 bits. The last block reads beyond the row and leaves that out.
ALULA_AVX2_INLINE row_constants constants_of(const alula_layernorm_u8_args *p, const uint8_t *x) {
    const size_t c = (size_t)p->c;
    __m256i s1 = _mm256_setzero_si256(), s2 = _mm256_setzero_si256();
    for (size_t i = 0; i < c; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        if (c - i < 32) {
            const __m256i place = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
                                                   27, 28, 29, 30, 31);
            v = _mm256_and_si256(v, _mm256_cmpgt_epi8(_mm256_set1_epi8((char)(c - i)), place));
        }
        const __m256i low = _mm256_unpacklo_epi8(v, _mm256_setzero_si256()), high = _mm256_unpackhi_epi8(v, _mm256_setzero_si256());
        s1 = _mm256_add_epi64(s1, _mm256_sad_epu8(v, _mm256_setzero_si256()));
        s2 = _mm256_add_epi32(s2, _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high)));
    }
    const __m128i a = _mm_add_epi64(_mm256_castsi256_si128(s1), _mm256_extracti128_si256(s1, 1));
    const __m128i b = _mm_add_epi32(_mm256_castsi256_si128(s2), _mm256_extracti128_si256(s2, 1));
    const __m128i pairs = _mm_add_epi32(b, _mm_shuffle_epi32(b, 0x4E));
    const int64_t sum = _mm_cvtsi128_si64(_mm_add_epi64(a, _mm_unpackhi_epi64(a, a)));
    const uint32_t squares = (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0xB1)));
    const int64_t n = (int64_t)p->c * squares - sum * sum;
    const float v = (float)n * p->variance_scale + p->epsilon;
    return (row_constants){(float)sum, v > 0.0f ? p->d_scale / __builtin_elementwise_sqrt(v) : 0.0f};
}

typedef struct { __m256 c, s1, r; } row_vectors;

// 8 * count channels from the same place, step by step for all vectors: an operation then waits for one before it, not for a chain of ten, and
// the scheduler holds the work of several rows.
ALULA_AVX2_INLINE void normalize(__m256 *t, const uint8_t *x, const float *gamma, const float *beta, const row_vectors *k, const int count) {
    ALULA_UNROLL for (int i = 0; i < count; i++) t[i] = alula_f32_of_8_bytes(x + 8 * i);
    ALULA_UNROLL for (int i = 0; i < count; i++) t[i] = _mm256_mul_ps(t[i], k->c);
    ALULA_UNROLL for (int i = 0; i < count; i++) t[i] = _mm256_sub_ps(t[i], k->s1);
    ALULA_UNROLL for (int i = 0; i < count; i++) t[i] = _mm256_mul_ps(t[i], k->r);
    ALULA_UNROLL for (int i = 0; i < count; i++) t[i] = _mm256_mul_ps(t[i], _mm256_loadu_ps(gamma + 8 * i));
    ALULA_UNROLL for (int i = 0; i < count; i++) t[i] = _mm256_add_ps(t[i], _mm256_loadu_ps(beta + 8 * i));
}

ALULA_TARGET_AVX2 void alula_layernorm_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_u8_args *p = args;
    const size_t c = (size_t)p->c;
    const __m256i zero = _mm256_set1_epi16((int16_t)p->zero);
    for (size_t first = begin; first < end; first += ROWS) {
        const size_t rows = alula_min_size(ROWS, end - first);
        row_constants constants[ROWS];
        for (size_t i = 0; i < rows; i++) constants[i] = constants_of(p, p->input + (first + i) * c);
        for (size_t i = 0; i < rows; i++) {
            const uint8_t *in = p->input + (first + i) * c;
            uint8_t *out = p->output + (first + i) * c;
            const row_vectors k = {_mm256_set1_ps((float)p->c), _mm256_set1_ps(constants[i].s1), _mm256_set1_ps(constants[i].r)};
            const float *gamma = p->gamma, *beta = p->beta;
            size_t at = 0;
            for (; at + 32 <= c; at += 32) {
                __m256 t[4];
                normalize(t, in + at, gamma + at, beta + at, &k, 4);
                _mm_storeu_si128((__m128i *)(out + at), alula_requantize_16(t[0], t[1], zero));
                _mm_storeu_si128((__m128i *)(out + at + 16), alula_requantize_16(t[2], t[3], zero));
            }
            for (; at < c; at += 16) {
                __m256 t[2];
                normalize(t, in + at, gamma + at, beta + at, &k, 2);
                alula_store_bytes(out + at, alula_requantize_16(t[0], t[1], zero), c - at);
            }
        }
    }
}
#endif
