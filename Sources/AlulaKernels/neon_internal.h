// What the Arm convolution files share: flipped signs, requantization and table lookup.
// Everything here is in the base set of 64-bit Arm, so it may be inlined into functions of any target.
#pragma once
#include "conv_panels.h"
#if ALULA_ARM64
#include <arm_neon.h>

#define ALULA_NEON_INLINE __attribute__((always_inline)) static inline
#define ALULA_UNROLL _Pragma("clang loop unroll(full)")

// bias + 128 * sum of the weights, of a panel [depth / 4][16][4]: what flipping the sign bit of every activation takes away.
// Returns the least weight.
ALULA_NEON_INLINE int8_t alula_neon_adjust_bias(int32_t to[16], const int32_t *bias, const int8_t *weight, size_t depth) {
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    int8x16_t least = vdupq_n_s8(0);
    for (size_t k = 0; k < depth; k += 4, weight += 64) {
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            const int8x16_t w = vld1q_s8(weight + 16 * j);
            sum[j] = vpadalq_s16(sum[j], vpaddlq_s8(w));
            least = vminq_s8(least, w);
        }
    }
    ALULA_UNROLL for (int j = 0; j < 4; j++) vst1q_s32(to + 4 * j, vaddq_s32(vld1q_s32(bias + 4 * j), vshlq_n_s32(sum[j], 7)));
    return vminvq_s8(least);
}

// ---- Epilogue ---------------------------------------------------------------------------------------------------------------------

typedef struct { uint8x16x4_t part[4]; } alula_neon_table;

ALULA_NEON_INLINE alula_neon_table alula_neon_load_table(const uint8_t *table) {
    const alula_neon_table t = {{vld1q_u8_x4(table), vld1q_u8_x4(table + 64), vld1q_u8_x4(table + 128), vld1q_u8_x4(table + 192)}};
    return t;
}

// table[x] for 16 bytes: each lookup covers 64 entries and leaves other bytes as they are.
ALULA_NEON_INLINE uint8x16_t alula_neon_lookup(const alula_neon_table *table, uint8x16_t x) {
    uint8x16_t y = vqtbl4q_u8(table->part[0], x);
    y = vqtbx4q_u8(y, table->part[1], veorq_u8(x, vdupq_n_u8(64)));
    y = vqtbx4q_u8(y, table->part[2], veorq_u8(x, vdupq_n_u8(128)));
    return vqtbx4q_u8(y, table->part[3], veorq_u8(x, vdupq_n_u8(192)));
}

// Stores the first n (1...16) bytes. A store of 16 would touch the next pixel: another thread's, or a residual still to be read.
ALULA_NEON_INLINE void alula_neon_store_bytes(uint8_t *output, uint8x16_t x, size_t n) {
    if (n >= 16) {
        vst1q_u8(output, x);
        return;
    }
    uint64_t rest = vgetq_lane_u64(vreinterpretq_u64_u8(x), 0);
    if (n & 8) {
        __builtin_memcpy(output, &rest, 8);
        rest = vgetq_lane_u64(vreinterpretq_u64_u8(x), 1);
        output += 8;
    }
    if (n & 4) {
        const uint32_t four = (uint32_t)rest;
        __builtin_memcpy(output, &four, 4);
        rest >>= 32;
        output += 4;
    }
    for (size_t i = 0; i < (n & 3); i++) output[i] = (uint8_t)(rest >> (8 * i));
}

// Stores the first n (1...16) floats.
ALULA_NEON_INLINE void alula_neon_store_floats(float *output, const float32x4_t x[4], size_t n) {
    ALULA_UNROLL for (int j = 0; j < 4; j++, output += 4) {
        if (n >= (size_t)(4 * j + 4)) {
            vst1q_f32(output, x[j]);
        } else if (n > (size_t)(4 * j)) {
            float left[4];
            vst1q_f32(left, x[j]);
            for (size_t i = 0; i < n - (size_t)(4 * j); i++) output[i] = left[i];
        }
    }
}

// Requantizes and stores 16 channels of one pixel, of which count are stored; at is the output element of the first.
ALULA_NEON_INLINE void alula_neon_finish(const alula_conv_u8s8_args *a, const float *multiplier, size_t at, size_t count,
                                         const int32x4_t sum[4]) {
    float32x4_t t[4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) t[j] = vmulq_f32(vcvtq_f32_s32(sum[j]), vld1q_f32(multiplier + 4 * j));
    if (a->residual) {
        const uint8x16_t bytes = vld1q_u8(a->residual + at);
        const uint16x8_t halves[2] = {vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes)};
        const int32x4_t zero = vdupq_n_s32(a->residual_zero);
        const float32x4_t scale = vdupq_n_f32(a->residual_multiplier);
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            const uint32x4_t wide = j % 2 ? vmovl_high_u16(halves[j / 2]) : vmovl_u16(vget_low_u16(halves[j / 2]));
            t[j] = vaddq_f32(t[j], vmulq_f32(vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(wide), zero)), scale));
        }
    }
    if (a->output_f32) {
        alula_neon_store_floats(a->output_f32 + at, t, count);
        return;
    }
    // Ties to even, saturating. Saturation at +-32767 before and after adding the zero point changes no clamped byte.
    const int16x8_t zero = vdupq_n_s16((int16_t)a->zero);
    const int16x8_t first = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(t[0])), vcvtnq_s32_f32(t[1]));
    const int16x8_t second = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(t[2])), vcvtnq_s32_f32(t[3]));
    uint8x16_t q = vqmovun_high_s16(vqmovun_s16(vqaddq_s16(first, zero)), vqaddq_s16(second, zero));
    q = vminq_u8(vmaxq_u8(q, vdupq_n_u8((uint8_t)a->low)), vdupq_n_u8((uint8_t)a->high));
    if (a->table) {
        const alula_neon_table table = alula_neon_load_table(a->table);
        q = alula_neon_lookup(&table, q);
    }
    alula_neon_store_bytes(a->output + at, q, count);
}

ALULA_NEON_INLINE void alula_neon_finish_row(const alula_panel *p, size_t row, const int32x4_t sum[4]) {
    alula_neon_finish(p->args, p->multiplier, row * (size_t)p->args->window.out_c + p->column, p->count, sum);
}
#endif
