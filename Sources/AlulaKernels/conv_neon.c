// int8 convolution with the base set of 64-bit Arm (Cortex-A53, A57, A72), exact.
//
// There is no product of u8 and s8, so the activations' sign bit is flipped (x - 128) and 128 times the weights' sum added to the bias,
// once a panel. smull and smlal2 then sum two products in 16 bits, which holds 2 * 128 * 127 = 32512, and sadalp adds neighbours into
// 32 bits: 16 multiply-adds in three instructions, where widening to 16 bits first makes 4 an instruction. A weight of -128 (the
// quantizer writes none) could overflow the pair; a panel with one sums every product in 32 bits.
//
// Bound: one such instruction a cycle on A53 and A55, 5.3 multiply-adds. A 2x16 tile has 48 of them for 8 + 2 loads and 4 more to flip and
// spread the activations; a third row would spill.
#include "neon_internal.h"
#if ALULA_ARM64

#pragma STDC FP_CONTRACT OFF

// A panel [taps][quads][16][4] becomes, a pair of quads, 8 registers of two channels: 8 bytes of the first quad, then 8 of the second. An
// odd last quad is paired with zeros.
static void repack(int8_t *to, const int8_t *weight, size_t taps, size_t quads) {
    for (size_t tap = 0; tap < taps; tap++) {
        for (size_t q = 0; q < quads; q += 2, to += 128) {
            const int alone = q + 1 == quads;
            ALULA_UNROLL for (int j = 0; j < 4; j++) {
                const int8x16_t a = vld1q_s8(weight + 16 * j), b = alone ? vdupq_n_s8(0) : vld1q_s8(weight + 64 + 16 * j);
                vst1q_s8(to + 32 * j, vcombine_s8(vget_low_s8(a), vget_low_s8(b)));
                vst1q_s8(to + 32 * j + 16, vcombine_s8(vget_high_s8(a), vget_high_s8(b)));
            }
            weight += alone ? 64 : 128;
        }
    }
}

// apart: sums every product in 32 bits.
ALULA_NEON_INLINE void tile(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows,
                            const int apart) {
    // Register j of a row: channels 2j and 2j + 1, two partial sums of each.
    int32x4_t sum[2][8];
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        ALULA_UNROLL for (int j = 0; j < 8; j++) sum[r][j] = vdupq_n_s32(0);
    }
    const int8_t *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const uint8_t *x[2];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < 4 * p->quads; c += 8, weight += 128) {
            int8x16_t v[2];
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                const uint32x2_t two = vreinterpret_u32_u8(veor_u8(vld1_u8(x[r] + c), vdup_n_u8(0x80)));
                const uint32x4_t wide = vcombine_u32(two, two);
                v[r] = vreinterpretq_s8_u32(vzip1q_u32(wide, wide));
            }
            ALULA_UNROLL for (int j = 0; j < 8; j += 2) {
                const int8x16_t w[2] = {vld1q_s8(weight + 16 * j), vld1q_s8(weight + 16 * j + 16)};
                ALULA_UNROLL for (int i = 0; i < 2; i++) {
                    ALULA_UNROLL for (int r = 0; r < rows; r++) {
                        const int16x8_t first = vmull_s8(vget_low_s8(w[i]), vget_low_s8(v[r]));
                        if (apart) {
                            sum[r][j + i] = vpadalq_s16(vpadalq_s16(sum[r][j + i], first), vmull_high_s8(w[i], v[r]));
                        } else {
                            sum[r][j + i] = vpadalq_s16(sum[r][j + i], vmlal_high_s8(first, w[i], v[r]));
                        }
                    }
                }
                // The next products wait for these sums: the compiler would start all at once, and spill sums for it.
                ALULA_UNROLL for (int r = 0; r < rows; r++) __asm__("" : "+w"(v[r]), "+w"(sum[r][j]), "+w"(sum[r][j + 1]));
            }
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        int32x4_t done[4];
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            done[j] = vaddq_s32(vpaddq_s32(sum[r][2 * j], sum[r][2 * j + 1]), vld1q_s32(p->bias + 4 * j));
        }
        alula_neon_finish_row(p, row + (size_t)r, done);
    }
}

#define TILE(NAME, ROWS, APART)                                                                                                         \
    static void alula_gemm_u8s8_##NAME##_neon(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride) {   \
        tile(p, row, pointers, stride, ROWS, APART);                                                                                    \
    }
TILE(2x16, 2, 0) TILE(1x16, 1, 0) TILE(1x16_apart, 1, 1)
#undef TILE

static const alula_panel_height heights[] = {
    {2, alula_gemm_u8s8_2x16_neon}, {1, alula_gemm_u8s8_1x16_neon},
};
static const alula_panel_height heights_apart[] = {{1, alula_gemm_u8s8_1x16_apart_neon}};

static const alula_panel_height *prepare(alula_panel *p, int8_t *repacked, int32_t bias[16], size_t rows) {
    (void)rows;
    const int8_t least = alula_neon_adjust_bias(bias, p->bias, p->weight, 4 * p->quads * p->taps);
    repack(repacked, p->weight, p->taps, p->quads);
    p->weight = repacked;
    p->bias = bias;
    return least == -128 ? heights_apart : heights;
}

void alula_conv_u8s8_neon(const void *args, size_t begin, size_t end, void *scratch) {
    alula_walk_panels(args, begin, end, scratch, prepare);
}
#endif
