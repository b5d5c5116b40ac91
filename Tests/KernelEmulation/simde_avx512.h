// The AVX-512 intrinsics that the kernels use, from SIMDe under their native names; those that SIMDe 0.7.4 lacks, or has otherwise where numbers are NaN, are written out here.
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

// ---- Of attention and layer norm --------------------------------------------------------------------------------------------------

// Arrays in place of vectors: what a function below does to x (and y) becomes its result.
#define EMULATED_LOAD(TYPE, COUNT, NAME, VECTOR) \
    TYPE NAME[COUNT];                            \
    memcpy(NAME, &VECTOR, sizeof NAME)

static inline __m512i emulated_shuffle_i64x2(__m512i a, __m512i b, int lanes) {
    EMULATED_LOAD(uint64_t, 8, x, a);
    EMULATED_LOAD(uint64_t, 8, y, b);
    uint64_t z[8];
    for (int i = 0; i < 8; i++) z[i] = (i < 4 ? x : y)[2 * (lanes >> (i / 2 * 2) & 3) + i % 2];
    return simde_mm512_loadu_si512(z);
}

static inline __m512i emulated_maskz_loadu_epi8_512(uint64_t mask, const void *p) {
    uint8_t y[64] = {0};
    for (int i = 0; i < 64; i++) if (mask >> i & 1) y[i] = ((const uint8_t *)p)[i];
    return simde_mm512_loadu_si512(y);
}

static inline void emulated_mask_storeu_epi8_128(void *p, uint16_t mask, __m128i a) {
    EMULATED_LOAD(uint8_t, 16, x, a);
    for (int i = 0; i < 16; i++) if (mask >> i & 1) ((uint8_t *)p)[i] = x[i];
}

static inline int32_t emulated_reduce_add_epi32(__m512i a) {
    EMULATED_LOAD(uint32_t, 16, x, a);
    uint32_t sum = 0;
    for (int i = 0; i < 16; i++) sum += x[i];
    return (int32_t)sum;
}

static inline int64_t emulated_reduce_add_epi64(__m512i a) {
    EMULATED_LOAD(uint64_t, 8, x, a);
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++) sum += x[i];
    return (int64_t)sum;
}

static inline __m128i emulated_cvtepi32_epi8(__m512i a) {
    EMULATED_LOAD(uint32_t, 16, x, a);
    uint8_t y[16];
    for (int i = 0; i < 16; i++) y[i] = (uint8_t)x[i];
    return simde_mm_loadu_si128(y);
}

static inline __m128i emulated_cvtusepi32_epi8(__m512i a) {
    EMULATED_LOAD(uint32_t, 16, x, a);
    uint8_t y[16];
    for (int i = 0; i < 16; i++) y[i] = x[i] > 255 ? 255 : (uint8_t)x[i];
    return simde_mm_loadu_si128(y);
}

// A half of a vector, and a vector with another half.
static inline __m256 emulated_extractf32x8(__m512 a, int half) {
    EMULATED_LOAD(float, 16, x, a);
    return _mm256_loadu_ps(x + 8 * half);
}

static inline __m512 emulated_insertf32x8(__m512 a, __m256 b, int half) {
    EMULATED_LOAD(float, 16, x, a);
    memcpy(x + 8 * half, &b, 32);
    return simde_mm512_loadu_ps(x);
}

static inline __m256 emulated_mask_max_ps_256(__m256 source, uint8_t mask, __m256 a, __m256 b) {
    EMULATED_LOAD(float, 8, s, source);
    EMULATED_LOAD(float, 8, x, a);
    EMULATED_LOAD(float, 8, y, b);
    for (int i = 0; i < 8; i++) if (mask >> i & 1) s[i] = x[i] > y[i] ? x[i] : y[i];
    return _mm256_loadu_ps(s);
}

// The second operand where one is NaN, as the instructions have it.
static inline __m512 emulated_max_ps(__m512 a, __m512 b) {
    EMULATED_LOAD(float, 16, x, a);
    EMULATED_LOAD(float, 16, y, b);
    for (int i = 0; i < 16; i++) x[i] = x[i] > y[i] ? x[i] : y[i];
    return simde_mm512_loadu_ps(x);
}

static inline __m512 emulated_mask_max_ps(__m512 source, uint16_t mask, __m512 a, __m512 b) {
    const __m512 most = emulated_max_ps(a, b);
    EMULATED_LOAD(float, 16, s, source);
    EMULATED_LOAD(float, 16, x, most);
    for (int i = 0; i < 16; i++) if (mask >> i & 1) s[i] = x[i];
    return simde_mm512_loadu_ps(s);
}

static inline __m512 emulated_min_ps(__m512 a, __m512 b) {
    EMULATED_LOAD(float, 16, x, a);
    EMULATED_LOAD(float, 16, y, b);
    for (int i = 0; i < 16; i++) x[i] = x[i] < y[i] ? x[i] : y[i];
    return simde_mm512_loadu_ps(x);
}

// a * 2^floor(b); NaN where one is.
static inline __m512 emulated_scalef_ps(__m512 a, __m512 b) {
    EMULATED_LOAD(float, 16, x, a);
    EMULATED_LOAD(float, 16, y, b);
    for (int i = 0; i < 16; i++) x[i] = y[i] == y[i] ? x[i] * __builtin_exp2f(__builtin_floorf(y[i])) : y[i];
    return simde_mm512_loadu_ps(x);
}

static inline __m256 emulated_cvtepi64_ps(__m512i a) {
    EMULATED_LOAD(int64_t, 8, x, a);
    float y[8];
    for (int i = 0; i < 8; i++) y[i] = (float)x[i];
    return _mm256_loadu_ps(y);
}

static inline __m512i emulated_cvtepu32_epi64(__m256i a) {
    EMULATED_LOAD(uint32_t, 8, x, a);
    uint64_t y[8];
    for (int i = 0; i < 8; i++) y[i] = x[i];
    return simde_mm512_loadu_si512(y);
}

static inline __m512 emulated_sqrt_ps(__m512 a) {
    EMULATED_LOAD(float, 16, x, a);
    for (int i = 0; i < 16; i++) x[i] = __builtin_sqrtf(x[i]);
    return simde_mm512_loadu_ps(x);
}

static inline __m512 emulated_maskz_div_ps(uint16_t mask, __m512 a, __m512 b) {
    EMULATED_LOAD(float, 16, x, a);
    EMULATED_LOAD(float, 16, y, b);
    for (int i = 0; i < 16; i++) x[i] = mask >> i & 1 ? x[i] / y[i] : 0.0f;
    return simde_mm512_loadu_ps(x);
}

#undef EMULATED_LOAD

#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm_maskz_loadu_epi8
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_epi8
#undef _mm512_mask_storeu_ps
#undef _mm512_fmadd_ps
#undef _mm512_shuffle_i64x2
#undef _mm512_maskz_loadu_epi8
#undef _mm_mask_storeu_epi8
#undef _mm512_reduce_add_epi32
#undef _mm512_reduce_add_epi64
#undef _mm512_cvtepi32_epi8
#undef _mm512_cvtusepi32_epi8
#undef _mm512_extractf32x8_ps
#undef _mm512_insertf32x8
#undef _mm256_mask_max_ps
#undef _mm512_max_ps
#undef _mm512_mask_max_ps
#undef _mm512_min_ps
#undef _mm512_scalef_ps
#undef _mm512_cvtepi64_ps
#undef _mm512_cvtepu32_epi64
#undef _mm512_sqrt_ps
#undef _mm512_maskz_div_ps
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm_maskz_loadu_epi8 emulated_maskz_loadu_epi8
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_mask_storeu_epi8 emulated_mask_storeu_epi8
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_fmadd_ps emulated_fmadd_ps
#define _mm512_shuffle_i64x2 emulated_shuffle_i64x2
#define _mm512_maskz_loadu_epi8 emulated_maskz_loadu_epi8_512
#define _mm_mask_storeu_epi8 emulated_mask_storeu_epi8_128
#define _mm512_reduce_add_epi32 emulated_reduce_add_epi32
#define _mm512_reduce_add_epi64 emulated_reduce_add_epi64
#define _mm512_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_cvtusepi32_epi8 emulated_cvtusepi32_epi8
#define _mm512_extractf32x8_ps emulated_extractf32x8
#define _mm512_insertf32x8 emulated_insertf32x8
#define _mm256_mask_max_ps emulated_mask_max_ps_256
#define _mm512_max_ps emulated_max_ps
#define _mm512_mask_max_ps emulated_mask_max_ps
#define _mm512_min_ps emulated_min_ps
#define _mm512_scalef_ps emulated_scalef_ps
#define _mm512_cvtepi64_ps emulated_cvtepi64_ps
#define _mm512_cvtepu32_epi64 emulated_cvtepu32_epi64
#define _mm512_sqrt_ps emulated_sqrt_ps
#define _mm512_maskz_div_ps emulated_maskz_div_ps
