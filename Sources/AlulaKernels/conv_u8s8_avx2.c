// int8 convolution with AVX2, exact: u8 and s8 are widened to 16 bits for vpmaddwd, since vpmaddubsw saturates on full-range weights.
//
// Bound: a vpmaddwd and a vpaddd make 16 multiply-adds. Zen 3 has four vector pipes, two of which multiply, hence at most 32 a cycle
// (Intel since Haswell: three pipes, 21 to 32). Everything else that takes a vector pipe costs, so nothing is widened in the inner loop:
//  - the input of a block of rows is gathered (taps and padding resolved) and widened once into scratch, for all output channels;
//  - the weights of a panel of 16 output channels are widened once a block, for all its rows, and stay in the first-level cache.
// The inner loop over a 6x16 tile then has 12 vpmaddwd and 12 vpaddd for 2 + 6 loads. A tile's lanes are output channels: pairs of k are
// summed by vpmaddwd itself, so the epilogue needs no horizontal sums.
//
// Reached on Zen 3: registers alone sustain 1.6 pairs of the two instructions a cycle (26 multiply-adds; additions get in the way of
// multiplications on the pipes they share), the matrix products of EfficientFormer-L1 70 to 90 % of that, at 3 GHz 58 to 75 GMAC/s:
// the lower figure at a depth of 48, where the epilogue weighs most. All layers of that model in a row, with weights that come from the
// third-level cache: 66 GMAC/s, or 79 % of the peak there; the stem (27 products an output, 22 GMAC/s) loses 1.4 % of the time, and the
// tables of GELU 4 %.
#include "conv_internal.h"
#if defined(__x86_64__)
#include "conv_epilogue_avx2.h"

#pragma STDC FP_CONTRACT OFF

// ---- Micro-kernels ----------------------------------------------------------------------------------------------------------------

// rows x 16 (or x 8 when `vectors` is 1) from widened rows and a widened panel [depth / 2][16][2]. `next` is the packed panel that will be
// widened after this one: a step takes 64 bytes of a panel, so each tile asks for all of it, and only the first one has to wait.
ALULA_AVX2_INLINE void tile(const alula_target *p, size_t row, const uint8_t *x, size_t stride, const int16_t *weight, size_t depth,
                            const int8_t *next, const int rows, const int vectors) {
    __m256i sum[6][2];
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        sum[r][0] = _mm256_loadu_si256((const __m256i *)p->bias);
        sum[r][1] = vectors == 2 ? _mm256_loadu_si256((const __m256i *)(p->bias + 8)) : _mm256_setzero_si256();
    }
    const uint8_t *x3 = x + 3 * stride;
    for (size_t k = 0; k < depth; k += 4) {
        ALULA_UNROLL for (int half = 0; half < 2; half++) {
            const __m256i w0 = _mm256_load_si256((const __m256i *)weight + 2 * half);
            const __m256i w1 = _mm256_load_si256((const __m256i *)weight + 2 * half + 1);
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                const uint8_t *from = r < 3 ? x + (size_t)r * stride : x3 + (size_t)(r - 3) * stride;
                const __m256i v = alula_broadcast_4(from + 4 * half);
                sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(v, w0));
                if (vectors == 2) sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(v, w1));
            }
        }
        __builtin_prefetch(next, 0, 2);
        next += 64;
        x += 8;
        x3 += 8;
        weight += 64;
    }
    if (p->args->residual) alula_finish_avx2(p, row, sum, rows, 1);
    else alula_finish_avx2(p, row, sum, rows, 0);
}

typedef void (*tile_kernel)(const alula_target *p, size_t row, const uint8_t *x, size_t stride, const int16_t *weight, size_t depth,
                            const int8_t *next);

#define TILE(ROWS, COLUMNS)                                                                                                            \
    ALULA_AVX2 static void alula_gemm_u8s8_##ROWS##x##COLUMNS##_avx2(const alula_target *p, size_t row, const uint8_t *x,              \
                                                                      size_t stride, const int16_t *weight, size_t depth,              \
                                                                      const int8_t *next) {                                            \
        tile(p, row, x, stride, weight, depth, next, ROWS, COLUMNS / 8);                                                               \
    }
TILE(1, 8) TILE(2, 8) TILE(3, 8) TILE(4, 8) TILE(5, 8) TILE(6, 8)
TILE(1, 16) TILE(2, 16) TILE(3, 16) TILE(4, 16) TILE(5, 16) TILE(6, 16)
#undef TILE

static const tile_kernel kernels[2][6] = {
    {alula_gemm_u8s8_1x8_avx2, alula_gemm_u8s8_2x8_avx2, alula_gemm_u8s8_3x8_avx2, alula_gemm_u8s8_4x8_avx2, alula_gemm_u8s8_5x8_avx2,
     alula_gemm_u8s8_6x8_avx2},
    {alula_gemm_u8s8_1x16_avx2, alula_gemm_u8s8_2x16_avx2, alula_gemm_u8s8_3x16_avx2, alula_gemm_u8s8_4x16_avx2,
     alula_gemm_u8s8_5x16_avx2, alula_gemm_u8s8_6x16_avx2},
};

// One row against a packed panel, for a handful of rows (a classifier's head), where the weights are read once and widened in passing.
// Lanes are 4 channels x 2 pairs of k; the pairs are summed at the end.
ALULA_AVX2 static void alula_gemv_u8s8_1x16_avx2(const alula_target *p, size_t row, const uint8_t *x, const int8_t *weight, size_t depth) {
    __m256i sum[4];
    ALULA_UNROLL for (int i = 0; i < 4; i++) sum[i] = _mm256_setzero_si256();
    for (size_t k = 0; k < depth; k += 4, x += 8, weight += 64) {
        int64_t four;
        __builtin_memcpy(&four, x, 8);
        const __m256i v = _mm256_set1_epi64x(four);
        ALULA_UNROLL for (int i = 0; i < 4; i++) {
            const __m256i w = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)weight + i));
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(v, w));
        }
    }
    __m256i done[6][2];
    ALULA_UNROLL for (int i = 0; i < 2; i++) {
        const __m256i pairs = _mm256_hadd_epi32(sum[2 * i], sum[2 * i + 1]);
        const __m256i channels = _mm256_permute4x64_epi64(pairs, 0xD8);
        done[0][i] = _mm256_add_epi32(channels, _mm256_loadu_si256((const __m256i *)(p->bias + 8 * i)));
    }
    if (p->args->residual) alula_finish_avx2(p, row, done, 1, 1);
    else alula_finish_avx2(p, row, done, 1, 0);
}

// ---- Widening ---------------------------------------------------------------------------------------------------------------------

// A packed panel [depth / 4][16][4] s8 becomes [depth / 2][16][2] s16. Bound by its two stores for 32 weights.
ALULA_AVX2 static void widen_panel(int16_t *to, const int8_t *weight, size_t depth) {
    // Within each 128-bit lane (4 channels): the first pairs of k of all channels, then the second pairs.
    const __m256i pairs = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
                                           0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    for (size_t k = 0; k < depth; k += 4, weight += 64, to += 64) {
        ALULA_UNROLL for (int half = 0; half < 2; half++) {
            const __m256i w = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)weight + half), pairs);
            _mm256_store_si256((__m256i *)to + half, _mm256_srai_epi16(_mm256_unpacklo_epi8(w, w), 8));
            _mm256_store_si256((__m256i *)to + 2 + half, _mm256_srai_epi16(_mm256_unpackhi_epi8(w, w), 8));
        }
    }
}

// n bytes (n a multiple of 4) to 16 bits. Reads up to 15 bytes and writes up to 30 more; the next row overwrites them.
ALULA_AVX2_INLINE void widen_run(uint8_t *to, const uint8_t *from, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        const __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(from + i)));
        _mm256_storeu_si256((__m256i *)(to + 2 * i), v);
    }
}

// What gathering a pixel needs, computed once a call: small images spend most of their time here.
typedef struct {
    const alula_conv_u8s8_args *args;
    size_t inputs, padded;        // channels of a group, and rounded up to 4
    int32_t reach_y, reach_x;     // from the window's first tap to its last
    size_t step_y, step_x;        // bytes between taps
    int side_by_side;             // taps of a window row without padding are one run of bytes
} gathering;

static gathering gathering_of(const alula_conv_u8s8_args *a) {
    const alula_window *w = &a->window;
    gathering g = {a, alula_group_inputs(w), 0, (w->kernel_h - 1) * w->dilation_h, (w->kernel_w - 1) * w->dilation_w, 0, 0, 0};
    g.padded = alula_round_up(g.inputs, 4);
    g.step_x = (size_t)w->dilation_w * (size_t)w->in_c;
    g.step_y = (size_t)w->dilation_h * (size_t)w->in_w * (size_t)w->in_c;
    g.side_by_side = w->groups == 1 && (w->dilation_w == 1 || w->kernel_w == 1) && (g.padded == g.inputs || g.inputs == 3);
    return g;
}

// Gathers one output pixel's input for a group: taps in y, x order, each padded to a multiple of 4 channels (against zero weights, so
// whatever byte is read there).
ALULA_AVX2_INLINE void gather(uint8_t *to, const gathering *g, const alula_place *place, size_t group) {
    const alula_conv_u8s8_args *a = g->args;
    const alula_window *w = &a->window;
    const int32_t width = w->kernel_w;
    const size_t shift = group * g->inputs;
    const int inside = place->in_y >= 0 && place->in_y + g->reach_y < w->in_h && place->in_x >= 0 && place->in_x + g->reach_x < w->in_w;
    if (!inside) {
        for (int32_t ky = 0; ky < w->kernel_h; ky++) {
            for (int32_t kx = 0; kx < width; kx++, to += 2 * g->padded) {
                const int64_t offset = alula_tap_offset(w, place, ky, kx);
                widen_run(to, offset < 0 ? a->pad_row : a->input + offset + shift, g->padded);
            }
        }
        return;
    }
    const uint8_t *from = a->input + alula_tap_offset(w, place, 0, 0) + shift;
    // Three channels (an image): 5 whole pixels lie in 16 bytes, 4 of them become 16 channels.
    const __m128i rgb = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
    for (int32_t ky = 0; ky < w->kernel_h; ky++, from += g->step_y) {
        if (!g->side_by_side) {
            for (int32_t kx = 0; kx < width; kx++, to += 2 * g->padded) widen_run(to, from + (size_t)kx * g->step_x, g->padded);
            continue;
        }
        if (g->inputs == 3) {
            for (int32_t kx = 0; kx < width; kx += 4) {
                const __m128i v = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(from + 3 * kx)), rgb);
                _mm256_storeu_si256((__m256i *)(to + 8 * kx), _mm256_cvtepu8_epi16(v));
            }
        } else {
            widen_run(to, from, (size_t)width * g->inputs);
        }
        to += 2 * g->padded * (size_t)width;
    }
}

// ---- The family's entry -----------------------------------------------------------------------------------------------------------

ALULA_AVX2 void alula_conv_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    if (begin >= end) return;
    const size_t outputs = alula_group_outputs(w), padded = alula_round_up(outputs, 16);
    const size_t depth = alula_depth_u8s8(w), stride = alula_avx2_row_bytes(depth);
    const size_t block = alula_block_rows(end - begin, alula_avx2_max_rows(depth), ALULA_AVX2_TILE_ROWS);
    const gathering g = gathering_of(a);
    alula_place block_place = alula_place_of(w, begin);
    for (size_t row = begin; row < end; row += block) {
        const size_t rows = alula_min(block, end - row);
        const int direct = rows <= ALULA_AVX2_DIRECT_ROWS;
        // The panel comes first, at the alignment of scratch; the rows end in the slack that widen_run needs.
        int16_t *panel = scratch;
        uint8_t *x = (uint8_t *)scratch + (direct ? 0 : 32 * depth);
        alula_place place = block_place;
        for (size_t group = 0; group < (size_t)w->groups; group++) {
            place = block_place;
            for (size_t i = 0; i < rows; i++, alula_place_advance(w, &place)) gather(x + i * stride, &g, &place, group);
            for (size_t n = 0; n < outputs; n += 16) {
                const size_t channel = group * padded + n;
                const int8_t *weight = a->weight + channel * depth;
                const alula_target p = {a, a->bias + channel, a->multiplier + channel, group * outputs + n, alula_min(16, outputs - n)};
                if (direct) {
                    for (size_t i = 0; i < rows; i++) alula_gemv_u8s8_1x16_avx2(&p, row + i, x + i * stride, weight, depth);
                    continue;
                }
                widen_panel(panel, weight, depth);
                const tile_kernel *kernel = kernels[p.count > 8];
                for (size_t i = 0; i < rows; i += 6) {
                    kernel[alula_min(6, rows - i) - 1](&p, row + i, x + i * stride, stride, panel, depth, weight + 16 * depth);
                }
            }
        }
        block_place = place;
    }
}
#endif
