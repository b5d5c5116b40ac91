// int8 depthwise convolution with AVX-512 VNNI: vpdpbusd adds four taps of a channel at once.
//
// Bound: 64 channels of a pixel take 4 vpdpbusd for each column of the kernel and four of its rows, and some 32 operations of requantization,
// which is the most of it at 3x3. So what else there is happens once for several pixels:
//  - four input rows of 64 channels are zipped into scratch, so that a channel's four bytes lie side by side, padding included. The output rows
//    that lie within them (two of 3x3, four of 5x5 with stride 1) use them with weights moved by a row or more;
//  - four pixels of a row share weights and columns in the inner loop, which has no branch.
// Zipping and packing both work in 128-bit lanes: the one's order of channels is what the other puts in order again.
#include "conv_epilogue_avx512.h"
#if defined(__x86_64__)
#pragma STDC FP_CONTRACT OFF

enum { CHANNELS = 64, PIXELS = 4 };

// Four rows of 64 bytes: 32-bit element 4i + k of to[j] holds the four bytes of channel 16i + 4j + k.
ALULA_AVX512_VNNI_INLINE void zip(__m512i to[4], const __m512i row[4]) {
    const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]), high01 = _mm512_unpackhi_epi8(row[0], row[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]), high23 = _mm512_unpackhi_epi8(row[2], row[3]);
    to[0] = _mm512_unpacklo_epi16(low01, low23);
    to[1] = _mm512_unpackhi_epi16(low01, low23);
    to[2] = _mm512_unpacklo_epi16(high01, high23);
    to[3] = _mm512_unpackhi_epi16(high01, high23);
}

// What up to 64 channels of all pixels have in common.
typedef struct {
    const alula_conv_u8s8_args *args;
    __m512i *columns;             // [quads][column_count][4], zipped
    __m512i *weights;             // [output rows][quads][kernel_w][4], zipped
    __m512i *bias;                // [4] in the order of zipping
    __m512 *multiplier;
    size_t quads, column_count, c, count;
} channel_block;

// [64 channels] of 32 bits in the order of zipping; what lies beyond `count` channels, rounded up to 16, is 0.
ALULA_AVX512_VNNI static void reorder(void *to, const void *from, size_t count) {
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            const __m128i four = 16 * i < count ? _mm_loadu_si128((const __m128i *)from + 4 * i + j) : _mm_setzero_si128();
            _mm_storeu_si128((__m128i *)to + 4 * j + i, four);
        }
    }
}

// Zips the weights for output rows 0..<rows of those that lie within the same input rows.
ALULA_AVX512_VNNI static void zip_weights(const channel_block *b, size_t rows) {
    const alula_window *w = &b->args->window;
    const size_t width = (size_t)w->kernel_w, height = (size_t)w->kernel_h, padded = alula_round_up((size_t)w->out_c, 16);
    const __mmask64 lanes = alula_lanes(alula_round_up(b->count, 16));
    __m512i *to = b->weights;
    for (size_t row = 0; row < rows; row++) {
        for (size_t quad = 0; quad < b->quads; quad++) {
            for (size_t kx = 0; kx < width; kx++, to += 4) {
                __m512i taps[4];
                for (size_t i = 0; i < 4; i++) {
                    const size_t ky = 4 * quad + i - row * (size_t)w->stride_h;      // wraps around below 0
                    const int8_t *from = b->args->weight + (ky * width + kx) * padded + b->c;
                    taps[i] = ky < height ? _mm512_maskz_loadu_epi8(lanes, from) : _mm512_setzero_si512();
                }
                zip(to, taps);
            }
        }
    }
}

// Zips input rows y, y + dilation... of an image for the columns from..<to of those that windows see. Rows below `last` may not exist.
ALULA_AVX512_VNNI static void zip_rows(const channel_block *b, __m512i *zipped, size_t image, int64_t y, int64_t last, size_t from, size_t to) {
    const alula_conv_u8s8_args *a = b->args;
    const alula_window *w = &a->window;
    const size_t left = alula_min((size_t)w->pad_left, to), right = alula_min((size_t)w->pad_left + (size_t)w->in_w, to);
    const size_t skipped = from > left ? from - left : 0;
    const uint8_t *padding = a->pad_row + b->c, *pixel[4];
    size_t step[4];
    for (size_t i = 0; i < 4; i++, y += w->dilation_h) {
        const int outside = y < 0 || y >= w->in_h || y > last;
        const size_t line = image * (size_t)w->in_h + (outside ? 0 : (size_t)y);
        pixel[i] = outside ? padding : a->input + (line * (size_t)w->in_w + skipped) * (size_t)w->in_c + b->c;
        step[i] = outside ? 0 : (size_t)w->in_c;
    }
    const __m512i nothing = _mm512_loadu_si512(padding), rows_of_nothing[4] = {nothing, nothing, nothing, nothing};
    size_t x = from;
    for (; x < left; x++, zipped += 4) zip(zipped, rows_of_nothing);
    for (; x < right; x++, zipped += 4) {
        __m512i row[4];
        ALULA_UNROLL for (size_t i = 0; i < 4; i++) {
            row[i] = _mm512_loadu_si512(pixel[i]);
            pixel[i] += step[i];
        }
        zip(zipped, row);
    }
    for (; x < to; x++, zipped += 4) zip(zipped, rows_of_nothing);
}

// Requantizes and stores a pixel's channels; at is the output element of the first.
ALULA_AVX512_VNNI_INLINE void finish(const channel_block *b, const __m512i sum[4], size_t at) {
    const alula_conv_u8s8_args *a = b->args;
    const __mmask64 lanes = alula_lanes(b->count);
    __m512 t[4];
    ALULA_UNROLL for (int j = 0; j < 4; j++) t[j] = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[j]), b->multiplier[j]);
    if (a->residual) {
        const __m512i bytes = _mm512_maskz_loadu_epi8(lanes, a->residual + at), none = _mm512_setzero_si512();
        const __m512i low = _mm512_unpacklo_epi8(bytes, none), high = _mm512_unpackhi_epi8(bytes, none);
        const __m512i r[4] = {_mm512_unpacklo_epi16(low, none), _mm512_unpackhi_epi16(low, none), _mm512_unpacklo_epi16(high, none),
                              _mm512_unpackhi_epi16(high, none)};
        const __m512i zero = _mm512_set1_epi32(a->residual_zero);
        const __m512 multiplier = _mm512_set1_ps(a->residual_multiplier);
        ALULA_UNROLL for (int j = 0; j < 4; j++) {
            t[j] = _mm512_add_ps(t[j], _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r[j], zero)), multiplier));
        }
    }
    if (a->output_f32) {
        float zipped[CHANNELS];
        ALULA_UNROLL for (int j = 0; j < 4; j++) _mm512_storeu_ps(zipped + 16 * j, t[j]);
        for (size_t c = 0; c < b->count; c++) a->output_f32[at + c] = zipped[c % 16 / 4 * 16 + c / 16 * 4 + c % 4];
        return;
    }
    __m512i q[4];
    alula_round_avx512(a, q, t, 4);
    __m512i x = alula_pack_avx512(a, q);
    if (a->table) x = alula_lookup_avx512(a->table, x);
    if (b->count == CHANNELS) _mm512_storeu_si512(a->output + at, x);
    else _mm512_mask_storeu_epi8(a->output + at, lanes, x);
}

// `pixels` pixels of an output row; from: the first one's leftmost column. Channels come 16 at a time: with constants for all sizes the
// columns that neighbours share, and the weights, are read once.
ALULA_AVX512_VNNI_INLINE void depthwise_pixels(const channel_block *b, const __m512i *weights, const __m512i *from, size_t at, const size_t pixels,
                                        const size_t quads, const size_t kernel_w, const size_t stride, const size_t dilation) {
    const size_t quad_step = 4 * b->column_count, channels = (size_t)b->args->window.out_c;
    __m512i sum[PIXELS][4];
    // Hides where the weights lie: the compiler would keep all of them from pixel to pixel, and has no registers for that.
    __asm__("" : "+r"(weights));
    ALULA_UNROLL for (size_t j = 0; j < 4; j++) {
        if (quads > 1) __asm__ volatile("" : "+r"(weights));
        ALULA_UNROLL for (size_t i = 0; i < pixels; i++) sum[i][j] = b->bias[j];
        const __m512i *weight = weights + j;
        for (size_t quad = 0; quad < quads; quad++) {
            const __m512i *column = from + quad * quad_step + j;
            for (size_t kx = 0; kx < kernel_w; kx++, weight += 4, column += 4 * dilation) {
                ALULA_UNROLL for (size_t i = 0; i < pixels; i++) {
                    sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], column[4 * i * stride], *weight);
                }
            }
        }
    }
    ALULA_UNROLL for (size_t i = 0; i < pixels; i++) finish(b, sum[i], at + i * channels);
}

// Pixels x..<x + count of an output row from the zipped rows.
ALULA_AVX512_VNNI_INLINE void depthwise_row(const channel_block *b, const __m512i *weights, size_t row, size_t x, size_t count, const size_t quads,
                                     const size_t kernel_w, const size_t stride, const size_t dilation) {
    const size_t channels = (size_t)b->args->window.out_c;
    const __m512i *from = b->columns;
    size_t at = (row * (size_t)b->args->window.out_w + x) * channels + b->c;
    for (; count >= PIXELS; count -= PIXELS, from += 4 * PIXELS * stride, at += PIXELS * channels) {
        depthwise_pixels(b, weights, from, at, PIXELS, quads, kernel_w, stride, dilation);
    }
    for (; count > 0; count--, from += 4 * stride, at += channels) {
        depthwise_pixels(b, weights, from, at, 1, quads, kernel_w, stride, dilation);
    }
}

// With the numbers of the usual kernels as constants.
ALULA_AVX512_VNNI static void alula_depthwise_u8s8_row_avx512vnni(const channel_block *b, const __m512i *weights, size_t row, size_t x, size_t count) {
    const alula_window *w = &b->args->window;
    const size_t quads = b->quads, width = (size_t)w->kernel_w, stride = (size_t)w->stride_w, dilation = (size_t)w->dilation_w;
    if (dilation == 1 && quads == 1 && width == 3 && stride == 1) depthwise_row(b, weights, row, x, count, 1, 3, 1, 1);
    else if (dilation == 1 && quads == 1 && width == 3 && stride == 2) depthwise_row(b, weights, row, x, count, 1, 3, 2, 1);
    else if (dilation == 1 && quads == 2 && width == 5 && stride == 1) depthwise_row(b, weights, row, x, count, 2, 5, 1, 1);
    else depthwise_row(b, weights, row, x, count, quads, width, stride, dilation);
}

// Output rows row..<row + rows, which lie within the same input rows.
ALULA_AVX512_VNNI static void depthwise_rows(const channel_block *b, size_t row, size_t rows) {
    const alula_window *w = &b->args->window;
    const size_t height = (size_t)w->out_h, width = (size_t)w->out_w, image = row / height, y = row % height;
    const int64_t top = (int64_t)y * w->stride_h - w->pad_top;
    // What lies below the last window may not exist: a band of rows ends there.
    const int64_t last = top + (int64_t)(rows - 1) * w->stride_h + (int64_t)(w->kernel_h - 1) * w->dilation_h;
    for (size_t x = 0, count; x < width; x += count) {
        count = alula_min(width - x, ALULA_DEPTHWISE_WIDTH);
        const size_t from = x * (size_t)w->stride_w, to = from + alula_depthwise_columns(w, count);
        for (size_t quad = 0; quad < b->quads; quad++) {
            zip_rows(b, b->columns + 4 * quad * b->column_count, image, top + (int64_t)(4 * quad) * w->dilation_h, last, from, to);
        }
        for (size_t i = 0; i < rows; i++) {
            alula_depthwise_u8s8_row_avx512vnni(b, b->weights + 4 * i * b->quads * (size_t)w->kernel_w, row + i, x, count);
        }
    }
}

ALULA_AVX512_VNNI void alula_depthwise_u8s8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t height = (size_t)w->out_h, within = alula_depthwise_rows(w);
    channel_block b = {.args = a, .quads = alula_depthwise_quads(w), .column_count = alula_depthwise_zipped_columns(w)};
    b.columns = scratch;
    b.weights = b.columns + 4 * b.quads * b.column_count;
    b.bias = b.weights + 4 * within * b.quads * (size_t)w->kernel_w;
    b.multiplier = (__m512 *)(b.bias + 4);
    for (b.c = 0; b.c < (size_t)w->out_c; b.c += CHANNELS) {
        b.count = alula_min(CHANNELS, (size_t)w->out_c - b.c);
        zip_weights(&b, within);
        reorder(b.bias, a->bias + b.c, b.count);
        reorder(b.multiplier, a->multiplier + b.c, b.count);
        for (size_t row = begin, rows; row < end; row += rows) {
            rows = alula_min(alula_min(within, end - row), height - row % height);
            depthwise_rows(&b, row, rows);
        }
    }
}
#endif
