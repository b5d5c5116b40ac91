// Depthwise convolutions with AVX2, 16 channels a step. Exact for int8: u8 and s8 widened to 16 bits.
#include "conv_internal.h"
#if defined(__x86_64__)
#include "avx2_internal.h"
#include "unary.h"

#pragma STDC FP_CONTRACT OFF

// ---- int8 -------------------------------------------------------------------------------------------------------------------------
// vpmaddwd sums two taps of a channel at once, so taps go in pairs (the last one with zero weights if alone): 32 multiply-adds are two
// loads that widen, two unpacks, two vpmaddwd and two vpaddd. Unpacking is per 128-bit lane: the low sum holds channels 0-3 and 8-11,
// the high one 4-7 and 12-15, which the epilogue's packs put in order again.

enum { PIXELS = ALULA_DEPTHWISE_PIXELS };

// [taps][channels] s8 becomes [pairs of taps][channels / 16][low 8, high 8][2] s16.
ALULA_AVX2 static void pair_weights(int16_t *to, const int8_t *weight, size_t taps, size_t channels) {
    for (size_t tap = 0; tap < taps; tap += 2) {
        for (size_t c = 0; c < channels; c += 16, to += 32) {
            const __m256i w0 = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(weight + tap * channels + c)));
            __m256i w1 = _mm256_setzero_si256();
            if (tap + 1 < taps) w1 = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(weight + (tap + 1) * channels + c)));
            _mm256_store_si256((__m256i *)to, _mm256_unpacklo_epi16(w0, w1));
            _mm256_store_si256((__m256i *)to + 1, _mm256_unpackhi_epi16(w0, w1));
        }
    }
}

ALULA_AVX2_INLINE __m256 channels_f32(const float *p, int high) {
    const __m256 a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + 8);
    return high ? _mm256_permute2f128_ps(a, b, 0x31) : _mm256_permute2f128_ps(a, b, 0x20);
}

// t of the low or high 8 channels of a step; at is the output element of the step's first channel.
ALULA_AVX2_INLINE __m256 scaled(const alula_conv_u8s8_args *a, __m256i sum, const float *multiplier, size_t at, int high) {
    __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), channels_f32(multiplier, high));
    if (a->residual) {
        const __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(a->residual + at)));
        const __m256i zero = _mm256_setzero_si256();
        const __m256i wide = high ? _mm256_unpackhi_epi16(bytes, zero) : _mm256_unpacklo_epi16(bytes, zero);
        const __m256i r = _mm256_sub_epi32(wide, _mm256_set1_epi32(a->residual_zero));
        t = _mm256_add_ps(t, _mm256_mul_ps(_mm256_cvtepi32_ps(r), _mm256_set1_ps(a->residual_multiplier)));
    }
    return t;
}

// 16 channels of two pixels (the same one twice for an odd last one).
ALULA_AVX2_INLINE void finish(const alula_conv_u8s8_args *a, const __m256i x[2], const __m256i y[2], const float *multiplier, size_t at_x,
                              size_t at_y, size_t count) {
    const __m256 t[4] = {scaled(a, x[0], multiplier, at_x, 0), scaled(a, x[1], multiplier, at_x, 1), scaled(a, y[0], multiplier, at_y, 0),
                         scaled(a, y[1], multiplier, at_y, 1)};
    if (a->output_f32) {
        ALULA_UNROLL for (int i = 0; i < 2; i++) {
            float *to = a->output_f32 + (i ? at_y : at_x);
            alula_store_floats(to, _mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x20), alula_min(count, 8));
            if (count > 8) alula_store_floats(to + 8, _mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x31), count - 8);
        }
        return;
    }
    const __m256i zero = _mm256_set1_epi16((int16_t)a->zero);
    const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(alula_round_avx2(t[0]), alula_round_avx2(t[1])), zero);
    const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(alula_round_avx2(t[2]), alula_round_avx2(t[3])), zero);
    __m256i q = _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xD8);
    q = _mm256_min_epu8(_mm256_max_epu8(q, _mm256_set1_epi8((int8_t)a->low)), _mm256_set1_epi8((int8_t)a->high));
    if (a->table) q = alula_lookup_avx2(a->table, q);
    alula_store_bytes(a->output + at_x, _mm256_castsi256_si128(q), count);
    if (at_x != at_y) alula_store_bytes(a->output + at_y, _mm256_extracti128_si256(q, 1), count);
}

// 16 channels of PIXELS pixels; pointers: [taps rounded up to even][PIXELS].
ALULA_AVX2 static void alula_depthwise_u8s8_4x16_avx2(const alula_conv_u8s8_args *a, const uint8_t *const *pointers, const int16_t *weight,
                                                       size_t pairs, size_t weight_stride, size_t c, size_t pixel, size_t pixels) {
    __m256i sum[PIXELS][2];
    const __m256i b0 = _mm256_loadu_si256((const __m256i *)(a->bias + c)), b1 = _mm256_loadu_si256((const __m256i *)(a->bias + c + 8));
    ALULA_UNROLL for (int i = 0; i < PIXELS; i++) {
        sum[i][0] = _mm256_permute2x128_si256(b0, b1, 0x20);
        sum[i][1] = _mm256_permute2x128_si256(b0, b1, 0x31);
    }
    for (size_t pair = 0; pair < pairs; pair++, pointers += 2 * PIXELS, weight += weight_stride) {
        const __m256i w0 = _mm256_load_si256((const __m256i *)weight), w1 = _mm256_load_si256((const __m256i *)weight + 1);
        ALULA_UNROLL for (int i = 0; i < PIXELS; i++) {
            const __m256i x0 = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(pointers[i] + c)));
            const __m256i x1 = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(pointers[PIXELS + i] + c)));
            sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1), w0));
            sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1), w1));
        }
    }
    const size_t channels = (size_t)a->window.out_c, count = alula_min(16, channels - c);
    const size_t at = pixel * channels + c;
    finish(a, sum[0], sum[pixels > 1], a->multiplier + c, at, pixels > 1 ? at + channels : at, count);
    if (pixels <= 2) return;
    finish(a, sum[2], sum[2 + (pixels > 3)], a->multiplier + c, at + 2 * channels, at + (pixels > 3 ? 3 : 2) * channels, count);
}

ALULA_AVX2 void alula_depthwise_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t taps = alula_taps(w), pairs = (taps + 1) / 2, channels = (size_t)w->out_c, padded = alula_round_up(channels, 16);
    int16_t *weight = scratch;
    const uint8_t **pointers = (const uint8_t **)(void *)(weight + pairs * padded * 2);
    pair_weights(weight, a->weight, taps, padded);
    for (size_t row = begin; row < end; row++) {
        alula_place place = alula_place_of(w, row * (size_t)w->out_w);
        for (size_t x = 0; x < (size_t)w->out_w; x += PIXELS, place.x += PIXELS, place.in_x += PIXELS * w->stride_w) {
            const size_t pixels = alula_min(PIXELS, (size_t)w->out_w - x);
            alula_fill_depthwise_pointers(pointers, a, place, pixels);
            for (size_t c = 0; c < channels; c += 16) {
                alula_depthwise_u8s8_4x16_avx2(a, pointers, weight + 2 * c, pairs, 2 * padded, c, row * (size_t)w->out_w + x, pixels);
            }
        }
    }
}

// Each pixel's sum is one product of 16 bits: |x - zero| <= 255 and |w| <= 128.
ALULA_AVX2 void alula_conv_transpose_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, padded = alula_round_up(channels, 16), width = (size_t)w->out_w;
    const size_t kernel_h = (size_t)w->kernel_h, kernel_w = (size_t)w->kernel_w;
    const __m256i zero = _mm256_set1_epi16(a->pad_row[0]);
    for (size_t row = begin; row < end; row++) {
        const uint8_t *in = a->input + row / kernel_h * (size_t)w->in_w * channels;
        for (size_t c = 0; c < channels; c += 16) {
            const int8_t *weight = a->weight + row % kernel_h * kernel_w * padded + c;
            const __m256i b0 = _mm256_loadu_si256((const __m256i *)(a->bias + c)), b1 = _mm256_loadu_si256((const __m256i *)(a->bias + c + 8));
            const __m256i low = _mm256_permute2x128_si256(b0, b1, 0x20), high = _mm256_permute2x128_si256(b0, b1, 0x31);
            size_t at = row * width * channels + c;
            for (size_t x = 0; x < width; x += kernel_w) {
                const __m256i v = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(in + x / kernel_w * channels + c))), zero);
                for (size_t kx = 0; kx < kernel_w; kx += 2, at += 2 * channels) {
                    const size_t other = kx + 1 < kernel_w;
                    __m256i sum[2][2];
                    ALULA_UNROLL for (size_t i = 0; i < 2; i++) {
                        const __m128i s8 = _mm_load_si128((const __m128i *)(weight + (kx + i * other) * padded));
                        const __m256i product = _mm256_mullo_epi16(v, _mm256_cvtepi8_epi16(s8)), sign = _mm256_srai_epi16(product, 15);
                        sum[i][0] = _mm256_add_epi32(low, _mm256_unpacklo_epi16(product, sign));
                        sum[i][1] = _mm256_add_epi32(high, _mm256_unpackhi_epi16(product, sign));
                    }
                    finish(a, sum[0], sum[1], a->multiplier + c, at, at + other * channels, alula_min(16, channels - c));
                    if (!other) at -= channels;
                }
            }
        }
    }
}

// ---- f32 --------------------------------------------------------------------------------------------------------------------------
// No scratch here: taps are walked anew for each pixel, 32 channels a step, which hides the latency of 4 in four chains.

ALULA_AVX2_INLINE void depthwise_step(const alula_conv_f32_args *a, const alula_place *place, size_t pixel, size_t c, const int vectors) {
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, padded = alula_round_up(channels, 16);
    __m256 sum[4];
    ALULA_UNROLL for (int v = 0; v < vectors; v++) sum[v] = a->bias ? _mm256_loadu_ps(a->bias + c + (size_t)(8 * v)) : _mm256_setzero_ps();
    const float *weight = a->weight + c;
    for (int32_t ky = 0; ky < w->kernel_h; ky++) {
        for (int32_t kx = 0; kx < w->kernel_w; kx++, weight += padded) {
            const int64_t offset = alula_tap_offset(w, place, ky, kx);
            const float *x = (offset < 0 ? a->pad_row : a->input + offset) + c;
            ALULA_UNROLL for (int v = 0; v < vectors; v++) {
                sum[v] = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8 * v), _mm256_loadu_ps(weight + 8 * v), sum[v]);
            }
        }
    }
    if (a->activation != ALULA_NONE) {
        float x[32] __attribute__((aligned(32)));
        ALULA_UNROLL for (int v = 0; v < vectors; v++) _mm256_store_ps(x + 8 * v, sum[v]);
        alula_unary_f32_apply_avx2(a->activation, x, (size_t)(8 * vectors));
        ALULA_UNROLL for (int v = 0; v < vectors; v++) sum[v] = _mm256_load_ps(x + 8 * v);
    }
    ALULA_UNROLL for (int v = 0; v < vectors; v++) {
        const size_t first = c + (size_t)(8 * v), at = pixel * channels + first;
        if (first >= channels) return;
        if (a->residual) sum[v] = _mm256_add_ps(sum[v], _mm256_loadu_ps(a->residual + at));
        alula_store_floats(a->output + at, sum[v], alula_min(8, channels - first));
    }
}

ALULA_AVX2 void alula_depthwise_f32_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, row = (size_t)w->out_w;
    alula_place place = alula_place_of(w, begin * row);
    for (size_t pixel = begin * row; pixel < end * row; pixel++, alula_place_advance(w, &place)) {
        size_t c = 0;
        for (; c + 32 <= channels; c += 32) depthwise_step(a, &place, pixel, c, 4);
        for (; c < channels; c += 16) depthwise_step(a, &place, pixel, c, 2);
    }
}
#endif
