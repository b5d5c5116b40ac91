// u8 layer norm with AVX-512, sixteen rows at a time: their sums are added up together by a transpose, and one square root and one division serve
// them all. So narrow rows (48 channels are less than one register) pay little for what each row needs once.
#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"
#include "kernels_internal.h"
#if defined(__x86_64__)
#include "avx512.h"

enum { ROWS = 16 };

// f32 of the rows' sums s1, and r. c * x and s1 are integers below 2^24, so f32 holds them and their difference exactly, with fma or without.
typedef struct { float s1[ROWS], r[ROWS]; } row_constants;

// out[i] = sum of x[i]'s sixteen numbers: four rounds, each of which halves the vectors and the numbers of a row that lie apart.
ALULA_AVX512_VNNI ALULA_INLINE __m512i sums_of(__m512i *x) {
    ALULA_UNROLL for (int i = 0; i < 8; i++) {
        x[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(x[i], x[i + 8]), _mm512_unpackhi_epi32(x[i], x[i + 8]));
    }
    ALULA_UNROLL for (int i = 0; i < 4; i++) {
        x[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(x[i], x[i + 4]), _mm512_unpackhi_epi32(x[i], x[i + 4]));
    }
    // Each 128-bit lane of x[i] now holds what it has of rows i, i + 4, i + 8 and i + 12.
    ALULA_UNROLL for (int i = 0; i < 2; i++) {
        x[i] = _mm512_add_epi32(_mm512_shuffle_i64x2(x[i], x[i + 2], 0x88), _mm512_shuffle_i64x2(x[i], x[i + 2], 0xDD));
    }
    const __m512i sum = _mm512_add_epi32(_mm512_shuffle_i64x2(x[0], x[1], 0x88), _mm512_shuffle_i64x2(x[0], x[1], 0xDD));
    // Lanes begin with rows 0, 2, 1 and 3.
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15), sum);
}

// f32(c * s2 - s1 * s1) of eight rows, from the exact integer.
ALULA_AVX512_VNNI ALULA_INLINE __m256 spread(__m256i s1, __m256i s2, int64_t c) {
    const __m512i sum = _mm512_cvtepu32_epi64(s1), squares = _mm512_cvtepu32_epi64(s2);
    return _mm512_cvtepi64_ps(_mm512_sub_epi64(_mm512_mul_epu32(squares, _mm512_set1_epi64(c)), _mm512_mul_epu32(sum, sum)));
}

// Of each row, sixteen sums of x, or of x * (x - 128); added to what is there.
ALULA_AVX512_VNNI ALULA_INLINE __m512i partial_sums(__m512i sums, const uint8_t *x, __mmask64 valid, bool squares) {
    const __m512i v = _mm512_maskz_loadu_epi8(valid, x);
    return _mm512_dpbusd_epi32(sums, v, squares ? _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80)) : _mm512_set1_epi8(1));
}

// A row that fits a register needs no memory for its sums: the rows are read twice instead. `rows` is 1 to 16; the last stands for those missing.
ALULA_AVX512_VNNI ALULA_INLINE __m512i narrow_sums(const uint8_t *in, size_t c, size_t rows, bool squares) {
    const __mmask64 valid = c >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << c) - 1;
    __m512i x[ROWS];
    ALULA_UNROLL for (size_t row = 0; row < ROWS; row++) {
        x[row] = partial_sums(_mm512_setzero_si512(), in + alula_min_size(row, rows - 1) * c, valid, squares);
    }
    return sums_of(x);
}

// The sums of any rows: both kinds from one reading.
ALULA_AVX512_VNNI static void wide_sums(const uint8_t *in, size_t c, size_t rows, __m512i *sum, __m512i *squares) {
    __m512i x[ROWS], y[ROWS];
    for (size_t row = 0; row < ROWS; row++) {
        const uint8_t *at = in + alula_min_size(row, rows - 1) * c;
        x[row] = y[row] = _mm512_setzero_si512();
        for (size_t i = 0; i < c; i += 64) {
            const __mmask64 valid = c - i >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (c - i)) - 1;
            x[row] = partial_sums(x[row], at + i, valid, false);
            y[row] = partial_sums(y[row], at + i, valid, true);
        }
    }
    *sum = sums_of(x);
    *squares = sums_of(y);
}

// The constants of `rows` rows; c <= 32768 keeps sums of x and of x * x within 31 bits. The latter is that of x * (x - 128), plus 128 times the former.
ALULA_AVX512_VNNI static void constants_of(const alula_layernorm_u8_args *p, size_t first, size_t rows, row_constants *k) {
    const size_t c = (size_t)p->c;
    const uint8_t *in = p->input + first * c;
    __m512i sum, squares;
    if (c <= 64) {
        sum = narrow_sums(in, c, rows, false);
        squares = narrow_sums(in, c, rows, true);
    } else {
        wide_sums(in, c, rows, &sum, &squares);
    }
    squares = _mm512_add_epi32(squares, _mm512_slli_epi32(sum, 7));
    const __m256 low = spread(_mm512_castsi512_si256(sum), _mm512_castsi512_si256(squares), p->c);
    const __m256 high = spread(_mm512_extracti64x4_epi64(sum, 1), _mm512_extracti64x4_epi64(squares, 1), p->c);
    const __m512 n = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
    const __m512 v = _mm512_add_ps(_mm512_mul_ps(n, _mm512_set1_ps(p->variance_scale)), _mm512_set1_ps(p->epsilon));
    const __mmask16 positive = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ);
    _mm512_storeu_ps(k->s1, _mm512_cvtepi32_ps(sum));
    _mm512_storeu_ps(k->r, _mm512_maskz_div_ps(positive, _mm512_set1_ps(p->d_scale), _mm512_sqrt_ps(v)));
}

typedef struct { __m512 c, minus_s1, r; __m512i zero; } row_vectors;

// 16 * blocks channels from the same place, step by step for all vectors.
ALULA_AVX512_VNNI ALULA_INLINE __m512i normalized(const uint8_t *x, const float *gamma, const float *beta, const row_vectors *k, const int blocks) {
    __m512 t[4];
    __m512i q[4];
    ALULA_UNROLL for (int i = 0; i < blocks; i++) {
        t[i] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(x + 16 * i))));
    }
    ALULA_UNROLL for (int i = 0; i < blocks; i++) t[i] = _mm512_fmadd_ps(t[i], k->c, k->minus_s1);
    ALULA_UNROLL for (int i = 0; i < blocks; i++) t[i] = _mm512_mul_ps(t[i], k->r);
    ALULA_UNROLL for (int i = 0; i < blocks; i++) t[i] = _mm512_mul_ps(t[i], _mm512_loadu_ps(gamma + 16 * i));
    ALULA_UNROLL for (int i = 0; i < blocks; i++) t[i] = _mm512_add_ps(t[i], _mm512_loadu_ps(beta + 16 * i));
    // The conversion gives INT_MIN beyond the i32 range, which clamps right on the negative side only, hence the minimum; it lets NaN through.
    ALULA_UNROLL for (int i = 0; i < blocks; i++) q[i] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(0x1p30f), t[i]));
    ALULA_UNROLL for (int i = blocks; i < 4; i++) q[i] = _mm512_setzero_si512();
    // Packing works within 128-bit lanes.
    const __m512i in_order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i bytes = _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), k->zero),
                                              _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), k->zero));
    return _mm512_permutexvar_epi32(in_order, bytes);
}

// Stores the first n bytes, 64 at most, and touches no others: over its input, a masked store would hold up the loads of the next row, whose bytes
// lie behind the mask.
ALULA_AVX512_VNNI ALULA_INLINE void store_bytes(uint8_t *out, __m512i bytes, size_t n) {
    if (n >= 64) {
        _mm512_storeu_si512(out, bytes);
        return;
    }
    __m256i half = _mm512_castsi512_si256(bytes);
    if (n & 32) {
        _mm256_storeu_si256((__m256i *)out, half);
        half = _mm512_extracti64x4_epi64(bytes, 1);
        out += 32;
    }
    __m128i x = _mm256_castsi256_si128(half);
    if (n & 16) {
        _mm_storeu_si128((__m128i *)out, x);
        x = _mm256_extracti128_si256(half, 1);
        out += 16;
    }
    if (n & 8) {
        _mm_storel_epi64((__m128i *)out, x);
        x = _mm_srli_si128(x, 8);
        out += 8;
    }
    uint64_t rest = (uint64_t)_mm_cvtsi128_si64(x);
    if (n & 4) {
        const uint32_t four = (uint32_t)rest;
        __builtin_memcpy(out, &four, 4);
        rest >>= 32;
        out += 4;
    }
    for (size_t i = 0; i < (n & 3); i++) out[i] = (uint8_t)(rest >> (8 * i));
}

ALULA_AVX512_VNNI ALULA_INLINE void finish_row(const uint8_t *x, const float *gamma, const float *beta, const row_vectors *k, size_t rest,
                                               uint8_t *out) {
    const size_t blocks = (rest + 15) / 16;
    const __m512i bytes = blocks == 1   ? normalized(x, gamma, beta, k, 1)
                          : blocks == 2 ? normalized(x, gamma, beta, k, 2)
                          : blocks == 3 ? normalized(x, gamma, beta, k, 3)
                                        : normalized(x, gamma, beta, k, 4);
    store_bytes(out, bytes, rest);
}

ALULA_AVX512_VNNI static void normalize_rows(const alula_layernorm_u8_args *p, size_t first, size_t rows, const row_constants *constants) {
    const size_t c = (size_t)p->c, whole = c / 64 * 64;
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *in = p->input + (first + i) * c;
        uint8_t *out = p->output + (first + i) * c;
        const row_vectors k = {_mm512_set1_ps((float)p->c), _mm512_set1_ps(-constants->s1[i]), _mm512_set1_ps(constants->r[i]),
                               _mm512_set1_epi16((int16_t)p->zero)};
        for (size_t at = 0; at < whole; at += 64) {
            _mm512_storeu_si512(out + at, normalized(in + at, p->gamma + at, p->beta + at, &k, 4));
        }
        if (whole < c) finish_row(in + whole, p->gamma + whole, p->beta + whole, &k, c - whole, out + whole);
    }
}

ALULA_AVX512_VNNI void alula_layernorm_u8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_u8_args *p = args;
    for (size_t first = begin; first < end; first += ROWS) {
        const size_t rows = alula_min_size(ROWS, end - first);
        row_constants constants;
        constants_of(p, first, rows, &constants);
        normalize_rows(p, first, rows, &constants);
    }
}
#endif
