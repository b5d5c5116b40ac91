// int8 convolution with WebAssembly's 128-bit vectors, exact: u8 and s8 are widened to 16 bits for i32x4.dot_i16x8.
//
// A panel's weights are widened once a block of rows; a quad of activations is widened in passing. A 3x16 tile keeps 12 sums, as engines
// on x86-64 have 16 registers, and has 24 dots and 24 additions a quad of depth for 8 + 3 loads and 9 more to widen and spread.
#include "conv_panels.h"
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

#define ALULA_WASM_INLINE __attribute__((always_inline)) static inline
#define ALULA_UNROLL _Pragma("clang loop unroll(full)")

#pragma STDC FP_CONTRACT OFF

ALULA_WASM_INLINE v128_t scaled(const alula_panel *p, v128_t sum, int j, size_t at) {
    const alula_conv_u8s8_args *a = p->args;
    v128_t t = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum), wasm_v128_load(p->multiplier + 4 * j));
    if (a->residual) {
        const v128_t bytes = wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(a->residual + at + 4 * j)));
        const v128_t r = wasm_f32x4_convert_i32x4(wasm_i32x4_sub(bytes, wasm_i32x4_splat(a->residual_zero)));
        t = wasm_f32x4_add(t, wasm_f32x4_mul(r, wasm_f32x4_splat(a->residual_multiplier)));
    }
    return t;
}

// Ties to even, saturating.
ALULA_WASM_INLINE v128_t rounded(v128_t t) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(t)); }

// Requantizes and stores one row of up to 16 channels.
ALULA_WASM_INLINE void finish(const alula_panel *p, size_t row, const v128_t sum[4]) {
    const alula_conv_u8s8_args *a = p->args;
    const size_t at = row * (size_t)a->window.out_c + p->column;
    v128_t t[4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) t[j] = scaled(p, sum[j], j, at);
    if (a->output_f32) {
        float x[16];
        ALULA_UNROLL for (int j = 0; j < 4; j++) wasm_v128_store(x + 4 * j, t[j]);
        for (size_t i = 0; i < p->count; i++) a->output_f32[at + i] = x[i];
        return;
    }
    // Saturation at +-32767 before and after adding the zero point changes no clamped byte.
    const v128_t zero = wasm_i16x8_splat((int16_t)a->zero);
    const v128_t first = wasm_i16x8_narrow_i32x4(rounded(t[0]), rounded(t[1]));
    const v128_t second = wasm_i16x8_narrow_i32x4(rounded(t[2]), rounded(t[3]));
    v128_t q = wasm_u8x16_narrow_i16x8(wasm_i16x8_add_sat(first, zero), wasm_i16x8_add_sat(second, zero));
    q = wasm_u8x16_min(wasm_u8x16_max(q, wasm_u8x16_splat((uint8_t)a->low)), wasm_u8x16_splat((uint8_t)a->high));
    if (p->count == 16 && !a->table) {
        wasm_v128_store(a->output + at, q);
        return;
    }
    uint8_t x[16];
    wasm_v128_store(x, q);
    for (size_t i = 0; i < p->count; i++) a->output[at + i] = a->table ? a->table[x[i]] : x[i];
}

// A panel [depth / 4][16][4] s8 becomes [depth / 2][16][2] s16.
static void widen(int8_t *to, const int8_t *weight, size_t depth) {
    for (size_t k = 0; k < depth; k += 4, weight += 64, to += 128) {
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            const v128_t w = wasm_v128_load(weight + 16 * j);
            const v128_t low = wasm_i16x8_extend_low_i8x16(w), high = wasm_i16x8_extend_high_i8x16(w);
            wasm_v128_store(to + 16 * j, wasm_i32x4_shuffle(low, high, 0, 2, 4, 6));
            wasm_v128_store(to + 64 + 16 * j, wasm_i32x4_shuffle(low, high, 1, 3, 5, 7));
        }
    }
}

ALULA_WASM_INLINE void tile(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows) {
    v128_t sum[3][4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const v128_t bias = wasm_v128_load(p->bias + 4 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    const int8_t *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const uint8_t *x[3];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < 4 * p->quads; c += 4, weight += 128) {
            v128_t v[3];
            ALULA_UNROLL for (int r = 0; r < rows; r++) v[r] = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(x[r] + c));
            ALULA_UNROLL for (int half = 0; half < 2; half++) {
                v128_t pair[3];
                ALULA_UNROLL for (int r = 0; r < rows; r++) {
                    pair[r] = half ? wasm_i32x4_shuffle(v[r], v[r], 1, 1, 1, 1) : wasm_i32x4_shuffle(v[r], v[r], 0, 0, 0, 0);
                }
                ALULA_UNROLL for (int j = 0; j < 4; j++) {
                    const v128_t w = wasm_v128_load(weight + 64 * half + 16 * j);
                    ALULA_UNROLL for (int r = 0; r < rows; r++) {
                        sum[r][j] = wasm_i32x4_add(sum[r][j], wasm_i32x4_dot_i16x8(pair[r], w));
                    }
                }
            }
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) finish(p, row + (size_t)r, sum[r]);
}

#define TILE(ROWS)                                                                                                                      \
    static void alula_gemm_u8s8_##ROWS##x16_simd128(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride) {  \
        tile(p, row, pointers, stride, ROWS);                                                                                           \
    }
TILE(3) TILE(2) TILE(1)
#undef TILE

static const alula_panel_height heights[] = {
    {3, alula_gemm_u8s8_3x16_simd128}, {2, alula_gemm_u8s8_2x16_simd128}, {1, alula_gemm_u8s8_1x16_simd128},
};

static const alula_panel_height *prepare(alula_panel *p, int8_t *repacked, int32_t bias[16], size_t rows) {
    (void)bias;
    (void)rows;
    widen(repacked, p->weight, 4 * p->quads * p->taps);
    p->weight = repacked;
    return heights;
}

void alula_conv_u8s8_simd128(const void *args, size_t begin, size_t end, void *scratch) {
    alula_walk_panels(args, begin, end, scratch, prepare);
}
#endif
