// Depthwise convolutions with AVX2, 16 channels a step. Exact for int8: u8 and s8 widened to 16 bits.
#include "conv_internal.h"
#if defined(__x86_64__)
#include "avx2_internal.h"
#include "unary.h"

#pragma STDC FP_CONTRACT OFF

// ---- int8 -------------------------------------------------------------------------------------------------------------------------
// Bound: vpmaddwd sums two taps of a channel at once, 16 multiply-adds for itself and a vpaddd. So everything else happens once:
//  - for 16 channels at a time, input rows are widened and zipped in pairs, with the padding, into a ring in scratch. With stride 1 two
//    output rows use the same pairs (the one a tap of weight 0 at the end, the other at the beginning); up to stride 2 each pair is made once;
//  - the inner loop has two vpmaddwd and two vpaddd for 32 multiply-adds, and no branch.
// Requantization is a third of the work at 3x3. Zipping is per 128-bit lane: the low sum holds channels 0-3 and 8-11, the high one 4-7
// and 12-15, which the epilogue's packs put in order again.

enum { PIXELS = 4 };

// One row of 16 channels: bytes, and from one pixel to the next.
typedef struct { const uint8_t *from; size_t step; } channel_row;

// A row of the input, or one of padding.
static channel_row row_of(const alula_conv_u8s8_args *a, size_t image, int64_t y, int64_t last, size_t c) {
    const alula_window *w = &a->window;
    if (y < 0 || y >= w->in_h || y > last) return (channel_row){a->pad_row + c, 0};
    return (channel_row){a->input + (image * (size_t)w->in_h + (size_t)y) * (size_t)w->in_w * (size_t)w->in_c + c, (size_t)w->in_c};
}

ALULA_AVX2_INLINE void zip(__m256i *to, const uint8_t *x, const uint8_t *y) {
    const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x)), b = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)y));
    _mm256_store_si256(to, _mm256_unpacklo_epi16(a, b));
    _mm256_store_si256(to + 1, _mm256_unpackhi_epi16(a, b));
}

// to: [columns][low, high] of [8 channels][2 rows] s16, where column 0 is the leftmost that any window sees.
ALULA_AVX2 static void zip_rows(__m256i *to, const alula_conv_u8s8_args *a, channel_row upper, channel_row lower, size_t columns, size_t c) {
    const size_t left = alula_min((size_t)a->window.pad_left, columns), right = alula_min(left + (size_t)a->window.in_w, columns);
    const uint8_t *padding = a->pad_row + c;
    size_t j = 0;
    for (; j < left; j++) zip(to + 2 * j, padding, padding);
    for (; j < right; j++) zip(to + 2 * j, upper.from + (j - left) * upper.step, lower.from + (j - left) * lower.step);
    for (; j < columns; j++) zip(to + 2 * j, padding, padding);
}

// [taps][channels] s8 become [pairs of rows][kernel_w][low, high] of [8 channels][2] s16 for 16 channels. The first tap of a window is the
// first of the pair (shift 0) or the second (shift 1).
ALULA_AVX2 static void zip_weights(__m256i *to, const alula_conv_u8s8_args *a, size_t pairs, size_t shift, size_t c) {
    const size_t width = (size_t)a->window.kernel_w, height = (size_t)a->window.kernel_h, padded = alula_round_up((size_t)a->window.out_c, 16);
    for (size_t pair = 0; pair < pairs; pair++) {
        for (size_t kx = 0; kx < width; kx++, to += 2) {
            __m256i w[2];
            for (size_t i = 0; i < 2; i++) {
                const size_t ky = 2 * pair + i - shift;              // wraps around below 0
                const int8_t *from = a->weight + (ky * width + kx) * padded + c;
                w[i] = ky < height ? _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)from)) : _mm256_setzero_si256();
            }
            _mm256_store_si256(to, _mm256_unpacklo_epi16(w[0], w[1]));
            _mm256_store_si256(to + 1, _mm256_unpackhi_epi16(w[0], w[1]));
        }
    }
}

// What 16 channels of all pixels have in common. Halves: channels 0-3 and 8-11, and the others.
typedef struct {
    const alula_conv_u8s8_args *args;
    const __m256i *ring;          // [pairs][columns][2]
    const __m256i *weights[2];    // for the upper and the lower row of a pair: [pairs][kernel_w][2]
    size_t pairs, columns, c, count;
    __m256i bias[2], zero, low, high;
    __m256 multiplier[2];
} channel_block;

ALULA_AVX2_INLINE channel_block block_of(const alula_conv_u8s8_args *a, size_t c) {
    const __m256i b0 = _mm256_loadu_si256((const __m256i *)(a->bias + c)), b1 = _mm256_loadu_si256((const __m256i *)(a->bias + c + 8));
    const __m256 m0 = _mm256_loadu_ps(a->multiplier + c), m1 = _mm256_loadu_ps(a->multiplier + c + 8);
    return (channel_block){.args = a,
                           .c = c,
                           .count = alula_min(16, (size_t)a->window.out_c - c),
                           .bias = {_mm256_permute2x128_si256(b0, b1, 0x20), _mm256_permute2x128_si256(b0, b1, 0x31)},
                           .zero = _mm256_set1_epi16((int16_t)a->zero),
                           .low = _mm256_set1_epi8((int8_t)a->low),
                           .high = _mm256_set1_epi8((int8_t)a->high),
                           .multiplier = {_mm256_permute2f128_ps(m0, m1, 0x20), _mm256_permute2f128_ps(m0, m1, 0x31)}};
}

// t of one half of the channels; at is the output element of the first channel.
ALULA_AVX2_INLINE __m256 scaled(const channel_block *b, __m256i sum, size_t at, int half, int with_residual) {
    const alula_conv_u8s8_args *a = b->args;
    __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), b->multiplier[half]);
    if (with_residual) {
        const __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(a->residual + at)));
        const __m256i none = _mm256_setzero_si256();
        const __m256i wide = half ? _mm256_unpackhi_epi16(bytes, none) : _mm256_unpacklo_epi16(bytes, none);
        const __m256i r = _mm256_sub_epi32(wide, _mm256_set1_epi32(a->residual_zero));
        t = _mm256_add_ps(t, _mm256_mul_ps(_mm256_cvtepi32_ps(r), _mm256_set1_ps(a->residual_multiplier)));
    }
    return t;
}

// 16 channels of two pixels (the same one twice for an odd last one).
ALULA_AVX2_INLINE void finish_two(const channel_block *b, const __m256i x[2], const __m256i y[2], size_t at_x, size_t at_y, int with_residual) {
    const alula_conv_u8s8_args *a = b->args;
    const __m256 t[4] = {scaled(b, x[0], at_x, 0, with_residual), scaled(b, x[1], at_x, 1, with_residual),
                         scaled(b, y[0], at_y, 0, with_residual), scaled(b, y[1], at_y, 1, with_residual)};
    if (a->output_f32) {
        ALULA_UNROLL for (int i = 0; i < 2; i++) {
            float *to = a->output_f32 + (i ? at_y : at_x);
            alula_store_floats(to, _mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x20), alula_min(b->count, 8));
            if (b->count > 8) alula_store_floats(to + 8, _mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x31), b->count - 8);
        }
        return;
    }
    const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(alula_round_avx2(t[0]), alula_round_avx2(t[1])), b->zero);
    const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(alula_round_avx2(t[2]), alula_round_avx2(t[3])), b->zero);
    __m256i q = _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xD8);
    q = _mm256_min_epu8(_mm256_max_epu8(q, b->low), b->high);
    if (a->table) q = alula_lookup_avx2(a->table, q);
    alula_store_bytes(a->output + at_x, _mm256_castsi256_si128(q), b->count);
    if (at_x != at_y) alula_store_bytes(a->output + at_y, _mm256_extracti128_si256(q, 1), b->count);
}

ALULA_AVX2_INLINE void finish(const channel_block *b, const __m256i x[2], const __m256i y[2], size_t at_x, size_t at_y) {
    if (b->args->residual) finish_two(b, x, y, at_x, at_y, 1);
    else finish_two(b, x, y, at_x, at_y, 0);
}

// One output row from the ring, whose first pair is in slot `first`.
ALULA_AVX2_INLINE void depthwise_row(const channel_block *b, const __m256i *weights, size_t first, size_t row, const size_t pairs,
                                     const size_t kernel_w, const size_t stride, const size_t dilation) {
    const alula_conv_u8s8_args *a = b->args;
    const size_t width = (size_t)a->window.out_w, channels = (size_t)a->window.out_c;
    for (size_t x = 0; x < width; x += PIXELS) {
        __m256i sum[PIXELS][2];
        size_t column[PIXELS];
        ALULA_UNROLL for (size_t i = 0; i < PIXELS; i++) {
            sum[i][0] = b->bias[0];
            sum[i][1] = b->bias[1];
            column[i] = 2 * alula_min(x + i, width - 1) * stride;        // pixels beyond the row repeat its last one
        }
        const __m256i *weight = weights;
        for (size_t pair = 0, slot = first; pair < pairs; pair++, slot = slot + 1 < pairs ? slot + 1 : 0) {
            const __m256i *from = b->ring + slot * b->columns * 2;
            for (size_t kx = 0; kx < kernel_w; kx++, weight += 2, from += 2 * dilation) {
                ALULA_UNROLL for (size_t i = 0; i < PIXELS; i++) {
                    ALULA_UNROLL for (size_t half = 0; half < 2; half++) {
                        sum[i][half] = _mm256_add_epi32(sum[i][half], _mm256_madd_epi16(from[column[i] + half], weight[half]));
                    }
                }
            }
        }
        const size_t at = (row * width + x) * channels + b->c, last = alula_min(PIXELS, width - x) - 1;
        ALULA_UNROLL for (size_t i = 0; i < PIXELS; i += 2) {
            if (i <= last) finish(b, sum[i], sum[i + 1], at + i * channels, at + alula_min(i + 1, last) * channels);
        }
    }
}

// With the numbers of the usual kernels as constants.
ALULA_AVX2 static void alula_depthwise_u8s8_row_avx2(const channel_block *b, const __m256i *weights, size_t first, size_t row) {
    const alula_window *w = &b->args->window;
    const size_t width = (size_t)w->kernel_w, stride = (size_t)w->stride_w, dilation = (size_t)w->dilation_w;
    if (stride == 1 && dilation == 1 && width == 3 && b->pairs == 2) depthwise_row(b, weights, first, row, 2, 3, 1, 1);
    else if (stride == 1 && dilation == 1 && width == 5 && b->pairs == 3) depthwise_row(b, weights, first, row, 3, 5, 1, 1);
    else depthwise_row(b, weights, first, row, b->pairs, width, stride, dilation);
}

// Output rows y..<y + rows of an image, for some blocks of channels.
ALULA_AVX2 static void depthwise_rows(const channel_block *blocks, size_t count, size_t image, size_t y, size_t rows) {
    const alula_conv_u8s8_args *a = blocks[0].args;
    const alula_window *w = &a->window;
    const size_t pairs = blocks[0].pairs, columns = blocks[0].columns, shares = alula_depthwise_shares(w), row = image * (size_t)w->out_h + y;
    // From step to step the windows move by a pair.
    const size_t slides = w->dilation_h == 1 && w->stride_h <= 2;
    const int64_t top = (int64_t)y * w->stride_h - w->pad_top;
    // What lies below the last window may not exist: a band of rows ends there.
    const int64_t last = top + (int64_t)(rows - 1) * w->stride_h + (int64_t)(w->kernel_h - 1) * w->dilation_h;
    for (size_t i = 0, first = 0; i < rows; i += 1 + shares) {
        for (const channel_block *b = blocks; b < blocks + count; b++) {
            // The first pair of the step before made place for the last of this one.
            for (size_t pair = slides && i ? pairs - 1 : 0; pair < pairs; pair++) {
                const int64_t from = top + (int64_t)i * w->stride_h + (int64_t)(2 * pair) * w->dilation_h;
                zip_rows((__m256i *)b->ring + (first + pair) % pairs * columns * 2, a, row_of(a, image, from, last, b->c),
                         row_of(a, image, from + w->dilation_h, last, b->c), columns, b->c);
            }
            alula_depthwise_u8s8_row_avx2(b, b->weights[0], first, row + i);
            if (shares && i + 1 < rows) alula_depthwise_u8s8_row_avx2(b, b->weights[1], first, row + i + 1);
        }
        if (slides) first = (first + 1) % pairs;
    }
}

ALULA_AVX2 void alula_depthwise_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t height = (size_t)w->out_h, pairs = alula_depthwise_pairs(w), columns = alula_depthwise_columns(w, (size_t)w->out_w);
    const size_t ring_count = 2 * pairs * columns, weight_count = 2 * pairs * (size_t)w->kernel_w;
    for (size_t c = 0; c < (size_t)w->out_c; c += 16 * ALULA_DEPTHWISE_BLOCKS) {
        channel_block blocks[ALULA_DEPTHWISE_BLOCKS];
        const size_t count = alula_depthwise_blocks((size_t)w->out_c - c);
        __m256i *ring = scratch;
        for (size_t i = 0; i < count; i++, ring += ring_count + 2 * weight_count) {
            __m256i *upper = ring + ring_count, *lower = upper + weight_count;
            blocks[i] = block_of(a, c + 16 * i);
            blocks[i].ring = ring;
            blocks[i].weights[0] = upper;
            blocks[i].weights[1] = lower;
            blocks[i].pairs = pairs;
            blocks[i].columns = columns;
            zip_weights(upper, a, pairs, 0, c + 16 * i);
            zip_weights(lower, a, pairs, 1, c + 16 * i);
        }
        for (size_t row = begin, rows; row < end; row += rows) {
            rows = alula_min(end - row, height - row % height);
            depthwise_rows(blocks, count, row / height, row % height, rows);
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
            const channel_block b = block_of(a, c);
            size_t at = row * width * channels + c;
            for (size_t x = 0; x < width; x += kernel_w) {
                const __m256i v = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(in + x / kernel_w * channels + c))), zero);
                for (size_t kx = 0; kx < kernel_w; kx += 2, at += 2 * channels) {
                    const size_t other = kx + 1 < kernel_w;
                    __m256i sum[2][2];
                    ALULA_UNROLL for (size_t i = 0; i < 2; i++) {
                        const __m128i s8 = _mm_load_si128((const __m128i *)(weight + (kx + i * other) * padded));
                        const __m256i product = _mm256_mullo_epi16(v, _mm256_cvtepi8_epi16(s8)), sign = _mm256_srai_epi16(product, 15);
                        sum[i][0] = _mm256_add_epi32(b.bias[0], _mm256_unpacklo_epi16(product, sign));
                        sum[i][1] = _mm256_add_epi32(b.bias[1], _mm256_unpackhi_epi16(product, sign));
                    }
                    finish(&b, sum[0], sum[1], at, at + other * channels);
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
