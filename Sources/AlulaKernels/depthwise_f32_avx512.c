// f32 depthwise convolution with AVX-512: per output, the same chain of fused multiply-adds as the scalar definition.
//
// Bound: one 16-wide fused multiply-add a cycle on Zen 4, and one load, which takes two cycles where it crosses a cache line (three of four do with 36
// channels). So pixels of a row come eight at a time: a column of the input is loaded once for all that see it, as are the weights, and a 3x3 kernel has
// 24 multiply-adds for 10 + 3 loads. Eight chains cover the latency of 4.
//  - A last block of at most 8 channels is computed in halves of vectors, at two a cycle: 36 channels cost 2.5 blocks of 16.
//  - Blocks of channels are the inner loop, so that the lines in which two of them lie are still in the first-level cache.
//  - That walk is too crooked for the hardware to foresee: tensors beyond the second-level cache are asked for a row ahead, in the order of memory. 64
//    images of 16x16x36 from main memory take 328 us rather than 500 at 3x3 (309 from the caches).
#include "conv_internal.h"
#if defined(__x86_64__)
#include "unary.h"
#include "avx512.h"

#pragma STDC FP_CONTRACT OFF

enum { MOST = 8 };

// Up to 16 channels of neighbouring pixels of a row.
typedef struct {
    const alula_conv_f32_args *args;
    alula_place place;            // of the first pixel
    size_t pixel, count;          // the first pixel, and pixels to store
    size_t c;
    __mmask16 lanes;
    __m256i half_lanes;           // those of a block of at most 8 channels
    int prefetches;
} block;

// The operations on vectors or on their lower halves, the upper ones being anything.
ALULA_AVX512_VNNI_INLINE __m512 load(const block *b, const float *from, const int is_half) {
    if (is_half) return _mm512_castps256_ps512(_mm256_maskload_ps(from, b->half_lanes));
    return _mm512_maskz_loadu_ps(b->lanes, from);
}

// Of weights and bias, whose channels are padded.
ALULA_AVX512_VNNI_INLINE __m512 load_padded(const float *from, const int is_half) {
    return is_half ? _mm512_castps256_ps512(_mm256_loadu_ps(from)) : _mm512_loadu_ps(from);
}

ALULA_AVX512_VNNI_INLINE __m512 multiply_add(__m512 x, __m512 y, __m512 sum, const int is_half) {
    if (!is_half) return _mm512_fmadd_ps(x, y, sum);
    return _mm512_castps256_ps512(_mm256_fmadd_ps(_mm512_castps512_ps256(x), _mm512_castps512_ps256(y), _mm512_castps512_ps256(sum)));
}

ALULA_AVX512_VNNI_INLINE void start(const block *b, __m512 *sum, const size_t pixels, const int is_half) {
    const __m512 bias = b->args->bias ? load_padded(b->args->bias + b->c, is_half) : _mm512_setzero_ps();
    ALULA_UNROLL for (size_t i = 0; i < pixels; i++) sum[i] = bias;
}

// Activation of all pixels, so that its chains of operations overlap; then residual, which may be the output's memory.
ALULA_AVX512_VNNI_INLINE void finish(const block *b, __m512 *sum, const size_t pixels, const int is_half) {
    const alula_conv_f32_args *a = b->args;
    const size_t channels = (size_t)a->window.out_c;
    if (a->activation != ALULA_NONE) {
        float x[MOST * 16] __attribute__((aligned(64)));
        ALULA_UNROLL for (size_t i = 0; i < pixels; i++) _mm512_store_ps(x + 16 * i, sum[i]);
        alula_unary_f32_apply_avx512vnni(a->activation, x, 16 * b->count);
        ALULA_UNROLL for (size_t i = 0; i < pixels; i++) sum[i] = _mm512_load_ps(x + 16 * i);
    }
    ALULA_UNROLL for (size_t i = 0; i < pixels; i++) {
        if (i >= b->count) return;
        const size_t to = (b->pixel + i) * channels + b->c;
        if (is_half) {
            __m256 y = _mm512_castps512_ps256(sum[i]);
            if (a->residual) y = _mm256_add_ps(y, _mm256_maskload_ps(a->residual + to, b->half_lanes));
            _mm256_maskstore_ps(a->output + to, b->half_lanes, y);
        } else {
            __m512 y = sum[i];
            if (a->residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(b->lanes, a->residual + to));
            if (b->lanes == 0xffff) _mm512_storeu_ps(a->output + to, y);
            else _mm512_mask_storeu_ps(a->output + to, b->lanes, y);
        }
    }
}

// A row of the input under a row of the kernel; one of padding is the same pixel over and over.
typedef struct { const float *from; size_t step; } input_row;

ALULA_AVX512_VNNI_INLINE input_row row_of(const block *b, int32_t ky) {
    const alula_conv_f32_args *a = b->args;
    const alula_window *w = &a->window;
    const int32_t y = b->place.in_y + ky * w->dilation_h;
    if (y < 0 || y >= w->in_h) return (input_row){a->pad_row + b->c, 0};
    const size_t line = (size_t)b->place.image * (size_t)w->in_h + (size_t)y;
    return (input_row){a->input + line * (size_t)w->in_w * (size_t)w->in_c + b->c, (size_t)w->in_c};
}

// The columns that the pixels see, from left to right, which keeps the order of each pixel's taps. The image begins at column `first` of
// them, which may be negative. Tiles inside of the image do without a test a column: 10 % of a 3x3 kernel.
ALULA_AVX512_VNNI_INLINE void columns(const block *b, __m512 *sum, const __m512 *taps, const float *from, size_t step, int32_t first,
                                      const int32_t pixels, const int32_t width, const int32_t stride, const int is_half, const int is_inside) {
    const float *padding = b->args->pad_row + b->c;
    const uint32_t inside = (uint32_t)b->args->window.in_w;
    ALULA_UNROLL for (int32_t j = 0; j < (pixels - 1) * stride + width; j++, from += step) {
        const float *at = is_inside || (uint32_t)(j - first) < inside ? from : padding;
        const __m512 x = load(b, at, is_half);
        ALULA_UNROLL for (int32_t i = 0; i < pixels; i++) {
            const int32_t kx = j - i * stride;
            if (kx >= 0 && kx < width) sum[i] = multiply_add(x, taps[kx], sum[i], is_half);
        }
    }
}

// A kernel whose width and stride are constants, without dilation.
ALULA_AVX512_VNNI_INLINE void tile(const block *b, const int32_t pixels, const int32_t width, const int32_t stride, const int is_half) {
    const alula_window *w = &b->args->window;
    const size_t padded = alula_round_up((size_t)w->out_c, 16);
    const float *weight = b->args->weight + b->c;
    const int32_t first = -b->place.in_x;
    const int is_inside = first <= 0 && (pixels - 1) * stride + width <= w->in_w + first;
    __m512 sum[MOST];
    start(b, sum, (size_t)pixels, is_half);
    for (int32_t ky = 0; ky < w->kernel_h; ky++, weight += (size_t)width * padded) {
        const input_row row = row_of(b, ky);
        const float *from = row.from + b->place.in_x * (int64_t)row.step;
        __m512 taps[5];
        ALULA_UNROLL for (int32_t kx = 0; kx < width; kx++) taps[kx] = load_padded(weight + (size_t)kx * padded, is_half);
        if (is_inside) columns(b, sum, taps, from, row.step, first, pixels, width, stride, is_half, 1);
        else columns(b, sum, taps, from, row.step, first, pixels, width, stride, is_half, 0);
    }
    finish(b, sum, (size_t)pixels, is_half);
}

// Any kernel, tap by tap.
ALULA_AVX512_VNNI_INLINE void any_tile(const block *b, const int32_t pixels, const int is_half) {
    const alula_window *w = &b->args->window;
    const size_t padded = alula_round_up((size_t)w->out_c, 16);
    const float *weight = b->args->weight + b->c, *padding = b->args->pad_row + b->c;
    __m512 sum[MOST];
    start(b, sum, (size_t)pixels, is_half);
    for (int32_t ky = 0; ky < w->kernel_h; ky++) {
        const input_row row = row_of(b, ky);
        for (int32_t kx = 0; kx < w->kernel_w; kx++, weight += padded) {
            const __m512 tap = load_padded(weight, is_half);
            const int32_t left = b->place.in_x + kx * w->dilation_w;
            ALULA_UNROLL for (int32_t i = 0; i < pixels; i++) {
                const int32_t column = left + i * w->stride_w;
                const float *from = column >= 0 && column < w->in_w ? row.from + (size_t)column * row.step : padding;
                sum[i] = multiply_add(load(b, from, is_half), tap, sum[i], is_half);
            }
        }
    }
    finish(b, sum, (size_t)pixels, is_half);
}

// Asks for this block's share of what the same pixels of the next row need: of the rows of input that this one does not see, and of its own memory. One
// such row goes to the first-level cache; more at once are more lines than it can wait for (8 images of 56x56x48 at stride 2: 274 us by way of the second
// level, 477 without).
ALULA_AVX512_VNNI static void prefetch_next(const block *b) {
    const alula_conv_f32_args *a = b->args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, seen = b->count * (size_t)w->stride_w;
    const int64_t row = (int64_t)w->in_w * w->in_c;
    const int64_t y = (int64_t)b->place.image * w->in_h + b->place.in_y + (int64_t)(w->kernel_h - 1) * w->dilation_h;
    // Addresses alone, which may lie outside of the tensors.
    uintptr_t input = (uintptr_t)a->input + (uintptr_t)((y * row + (int64_t)b->place.in_x * w->in_c + (int64_t)(b->c * seen)) * 4);
    for (int32_t i = 0; i < w->stride_h; i++) {
        input += (uintptr_t)(row * 4);
        if (w->stride_h > 1) for (size_t line = 0; line < seen; line++) _mm_prefetch((const char *)(input + 64 * line), _MM_HINT_T1);
        else for (size_t line = 0; line < seen; line++) _mm_prefetch((const char *)(input + 64 * line), _MM_HINT_T0);
    }
    const uintptr_t output = (uintptr_t)a->output + ((b->pixel + (size_t)w->out_w) * channels + b->c * b->count) * 4;
    for (size_t line = 0; line < b->count; line++) __builtin_prefetch((const void *)(output + 64 * line), 1);
}

typedef void (*tile_kernel)(block *b);

// All channels of some pixels.
#define KERNEL(NAME, CALL)                                                                      \
    ALULA_AVX512_VNNI static void alula_depthwise_f32_##NAME##_avx512(block *b) {               \
        const size_t channels = (size_t)b->args->window.out_c;                                  \
        b->lanes = 0xffff;                                                                      \
        for (b->c = 0; b->c < channels; b->c += 16) {                                           \
            const size_t left = channels - b->c;                                                \
            if (b->prefetches) prefetch_next(b);                                                \
            if (left < 16) b->lanes = (__mmask16)((1u << left) - 1);                            \
            if (left > 8) { const int is_half = 0; CALL; }                                      \
            else { const int is_half = 1; CALL; }                                               \
        }                                                                                       \
    }
KERNEL(2_3x1, tile(b, 2, 3, 1, is_half)) KERNEL(4_3x1, tile(b, 4, 3, 1, is_half)) KERNEL(8_3x1, tile(b, 8, 3, 1, is_half))
KERNEL(2_5x1, tile(b, 2, 5, 1, is_half)) KERNEL(4_5x1, tile(b, 4, 5, 1, is_half)) KERNEL(8_5x1, tile(b, 8, 5, 1, is_half))
KERNEL(2_3x2, tile(b, 2, 3, 2, is_half)) KERNEL(4_3x2, tile(b, 4, 3, 2, is_half)) KERNEL(8_3x2, tile(b, 8, 3, 2, is_half))
KERNEL(2_any, any_tile(b, 2, is_half)) KERNEL(4_any, any_tile(b, 4, is_half)) KERNEL(8_any, any_tile(b, 8, is_half))
#undef KERNEL

// By the kernel's width and stride, and by pixels: 2, 4, 8.
#define KERNELS(NAME) {alula_depthwise_f32_2_##NAME##_avx512, alula_depthwise_f32_4_##NAME##_avx512, alula_depthwise_f32_8_##NAME##_avx512}
static const tile_kernel kernels[4][3] = {KERNELS(any), KERNELS(3x1), KERNELS(5x1), KERNELS(3x2)};
#undef KERNELS

static const tile_kernel *kernels_of(const alula_window *w) {
    if (w->dilation_w != 1) return kernels[0];
    if (w->kernel_w == 3 && w->stride_w <= 2) return kernels[w->stride_w == 1 ? 1 : 3];
    return kernels[w->kernel_w == 5 && w->stride_w == 1 ? 2 : 0];
}

ALULA_AVX512_VNNI void alula_depthwise_f32_avx512(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    const tile_kernel *tiles = kernels_of(w);
    const size_t width = (size_t)w->out_w;
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    block b = {.args = a,
               .half_lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(w->out_c % 16), lane),
               .prefetches = alula_depthwise_f32_is_large(w)};
    for (size_t row = begin; row < end; row++) {
        b.place = alula_place_of(w, row * width);
        b.pixel = row * width;
        for (size_t left = width; left > 0; left -= b.count) {
            b.count = alula_min(left, MOST);
            tiles[b.count > 4 ? 2 : b.count > 2](&b);
            b.pixel += b.count;
            b.place.in_x += (int32_t)b.count * w->stride_w;
        }
    }
}
#endif
