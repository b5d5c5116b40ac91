// The AVX-512 intrinsics that the kernels use, from SIMDe under their native names; those that SIMDe 0.7.4 lacks are written out here.
#pragma once
#include <immintrin.h>
#include <string.h>
// Newer compilers define these types differently from SIMDe's aliases; nothing here uses them.
typedef __m128bh alula_unused_m128bh;
typedef __m256bh alula_unused_m256bh;
typedef __m512bh alula_unused_m512bh;
#define __m128bh alula_unused_m128bh
#define __m256bh alula_unused_m256bh
#define __m512bh alula_unused_m512bh
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

static inline __m512 emulated_cvtepi32_ps(__m512i a) {
    int32_t x[16];
    float y[16];
    memcpy(x, &a, 64);
    for (int i = 0; i < 16; i++) y[i] = (float)x[i];
    return simde_mm512_loadu_ps(y);
}

// Nearest, ties to even; INT_MIN for what does not fit, as the instruction has it.
static inline __m512i emulated_cvtps_epi32(__m512 a) {
    float x[16];
    int32_t y[16];
    memcpy(x, &a, 64);
    for (int i = 0; i < 16; i++) {
        y[i] = x[i] >= -0x1p31f && x[i] < 0x1p31f ? (int32_t)__builtin_rintf(x[i]) : INT32_MIN;
    }
    return simde_mm512_loadu_si512(y);
}

static inline __m512i emulated_cvtepu8_epi32(__m128i a) {
    uint8_t x[16];
    int32_t y[16];
    memcpy(x, &a, 16);
    for (int i = 0; i < 16; i++) y[i] = x[i];
    return simde_mm512_loadu_si512(y);
}

static inline __m128i emulated_maskz_loadu_epi8(uint16_t mask, const void *p) {
    uint8_t y[16] = {0};
    for (int i = 0; i < 16; i++) if (mask >> i & 1) y[i] = ((const uint8_t *)p)[i];
    return simde_mm_loadu_si128(y);
}

static inline __m512 emulated_maskz_loadu_ps(uint16_t mask, const void *p) {
    float y[16] = {0};
    for (int i = 0; i < 16; i++) if (mask >> i & 1) y[i] = ((const float *)p)[i];
    return simde_mm512_loadu_ps(y);
}

static inline void emulated_mask_storeu_epi8(void *p, uint64_t mask, __m512i a) {
    uint8_t x[64];
    memcpy(x, &a, 64);
    for (int i = 0; i < 64; i++) if (mask >> i & 1) ((uint8_t *)p)[i] = x[i];
}

static inline void emulated_mask_storeu_ps(void *p, uint16_t mask, __m512 a) {
    float x[16];
    memcpy(x, &a, 64);
    for (int i = 0; i < 16; i++) if (mask >> i & 1) ((float *)p)[i] = x[i];
}

static inline __m512 emulated_fmadd_ps(__m512 a, __m512 b, __m512 c) {
    float x[16], y[16], z[16];
    memcpy(x, &a, 64);
    memcpy(y, &b, 64);
    memcpy(z, &c, 64);
    for (int i = 0; i < 16; i++) z[i] = __builtin_fmaf(x[i], y[i], z[i]);
    return simde_mm512_loadu_ps(z);
}

#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm_maskz_loadu_epi8
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_epi8
#undef _mm512_mask_storeu_ps
#undef _mm512_fmadd_ps
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm_maskz_loadu_epi8 emulated_maskz_loadu_epi8
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_mask_storeu_epi8 emulated_mask_storeu_epi8
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_fmadd_ps emulated_fmadd_ps
