// f32 convolution with AVX-512: per output, the same chain of fused multiply-adds as the scalar definition.
//
// Bound: one 16-wide fused multiply-add a cycle on Zen 4, two on Intel servers. A 12x32 tile has 24 of them for 2 + 12 loads, which
// covers the latency of 4 at either rate. Structure as in conv_avx512vnni.c. Layers of few channels need the memory as long as the multiplier: the next rows of a
// 1x1 convolution's input are prefetched, and a tile's lines of output (batch 64, 16x16, 36 -> 144 channels: 41 -> 51 GMAC/s; 144 -> 36: 25 -> 46).
#include "conv_internal.h"
#if defined(__x86_64__)
#include "unary.h"
#include "avx512.h"

#pragma STDC FP_CONTRACT OFF

// Half a block, one, or two blocks of 16 output channels (the last may have less) and where their results go.
typedef struct {
    const alula_conv_f32_args *args;
    const float *weight;          // of the first block; the next lies `block` floats further
    const char *ahead;            // weights of the next panel that the tile at hand prefetches, `step` bytes for each step of its depth
    const char *input_ahead;      // and input of the next rows
    size_t step, input_step;
    const float *bias;
    size_t taps, inputs, block, column, count;
} panel;

// Activation of the whole tile, so that its chains of operations overlap; then residual, which may be the output's memory.
ALULA_AVX512_VNNI_INLINE void finish(const panel *p, size_t row, __m512 sum[12][2], const int rows, const int blocks) {
    const alula_conv_f32_args *a = p->args;
    if (a->activation != ALULA_NONE) {
        float x[12 * 32] __attribute__((aligned(64)));
        ALULA_UNROLL for (int i = 0; i < rows * blocks; i++) _mm512_store_ps(x + 16 * i, sum[i / blocks][i % blocks]);
        alula_unary_f32_apply_avx512vnni(a->activation, x, (size_t)(16 * rows * blocks));
        ALULA_UNROLL for (int i = 0; i < rows * blocks; i++) sum[i / blocks][i % blocks] = _mm512_load_ps(x + 16 * i);
    }
    const size_t stride = (size_t)a->window.out_c, first = row * stride + p->column, last = p->count - (size_t)(16 * (blocks - 1));
    float *to = a->output + first;
    const float *residual = a->residual ? a->residual + first : 0;
    if (last >= 16) {
        ALULA_UNROLL for (int r = 0; r < rows; r++, to += stride) {
            ALULA_UNROLL for (int j = 0; j < blocks; j++) {
                __m512 y = sum[r][j];
                if (residual) y = _mm512_add_ps(y, _mm512_loadu_ps(residual + (size_t)r * stride + 16 * j));
                _mm512_storeu_ps(to + 16 * j, y);
            }
        }
        return;
    }
    const __mmask16 tail = (__mmask16)((1u << last) - 1);
    ALULA_UNROLL for (int r = 0; r < rows; r++, to += stride) {
        ALULA_UNROLL for (int j = 0; j < blocks; j++) {
            const __mmask16 lanes = j + 1 < blocks ? 0xffff : tail;
            __m512 y = sum[r][j];
            if (residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, residual + (size_t)r * stride + 16 * j));
            _mm512_mask_storeu_ps(to + 16 * j, lanes, y);
        }
    }
}

// pointers: [taps][stride], of which the first `rows` of each tap are this tile's.
ALULA_AVX512_VNNI_INLINE void tile(const panel *p, size_t row, const float *const *pointers, size_t stride, const int rows, const int blocks) {
    __m512 sum[12][2];
    ALULA_UNROLL for (int j = 0; j < blocks; j++) {
        const __m512 bias = p->bias ? _mm512_loadu_ps(p->bias + 16 * j) : _mm512_setzero_ps();
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    // Output lines come meanwhile: layers of few inputs would wait for them.
    const size_t out_c = (size_t)p->args->window.out_c;
    const float *output = p->args->output + row * out_c + p->column;
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        ALULA_UNROLL for (int j = 0; j < blocks; j++) __builtin_prefetch(output + (size_t)r * out_c + 16 * j, 1, 3);
    }
    const float *weight = p->weight;
    const char *ahead = p->ahead, *input_ahead = p->input_ahead;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const float *x[12];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < p->inputs; c++, weight += 16, ahead += p->step, input_ahead += p->input_step) {
            _mm_prefetch(ahead, _MM_HINT_T1);
            _mm_prefetch(input_ahead, _MM_HINT_T0);
            __m512 w[2];
            ALULA_UNROLL for (int j = 0; j < blocks; j++) w[j] = _mm512_loadu_ps(weight + (size_t)j * p->block);
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                const __m512 v = _mm512_set1_ps(x[r][c]);
                ALULA_UNROLL for (int j = 0; j < blocks; j++) sum[r][j] = _mm512_fmadd_ps(v, w[j], sum[r][j]);
            }
        }
    }
    finish(p, row, sum, rows, blocks);
}

// Up to 8 channels in vectors of 256 bits, which take half the time on processors with two such units for one of 512.
ALULA_AVX512_VNNI_INLINE void half_tile(const panel *p, size_t row, const float *const *pointers, size_t stride, const int rows) {
    __m256 half[12];
    ALULA_UNROLL for (int r = 0; r < rows; r++) half[r] = p->bias ? _mm256_loadu_ps(p->bias) : _mm256_setzero_ps();
    const float *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const float *x[12];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < p->inputs; c++, weight += 16) {
            const __m256 w = _mm256_loadu_ps(weight);
            ALULA_UNROLL for (int r = 0; r < rows; r++) half[r] = _mm256_fmadd_ps(_mm256_set1_ps(x[r][c]), w, half[r]);
        }
    }
    __m512 sum[12][2];
    ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][0] = _mm512_castps256_ps512(half[r]);
    finish(p, row, sum, rows, 1);
}

typedef void (*tile_kernel)(const panel *p, size_t row, const float *const *pointers, size_t stride);

#define TILE(ROWS, COLUMNS, ...)                                                                                                      \
    ALULA_AVX512_VNNI static void alula_gemm_f32_##ROWS##x##COLUMNS##_avx512(const panel *p, size_t row, const float *const *pointers, \
                                                                             size_t stride) {                                        \
        __VA_ARGS__;                                                                                                                  \
    }
#define TILES(ROWS)                                              \
    TILE(ROWS, 8, half_tile(p, row, pointers, stride, ROWS))     \
    TILE(ROWS, 16, tile(p, row, pointers, stride, ROWS, 1))      \
    TILE(ROWS, 32, tile(p, row, pointers, stride, ROWS, 2))
TILES(1) TILES(2) TILES(4) TILES(12)
#undef TILES
#undef TILE

// By columns, 8, 16 and 32: 12, 4, 2 and 1 rows.
enum { HEIGHTS = 4 };
static const size_t heights[HEIGHTS] = {12, 4, 2, 1};
#define KERNEL(ROWS, COLUMNS) alula_gemm_f32_##ROWS##x##COLUMNS##_avx512
#define KERNELS(COLUMNS) {KERNEL(12, COLUMNS), KERNEL(4, COLUMNS), KERNEL(2, COLUMNS), KERNEL(1, COLUMNS)}
static const tile_kernel kernels[3][HEIGHTS] = {KERNELS(8), KERNELS(16), KERNELS(32)};
#undef KERNELS
#undef KERNEL

// The columns of the next panel of a layer's last `left` ones, as an index into kernels: 24 are 16 and 8.
ALULA_AVX512_VNNI_INLINE size_t width_of(size_t left) { return left > 24 ? 2 : left > 8 ? 1 : 0; }

ALULA_AVX512_VNNI void alula_conv_f32_avx512(const void *args, size_t begin, size_t end, void *scratch) {
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
            const size_t tiles = (rows + heights[0] - 1) / heights[0], panels = outputs < 32 ? 1 : outputs / 32;
            const char *input_ahead = (const char *)(a->input + (row + rows) * (size_t)w->in_c);
            const size_t input_step = alula_is_pointwise(w) ? rows * sizeof(float) / (tiles * panels) : 0;
            for (size_t n = 0, columns; n < outputs; n += columns) {
                const size_t width = width_of(outputs - n), channel = group * padded + n;
                columns = (size_t)8 << width;
                panel p = {a, a->weight + channel * depth, (const char *)(a->weight + (channel + 32) * depth), input_ahead, 128 / tiles, input_step,
                           a->bias ? a->bias + channel : 0, taps, inputs, 16 * depth, group * outputs + n, alula_min(columns, outputs - n)};
                size_t done = 0;
                for (int h = 0; h < HEIGHTS; h++) {
                    for (; done + heights[h] <= rows; done += heights[h]) {
                        kernels[width][h](&p, row + done, pointers + done, block);
                        p.ahead += depth * p.step;
                        p.input_ahead += depth * input_step;
                    }
                }
                input_ahead = p.input_ahead;
            }
        }
        block_place = place;
    }
}
#endif
