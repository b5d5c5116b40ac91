// int8 convolution with the Arm dot product (Cortex-A55, A75, A76 and later): sdot adds four products of s8 and s8 into each i32.
//
// The activations' sign bit is flipped (x - 128), a sixteenth of the work, and 128 times the weights' sum added to the bias, once a panel.
//
// Bound: one sdot of 16 multiply-adds a cycle on A55, two on A76. A 6x16 tile has 96 of them a 16 bytes of depth, for 16 + 6 loads and 6
// flips, and uses 31 of 32 registers.
#include "neon_internal.h"
#if ALULA_ARM64
#define ALULA_NEONDOT __attribute__((target("dotprod")))
#define ALULA_NEONDOT_INLINE __attribute__((target("dotprod"), always_inline)) static inline

#pragma STDC FP_CONTRACT OFF

// One quad of depth, `lane` of the activations.
ALULA_NEONDOT_INLINE void step(int32x4_t sum[6][4], const int8_t *weight, const int8x16_t *v, const int rows, const int lane) {
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const int8x16_t w = vld1q_s8(weight + 16 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) {
            switch (lane) {
            case 0: sum[r][j] = vdotq_laneq_s32(sum[r][j], w, v[r], 0); break;
            case 1: sum[r][j] = vdotq_laneq_s32(sum[r][j], w, v[r], 1); break;
            case 2: sum[r][j] = vdotq_laneq_s32(sum[r][j], w, v[r], 2); break;
            default: sum[r][j] = vdotq_laneq_s32(sum[r][j], w, v[r], 3);
            }
        }
    }
}

ALULA_NEONDOT_INLINE void tile(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows) {
    int32x4_t sum[6][4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const int32x4_t bias = vld1q_s32(p->bias + 4 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    const int8_t *weight = p->weight;
    const uint8x16_t flip = vdupq_n_u8(0x80);
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const uint8_t *x[6];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        // Up to 12 bytes beyond the last quad are read, and not used.
        for (size_t left = p->quads; left > 0; left -= alula_min(left, 4)) {
            int8x16_t v[6];
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                v[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x[r]), flip));
                x[r] += 16;
                // Weights are loaded once this is done: earlier, they and the constant together would spill sums.
                __asm__("" : "+r"(weight), "+w"(v[r]));
            }
            if (left >= 4) {
                ALULA_UNROLL for (int lane = 0; lane < 4; lane++) step(sum, weight + 64 * lane, v, rows, lane);
                weight += 256;
                continue;
            }
            step(sum, weight, v, rows, 0);
            if (left > 1) step(sum, weight + 64, v, rows, 1);
            if (left > 2) step(sum, weight + 128, v, rows, 2);
            weight += 64 * left;
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) alula_neon_finish_row(p, row + (size_t)r, sum[r]);
}

#define TILE(ROWS)                                                                                                                      \
    ALULA_NEONDOT static void alula_gemm_u8s8_##ROWS##x16_neondot(const alula_panel *p, size_t row,                                \
                                                                  const uint8_t *const *pointers, size_t stride) {                      \
        tile(p, row, pointers, stride, ROWS);                                                                                           \
    }
TILE(6) TILE(4) TILE(2) TILE(1)
#undef TILE

static const alula_panel_height heights[] = {
    {6, alula_gemm_u8s8_6x16_neondot}, {4, alula_gemm_u8s8_4x16_neondot}, {2, alula_gemm_u8s8_2x16_neondot},
    {1, alula_gemm_u8s8_1x16_neondot},
};

static const alula_panel_height *prepare(alula_panel *p, int8_t *repacked, int32_t bias[16], size_t rows) {
    (void)repacked;
    (void)rows;
    alula_neon_adjust_bias(bias, p->bias, p->weight, 4 * p->quads * p->taps);
    p->bias = bias;
    return heights;
}

void alula_conv_u8s8_neondot(const void *args, size_t begin, size_t end, void *scratch) {
    alula_walk_panels(args, begin, end, scratch, prepare);
}
#endif
