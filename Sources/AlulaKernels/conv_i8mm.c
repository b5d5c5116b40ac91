// int8 convolution with the Arm int8 matrix extension (Cortex-A510, A710, X2, Neoverse N2, V1 and later): products of u8 and s8 directly.
//
// usmmla multiplies two pixels by two channels over 8 bytes of depth: 32 multiply-adds, twice those of sudot. It wants 8 bytes of a
// channel side by side where the file has 4, so a panel is repacked, once a block of rows. Fewer than 4 rows would not repay that and
// use sudot on the panel as it is.
//
// Bound: two usmmla a cycle on A710 and Neoverse N2. A 6x16 tile has 24 of them for 8 + 6 loads.
#include "neon_internal.h"
#if ALULA_ARM64
#define ALULA_I8MM __attribute__((target("i8mm")))
#define ALULA_I8MM_INLINE __attribute__((target("i8mm"), always_inline)) static inline

#pragma STDC FP_CONTRACT OFF

// A panel [taps][quads][16][4] becomes, a pair of quads, [16][8]. An odd last quad is paired with zeros.
static void repack(int8_t *to, const int8_t *weight, size_t taps, size_t quads) {
    for (size_t tap = 0; tap < taps; tap++) {
        for (size_t q = 0; q < quads; q += 2, to += 128) {
            const int alone = q + 1 == quads;
            ALULA_UNROLL for (int j = 0; j < 4; j++) {
                const int32x4_t a = vreinterpretq_s32_s8(vld1q_s8(weight + 16 * j));
                const int32x4_t b = alone ? vdupq_n_s32(0) : vreinterpretq_s32_s8(vld1q_s8(weight + 64 + 16 * j));
                vst1q_s8(to + 32 * j, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
                vst1q_s8(to + 32 * j + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
            }
            weight += alone ? 64 : 128;
        }
    }
}

// A register of sums: channels 2j and 2j + 1 of one pixel, then of the next; an odd last pixel is its own neighbour.
ALULA_I8MM_INLINE void tile(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows) {
    const int pairs = (rows + 1) / 2;
    int32x4_t sum[3][8];
    ALULA_UNROLL for (int j = 0; j < 8; j++) {
        const int32x2_t bias = vld1_s32(p->bias + 2 * j);
        ALULA_UNROLL for (int r = 0; r < pairs; r++) sum[r][j] = vcombine_s32(bias, bias);
    }
    const int8_t *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const uint8_t *x[6];
        ALULA_UNROLL for (int r = 0; r < 2 * pairs; r++) x[r] = pointers[r < rows ? r : rows - 1];
        // Up to 4 bytes beyond the last quad are read, and meet zeros.
        for (size_t c = 0; c < 4 * p->quads; c += 8, weight += 128) {
            uint8x16_t v[3];
            ALULA_UNROLL for (int r = 0; r < pairs; r++) v[r] = vcombine_u8(vld1_u8(x[2 * r] + c), vld1_u8(x[2 * r + 1] + c));
            ALULA_UNROLL for (int j = 0; j < 8; j++) {
                const int8x16_t w = vld1q_s8(weight + 16 * j);
                ALULA_UNROLL for (int r = 0; r < pairs; r++) sum[r][j] = vusmmlaq_s32(sum[r][j], v[r], w);
            }
        }
    }
    ALULA_UNROLL for (int r = 0; r < pairs; r++) {
        int32x4_t first[4], second[4];
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            first[j] = vcombine_s32(vget_low_s32(sum[r][2 * j]), vget_low_s32(sum[r][2 * j + 1]));
            second[j] = vcombine_s32(vget_high_s32(sum[r][2 * j]), vget_high_s32(sum[r][2 * j + 1]));
        }
        alula_neon_finish_row(p, row + (size_t)(2 * r), first);
        if (2 * r + 1 < rows) alula_neon_finish_row(p, row + (size_t)(2 * r + 1), second);
    }
}

// A few rows on the panel as it is.
ALULA_I8MM_INLINE void flat_tile(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows) {
    int32x4_t sum[2][4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const int32x4_t bias = vld1q_s32(p->bias + 4 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    const int8_t *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        for (size_t c = 0; c < 4 * p->quads; c += 4, weight += 64) {
            uint8x16_t v[2];
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                uint32_t four;
                __builtin_memcpy(&four, pointers[r] + c, 4);
                v[r] = vreinterpretq_u8_u32(vdupq_n_u32(four));
            }
            ALULA_UNROLL for (int j = 0; j < 4; j++) {
                const int8x16_t w = vld1q_s8(weight + 16 * j);
                ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = vusdotq_s32(sum[r][j], v[r], w);
            }
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) alula_neon_finish_row(p, row + (size_t)r, sum[r]);
}

#define TILE(NAME, BODY, COUNT)                                                                                                         \
    ALULA_I8MM static void alula_gemm_u8s8_##NAME##_i8mm(const alula_panel *p, size_t row, const uint8_t *const *pointers,         \
                                                         size_t stride) {                                                               \
        BODY(p, row, pointers, stride, COUNT);                                                                                          \
    }
TILE(6x16, tile, 6) TILE(4x16, tile, 4) TILE(2x16, tile, 2) TILE(1x16, tile, 1)
TILE(2x16_flat, flat_tile, 2) TILE(1x16_flat, flat_tile, 1)
#undef TILE

static const alula_panel_height heights[] = {
    {6, alula_gemm_u8s8_6x16_i8mm}, {4, alula_gemm_u8s8_4x16_i8mm}, {2, alula_gemm_u8s8_2x16_i8mm}, {1, alula_gemm_u8s8_1x16_i8mm},
};
static const alula_panel_height flat_heights[] = {{2, alula_gemm_u8s8_2x16_flat_i8mm}, {1, alula_gemm_u8s8_1x16_flat_i8mm}};

static const alula_panel_height *prepare(alula_panel *p, int8_t *repacked, int32_t bias[16], size_t rows) {
    (void)bias;
    if (rows < 4) return flat_heights;
    repack(repacked, p->weight, p->taps, p->quads);
    p->weight = repacked;
    return heights;
}

void alula_conv_u8s8_i8mm(const void *args, size_t begin, size_t end, void *scratch) {
    alula_walk_panels(args, begin, end, scratch, prepare);
}
#endif
