// f32 convolution with AVX-512: per output, the same chain of fused multiply-adds as the scalar definition.
//
// Bound: one 16-wide fused multiply-add a cycle on Zen 4, two on Intel servers. A 12x32 tile has 24 of them for 2 + 12 loads, which
// covers the latency of 4 at either rate. Structure as in conv_avx512vnni.c.
#include "conv_internal.h"
#if defined(__x86_64__)
#include "unary.h"
#include "avx512.h"

#pragma STDC FP_CONTRACT OFF

// One or two blocks of 16 output channels (the last may have less) and where their results go.
typedef struct {
    const alula_conv_f32_args *args;
    const float *weight;          // of the first block; the next lies `block` floats further
    const char *ahead;            // weights of the next panel that the tile at hand prefetches, `step` bytes for each step of its depth
    size_t step;
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
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        ALULA_UNROLL for (int j = 0; j < blocks; j++) {
            const size_t left = p->count - (size_t)(16 * j), to = (row + (size_t)r) * (size_t)a->window.out_c + p->column + (size_t)(16 * j);
            const __mmask16 lanes = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
            __m512 y = sum[r][j];
            if (a->residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, a->residual + to));
            _mm512_mask_storeu_ps(a->output + to, lanes, y);
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
    const float *weight = p->weight;
    const char *ahead = p->ahead;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const float *x[12];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < p->inputs; c++, weight += 16, ahead += p->step) {
            _mm_prefetch(ahead, _MM_HINT_T1);
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

typedef void (*tile_kernel)(const panel *p, size_t row, const float *const *pointers, size_t stride);

#define TILE(ROWS, COLUMNS)                                                                                                            \
    ALULA_AVX512_VNNI static void alula_gemm_f32_##ROWS##x##COLUMNS##_avx512(const panel *p, size_t row, const float *const *pointers,      \
                                                                        size_t stride) {                                               \
        tile(p, row, pointers, stride, ROWS, COLUMNS / 16);                                                                            \
    }
TILE(1, 16) TILE(2, 16) TILE(4, 16) TILE(12, 16)
TILE(1, 32) TILE(2, 32) TILE(4, 32) TILE(12, 32)
#undef TILE

// By blocks of columns: 12, 4, 2 and 1 rows.
enum { HEIGHTS = 4 };
static const size_t heights[HEIGHTS] = {12, 4, 2, 1};
static const tile_kernel kernels[2][HEIGHTS] = {
    {alula_gemm_f32_12x16_avx512, alula_gemm_f32_4x16_avx512, alula_gemm_f32_2x16_avx512, alula_gemm_f32_1x16_avx512},
    {alula_gemm_f32_12x32_avx512, alula_gemm_f32_4x32_avx512, alula_gemm_f32_2x32_avx512, alula_gemm_f32_1x32_avx512},
};

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
            const size_t step = 128 / ((rows + heights[0] - 1) / heights[0]);
            for (size_t n = 0; n < outputs; n += 32) {
                const size_t channel = group * padded + n;
                panel p = {a, a->weight + channel * depth, (const char *)(a->weight + (channel + 32) * depth), step, a->bias ? a->bias + channel : 0, taps, inputs, 16 * depth,
                                 group * outputs + n, alula_min(32, outputs - n)};
                const tile_kernel *kernel = kernels[p.count > 16];
                size_t done = 0;
                for (int h = 0; h < HEIGHTS; h++) {
                    for (; done + heights[h] <= rows; done += heights[h]) {
                        kernel[h](&p, row + done, pointers + done, block);
                        p.ahead += depth * step;
                    }
                }
            }
        }
        block_place = place;
    }
}
#endif
