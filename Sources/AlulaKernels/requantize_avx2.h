// u8 to f32 and back, eight or sixteen at a time; gives what requantize.h gives.
#pragma once
#include "instruction_set.h"
#include "x86.h"

#if defined(__x86_64__)
#define ALULA_AVX2_INLINE ALULA_TARGET_AVX2 static inline __attribute__((always_inline))

// f32 of eight bytes. Differences of bytes are exact in f32, so a zero point may be subtracted after the conversion.
ALULA_AVX2_INLINE __m256 alula_f32_of_8_bytes(const uint8_t *x) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x)));
}

// vcvtps2dq gives INT32_MIN for all that lies outside of i32; the minimum keeps large values positive. Its operands' order lets NaN through,
// which becomes INT32_MIN, hence low.
ALULA_AVX2_INLINE __m256i alula_rne_8(__m256 t) { return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(1073741824.0f), t)); }

// clamp(rne(t) + zero, 0, 255) of the values 0...7 and 8...15.
ALULA_AVX2_INLINE __m128i alula_requantize_16(__m256 t0, __m256 t1, __m256i zero_i16) {
    __m256i pairs = _mm256_packs_epi32(alula_rne_8(t0), alula_rne_8(t1));
    __m256i sums = _mm256_adds_epi16(_mm256_permute4x64_epi64(pairs, 0xD8), zero_i16);
    return _mm_packus_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

// Sixteen values in the order that unpacking and packing within 128-bit lanes leave: first holds 0...3 and 8...11, second the others.
typedef struct { __m256 first, second; } alula_split_f32;

ALULA_AVX2_INLINE alula_split_f32 alula_load_split(const float *x) {
    __m256 a = _mm256_loadu_ps(x), b = _mm256_loadu_ps(x + 8);
    return (alula_split_f32){_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)};
}

// x - offset in f32 for u16 values x and an integer offset below 2^15: under the upper half of 2^23, x is the number 2^23 + x.
// offset_f32 is 2^23 + offset; the difference is exact.
ALULA_AVX2_INLINE alula_split_f32 alula_split_f32_of_u16(__m256i x, __m256 offset_f32) {
    __m256i upper = _mm256_set1_epi16(0x4B00);
    return (alula_split_f32){_mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpacklo_epi16(x, upper)), offset_f32),
                             _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpackhi_epi16(x, upper)), offset_f32)};
}

ALULA_AVX2_INLINE __m256 alula_offset_f32(int32_t offset) { return _mm256_set1_ps(8388608.0f + (float)offset); }

ALULA_AVX2_INLINE __m256i alula_u16_of_16_bytes(const uint8_t *x) { return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x)); }

// clamp(rne(t) + zero, 0, 255), in the order of bytes.
ALULA_AVX2_INLINE __m128i alula_requantize_split(alula_split_f32 t, __m256i zero_i16) {
    __m256i sums = _mm256_adds_epi16(_mm256_packs_epi32(alula_rne_8(t.first), alula_rne_8(t.second)), zero_i16);
    return _mm_packus_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

// Stores the first n bytes, 16 at most. A store of 16 would touch the next pixel: another thread's, or a residual still to be read.
ALULA_AVX2_INLINE void alula_store_bytes(uint8_t *output, __m128i x, size_t n) {
    if (n >= 16) {
        _mm_storeu_si128((__m128i *)output, x);
        return;
    }
    if (n & 8) {
        _mm_storel_epi64((__m128i *)output, x);
        x = _mm_srli_si128(x, 8);
        output += 8;
    }
    if (n & 4) {
        const int32_t v = _mm_cvtsi128_si32(x);
        __builtin_memcpy(output, &v, 4);
        x = _mm_srli_si128(x, 4);
        output += 4;
    }
    const uint32_t rest = (uint32_t)_mm_cvtsi128_si32(x);
    for (size_t i = 0; i < (n & 3); i++) output[i] = (uint8_t)(rest >> (8 * i));
}
#endif
