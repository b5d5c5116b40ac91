// int8 depthwise convolution on 64-bit Arm, 16 channels of 4 pixels a step. Exact: u8 and s8 widened to 16 bits for smlal.
//
// Bound: a tap is 4 smlal and 2 uxtl a pixel for 16 multiply-adds, and 2 sxtl shared by the pixels: 2.5 an instruction. smull of bytes
// needs a third less, but flipped signs, sums of weights and a way out for weights of -128.
#include "neon_internal.h"
#if ALULA_ARM64

#pragma STDC FP_CONTRACT OFF

enum { PIXELS = ALULA_DEPTHWISE_PIXELS };

// 16 channels from c of `pixels` pixels; pointers: [taps][PIXELS], spare ones repeat valid ones.
static void alula_depthwise_u8s8_4x16_neon(const alula_conv_u8s8_args *a, const uint8_t *const *pointers, size_t taps, size_t padded,
                                           size_t c, size_t pixel, size_t pixels) {
    int32x4_t sum[PIXELS][4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) {
        const int32x4_t bias = vld1q_s32(a->bias + c + 4 * j);
        ALULA_UNROLL for (int i = 0; i < PIXELS; i++) sum[i][j] = bias;
    }
    const int8_t *weight = a->weight + c;
    for (size_t tap = 0; tap < taps; tap++, pointers += PIXELS, weight += padded) {
        const int8x16_t bytes = vld1q_s8(weight);
        const int16x8_t w[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
        ALULA_UNROLL for (int i = 0; i < PIXELS; i++) {
            const uint8x16_t x = vld1q_u8(pointers[i] + c);
            const int16x8_t v[2] = {vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x))), vreinterpretq_s16_u16(vmovl_high_u8(x))};
            ALULA_UNROLL for (int h = 0; h < 2; h++) {
                sum[i][2 * h] = vmlal_s16(sum[i][2 * h], vget_low_s16(v[h]), vget_low_s16(w[h]));
                sum[i][2 * h + 1] = vmlal_high_s16(sum[i][2 * h + 1], v[h], w[h]);
            }
        }
    }
    const size_t channels = (size_t)a->window.out_c, count = alula_min(16, channels - c);
    ALULA_UNROLL for (int i = 0; i < PIXELS; i++) {
        if ((size_t)i >= pixels) return;
        alula_neon_finish(a, a->multiplier + c, (pixel + (size_t)i) * channels + c, count, sum[i]);
    }
}

void alula_depthwise_u8s8_neon(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t taps = alula_taps(w), channels = (size_t)w->out_c, padded = alula_round_up(channels, 16);
    for (size_t row = begin; row < end; row++) {
        alula_place place = alula_place_of(w, row * (size_t)w->out_w);
        for (size_t x = 0; x < (size_t)w->out_w; x += PIXELS, place.x += PIXELS, place.in_x += PIXELS * w->stride_w) {
            const size_t pixels = alula_min(PIXELS, (size_t)w->out_w - x);
            alula_fill_depthwise_pointers(scratch, a, place, pixels);
            for (size_t c = 0; c < channels; c += 16) {
                alula_depthwise_u8s8_4x16_neon(a, scratch, taps, padded, c, row * (size_t)w->out_w + x, pixels);
            }
        }
    }
}
#endif
