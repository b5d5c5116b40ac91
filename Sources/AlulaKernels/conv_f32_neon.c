// f32 convolution on 64-bit Arm: per output, the same chain of fused multiply-adds as the scalar definition.
//
// Bound: one 4-wide fused multiply-add a cycle on A55, two on A76. A 6x16 tile has 96 of them a 4 channels, for 16 + 6 loads, and uses
// 31 of 32 registers. Structure as in conv_neondot.c.
#include "neon_internal.h"
#if ALULA_ARM64
#include "unary.h"

#pragma STDC FP_CONTRACT OFF

// A panel of 16 output channels (the last may have less) and where its results go.
typedef struct {
    const alula_conv_f32_args *args;
    const float *weight, *bias;
    size_t taps, inputs, column, count;
} panel;

// Activation, then residual, which may be the output's memory: so a row is finished before it is stored.
ALULA_NEON_INLINE void finish(const alula_conv_f32_args *a, size_t at, size_t count, float32x4_t sum[4]) {
    if (a->activation != ALULA_NONE) {
        float x[16];
        ALULA_UNROLL for (int j = 0; j < 4; j++) vst1q_f32(x + 4 * j, sum[j]);
        alula_unary_f32_apply_scalar(a->activation, x, 16);
        ALULA_UNROLL for (int j = 0; j < 4; j++) sum[j] = vld1q_f32(x + 4 * j);
    }
    if (a->residual) {
        ALULA_UNROLL for (int j = 0; j < 4; j++) sum[j] = vaddq_f32(sum[j], vld1q_f32(a->residual + at + 4 * j));
    }
    alula_neon_store_floats(a->output + at, sum, count);
}

// One channel, `lane` of the inputs.
ALULA_NEON_INLINE void step(float32x4_t sum[6][4], const float *weight, const float32x4_t *v, const int rows, const int lane) {
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const float32x4_t w = vld1q_f32(weight + 4 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) {
            switch (lane) {
            case 0: sum[r][j] = vfmaq_laneq_f32(sum[r][j], w, v[r], 0); break;
            case 1: sum[r][j] = vfmaq_laneq_f32(sum[r][j], w, v[r], 1); break;
            case 2: sum[r][j] = vfmaq_laneq_f32(sum[r][j], w, v[r], 2); break;
            default: sum[r][j] = vfmaq_laneq_f32(sum[r][j], w, v[r], 3);
            }
        }
    }
}

// pointers: [taps][stride], of which the first `rows` of each tap are this tile's.
ALULA_NEON_INLINE void tile(const panel *p, size_t row, const float *const *pointers, size_t stride, const int rows) {
    float32x4_t sum[6][4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const float32x4_t bias = p->bias ? vld1q_f32(p->bias + 4 * j) : vdupq_n_f32(0);
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    const float *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const float *x[6];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        // Up to 3 floats beyond the last channel are read, and not used.
        for (size_t left = p->inputs; left > 0; left -= alula_min(left, 4)) {
            float32x4_t v[6];
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                v[r] = vld1q_f32(x[r]);
                x[r] += 4;
            }
            if (left >= 4) {
                ALULA_UNROLL for (int lane = 0; lane < 4; lane++) step(sum, weight + 16 * lane, v, rows, lane);
                weight += 64;
                continue;
            }
            step(sum, weight, v, rows, 0);
            if (left > 1) step(sum, weight + 16, v, rows, 1);
            if (left > 2) step(sum, weight + 32, v, rows, 2);
            weight += 16 * left;
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        finish(p->args, (row + (size_t)r) * (size_t)p->args->window.out_c + p->column, p->count, sum[r]);
    }
}

typedef void (*tile_kernel)(const panel *p, size_t row, const float *const *pointers, size_t stride);

#define TILE(ROWS)                                                                                                                      \
    static void alula_gemm_f32_##ROWS##x16_neon(const panel *p, size_t row, const float *const *pointers, size_t stride) {              \
        tile(p, row, pointers, stride, ROWS);                                                                                           \
    }
TILE(6) TILE(4) TILE(2) TILE(1)
#undef TILE

enum { HEIGHTS = 4 };
static const struct { size_t rows; tile_kernel tile; } heights[HEIGHTS] = {
    {6, alula_gemm_f32_6x16_neon}, {4, alula_gemm_f32_4x16_neon}, {2, alula_gemm_f32_2x16_neon}, {1, alula_gemm_f32_1x16_neon},
};

void alula_conv_f32_neon(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    if (begin >= end) return;
    const size_t outputs = alula_group_outputs(w), padded = alula_round_up(outputs, 16), inputs = alula_group_inputs(w);
    const size_t taps = alula_taps(w), depth = taps * inputs, block = alula_block_rows(end - begin, ALULA_POINTER_ROWS, 12);
    const float *const *pointers = scratch;
    alula_place block_place = alula_place_of(w, begin);
    for (size_t row = begin; row < end; row += block) {
        const size_t rows = alula_min(block, end - row);
        alula_place place = block_place;
        for (size_t group = 0; group < (size_t)w->groups; group++) {
            place = block_place;
            alula_fill_pointers(scratch, w, a->input, a->pad_row, sizeof(float), &place, rows, block, group);
            for (size_t n = 0; n < outputs; n += 16) {
                const size_t channel = group * padded + n;
                const panel p = {a, a->weight + channel * depth, a->bias ? a->bias + channel : 0, taps, inputs, group * outputs + n,
                                 alula_min(16, outputs - n)};
                size_t done = 0;
                for (int h = 0; h < HEIGHTS; h++) {
                    for (; done + heights[h].rows <= rows; done += heights[h].rows) heights[h].tile(&p, row + done, pointers + done, block);
                }
            }
        }
        block_place = place;
    }
}

// ---- Depthwise --------------------------------------------------------------------------------------------------------------------
// Taps are walked anew for each pixel, 16 channels a step in four chains; bound by its loads, two a multiply-add.

void alula_depthwise_f32_neon(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, padded = alula_round_up(channels, 16), row = (size_t)w->out_w;
    alula_place place = alula_place_of(w, begin * row);
    for (size_t pixel = begin * row; pixel < end * row; pixel++, alula_place_advance(w, &place)) {
        for (size_t c = 0; c < channels; c += 16) {
            float32x4_t sum[4];
            ALULA_UNROLL for (int j = 0; j < 4; j++) sum[j] = a->bias ? vld1q_f32(a->bias + c + 4 * j) : vdupq_n_f32(0);
            const float *weight = a->weight + c;
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                for (int32_t kx = 0; kx < w->kernel_w; kx++, weight += padded) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    const float *x = (offset < 0 ? a->pad_row : a->input + offset) + c;
                    ALULA_UNROLL for (int j = 0; j < 4; j++) {
                        sum[j] = vfmaq_f32(sum[j], vld1q_f32(x + 4 * j), vld1q_f32(weight + 4 * j));
                    }
                }
            }
            finish(a, pixel * channels + c, alula_min(16, channels - c), sum);
        }
    }
}
#endif
