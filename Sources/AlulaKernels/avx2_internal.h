// What the AVX2 convolution files share: target attributes, requantization and table lookup.
#pragma once
#if defined(__x86_64__)
#include "conv_internal.h"
#include "requantize_avx2.h"

// SwiftPM allows no compiler flags, so the instruction set is chosen per function.
#define ALULA_AVX2 ALULA_TARGET_AVX2
#define ALULA_UNROLL _Pragma("clang loop unroll(full)")

ALULA_AVX2_INLINE __m256i alula_broadcast_4(const void *p) {
    int32_t v;
    __builtin_memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

// rne(t). cvtps gives INT_MIN beyond the i32 range, which clamps right on the negative side only, hence the minimum.
ALULA_AVX2_INLINE __m256i alula_round_avx2(__m256 t) { return _mm256_cvtps_epi32(_mm256_min_ps(t, _mm256_set1_ps(0x1p30f))); }

// table[x] for 32 bytes: 16 shuffles by the low nibble, then a tree of blends by the bits of the high one: 35 instructions.
// A chain of shuffles, xors and subtractions (48) made a 3136x48x192 product with its table 7 % slower on Zen 3.
ALULA_AVX2_INLINE __m256i alula_lookup_avx2(const uint8_t *table, __m256i x) {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi8(15));
    const __m256i bit4 = _mm256_slli_epi16(x, 3), bit5 = _mm256_slli_epi16(x, 2), bit6 = _mm256_slli_epi16(x, 1);
    __m256i sixty_four[4];
    ALULA_UNROLL for (int i = 0; i < 4; i++) {
        __m256i part[4];
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            const __m128i row = _mm_loadu_si128((const __m128i *)(table + 64 * i + 16 * j));
            part[j] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(row), low);
        }
        sixty_four[i] = _mm256_blendv_epi8(_mm256_blendv_epi8(part[0], part[1], bit4), _mm256_blendv_epi8(part[2], part[3], bit4), bit5);
    }
    return _mm256_blendv_epi8(_mm256_blendv_epi8(sixty_four[0], sixty_four[1], bit6),
                              _mm256_blendv_epi8(sixty_four[2], sixty_four[3], bit6), x);
}

// Stores the first n (0...8) floats.
ALULA_AVX2_INLINE void alula_store_floats(float *output, __m256 x, size_t n) {
    if (n == 8) {
        _mm256_storeu_ps(output, x);
        return;
    }
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(output, _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), lane), x);
}
#endif
