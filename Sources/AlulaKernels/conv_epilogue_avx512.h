// What the int8 convolutions with AVX-512 share: requantization and table lookup of 64 results.
#pragma once
#include "conv_internal.h"
#if defined(__x86_64__)
#include "avx512.h"

// The lowest `count` bits, 64 at most.
static inline uint64_t alula_lanes(size_t count) { return count >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1; }

// table[x] for 64 bytes: vpermi2b looks up 7 bits in two registers, the eighth chooses between two such lookups.
ALULA_AVX512_VNNI_INLINE __m512i alula_lookup_avx512(const uint8_t *table, __m512i x) {
    const __m512i low = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), x, _mm512_loadu_si512(table + 64));
    const __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), x, _mm512_loadu_si512(table + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}

// rne(t) of `count` registers. The conversion gives INT_MIN beyond the i32 range, which clamps right on the negative side only, hence the minimum.
ALULA_AVX512_VNNI_INLINE void alula_round_avx512(const alula_conv_u8s8_args *a, __m512i *q, const __m512 *t, const int count) {
    if (a->bounded) {
        ALULA_UNROLL for (int j = 0; j < count; j++) q[j] = _mm512_cvtps_epi32(t[j]);
    } else {
        ALULA_UNROLL for (int j = 0; j < count; j++) q[j] = _mm512_cvtps_epi32(_mm512_min_ps(t[j], _mm512_set1_ps(0x1p30f)));
    }
}

// clamp(q + zero, low, high) as bytes. Packing works within 128-bit lanes: 32-bit element 4i + j of the result holds elements 4i...4i + 3 of q[j].
// Saturation at +-32767 before and after adding the zero point changes no clamped byte.
ALULA_AVX512_VNNI_INLINE __m512i alula_pack_avx512(const alula_conv_u8s8_args *a, const __m512i q[4]) {
    const __m512i zero = _mm512_set1_epi16((int16_t)a->zero);
    const __m512i x = _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero),
                                          _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero));
    if (a->low == 0 && a->high == 255) return x;
    return _mm512_min_epu8(_mm512_max_epu8(x, _mm512_set1_epi8((int8_t)a->low)), _mm512_set1_epi8((int8_t)a->high));
}
#endif
