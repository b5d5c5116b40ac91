// f32 convolution with AVX2 and FMA: per output, the same chain of fused multiply-adds as the scalar definition.
//
// Bound: two 8-wide fused multiply-adds a cycle, 16 multiply-adds. A 6x16 tile has 12 of them for 2 + 6 loads, and 12 accumulators
// cover the latency of 4. The input is read in place through pointers, one a row and tap. Reached on Zen 3: 90 to 97 % of the bound on
// matrix products of 48 rows and more, as long as the weights come from a cache. Deep layers' weights come from memory, megabytes for 49
// rows: the tiles of a panel each fetch a part of the next one.
#include "conv_internal.h"
#if defined(__x86_64__)
#include "avx2_internal.h"
#include "unary.h"

#pragma STDC FP_CONTRACT OFF

enum { TILE_ROWS = 6 };

// A panel of 16 output channels: its weights [taps][inputs][16], and where its results go.
typedef struct {
    const alula_conv_f32_args *args;
    const float *weight, *bias;
    size_t taps, inputs, column, count;
} panel;

// Activation, then residual, which may be the output's memory: so a tile is finished before it is stored.
ALULA_AVX2_INLINE void finish(const panel *p, size_t row, __m256 sum[6][2], const int rows, const int vectors) {
    const alula_conv_f32_args *a = p->args;
    const size_t stride = (size_t)a->window.out_c, at = row * stride + p->column;
    if (a->activation != ALULA_NONE) {
        float x[6 * 16] __attribute__((aligned(32)));
        ALULA_UNROLL for (int r = 0; r < rows; r++) {
            ALULA_UNROLL for (int v = 0; v < vectors; v++) _mm256_store_ps(x + 8 * (r * vectors + v), sum[r][v]);
        }
        alula_unary_f32_apply_avx2(a->activation, x, (size_t)(8 * rows * vectors));
        ALULA_UNROLL for (int r = 0; r < rows; r++) {
            ALULA_UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = _mm256_load_ps(x + 8 * (r * vectors + v));
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        ALULA_UNROLL for (int v = 0; v < vectors; v++) {
            const size_t to = at + (size_t)r * stride + (size_t)(8 * v);
            __m256 y = sum[r][v];
            if (a->residual) y = _mm256_add_ps(y, _mm256_loadu_ps(a->residual + to));
            alula_store_floats(a->output + to, y, alula_min(8, p->count - (size_t)(8 * v)));
        }
    }
}

// pointers: [taps][TILE_ROWS]. `next` is fetched ahead, `step` bytes for each step of the loop.
ALULA_AVX2_INLINE void tile(const panel *p, size_t row, const float *const *pointers, const char *next, size_t step, const int rows,
                            const int vectors) {
    __m256 sum[6][2];
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        ALULA_UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = p->bias ? _mm256_loadu_ps(p->bias + 8 * v) : _mm256_setzero_ps();
    }
    const float *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += TILE_ROWS) {
        const float *x[6];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < p->inputs; c++, weight += 16, next += step) {
            __builtin_prefetch(next, 0, 2);
            __m256 w[2];
            ALULA_UNROLL for (int v = 0; v < vectors; v++) w[v] = _mm256_loadu_ps(weight + 8 * v);
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                const __m256 b = _mm256_broadcast_ss(x[r] + c);
                ALULA_UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = _mm256_fmadd_ps(b, w[v], sum[r][v]);
            }
        }
    }
    finish(p, row, sum, rows, vectors);
}

typedef void (*tile_kernel)(const panel *p, size_t row, const float *const *pointers, const char *next, size_t step);

#define TILE(ROWS, COLUMNS)                                                                                                            \
    ALULA_AVX2 static void alula_gemm_f32_##ROWS##x##COLUMNS##_avx2(const panel *p, size_t row, const float *const *pointers,          \
                                                                     const char *next, size_t step) {                                  \
        tile(p, row, pointers, next, step, ROWS, COLUMNS / 8);                                                                         \
    }
TILE(1, 8) TILE(2, 8) TILE(3, 8) TILE(4, 8) TILE(5, 8) TILE(6, 8)
TILE(1, 16) TILE(2, 16) TILE(3, 16) TILE(4, 16) TILE(5, 16) TILE(6, 16)
#undef TILE

static const tile_kernel kernels[2][6] = {
    {alula_gemm_f32_1x8_avx2, alula_gemm_f32_2x8_avx2, alula_gemm_f32_3x8_avx2, alula_gemm_f32_4x8_avx2, alula_gemm_f32_5x8_avx2,
     alula_gemm_f32_6x8_avx2},
    {alula_gemm_f32_1x16_avx2, alula_gemm_f32_2x16_avx2, alula_gemm_f32_3x16_avx2, alula_gemm_f32_4x16_avx2, alula_gemm_f32_5x16_avx2,
     alula_gemm_f32_6x16_avx2},
};

ALULA_AVX2 void alula_conv_f32_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    if (begin >= end) return;
    const size_t outputs = alula_group_outputs(w), padded = alula_round_up(outputs, 16), inputs = alula_group_inputs(w);
    const size_t taps = alula_taps(w), depth = taps * inputs, block = alula_block_rows(end - begin, ALULA_POINTER_ROWS, TILE_ROWS);
    const float *const *pointers = scratch;
    alula_place block_place = alula_place_of(w, begin);
    for (size_t row = begin; row < end; row += block) {
        const size_t rows = alula_min(block, end - row), tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
        const size_t step = 64 / tiles;        // of the next panel's 64 bytes for each step of this one
        alula_place place = block_place;
        for (size_t group = 0; group < (size_t)w->groups; group++) {
            place = block_place;
            alula_fill_pointers(scratch, w, a->input, a->pad_row, sizeof(float), &place, rows, TILE_ROWS, group);
            for (size_t n = 0; n < outputs; n += 16) {
                const size_t channel = group * padded + n;
                const panel p = {a, a->weight + channel * depth, a->bias ? a->bias + channel : 0, taps, inputs, group * outputs + n,
                                 alula_min(16, outputs - n)};
                const tile_kernel *kernel = kernels[p.count > 8];
                for (size_t i = 0; i < rows; i += TILE_ROWS) {
                    const char *next = (const char *)(p.weight + 16 * depth) + i / TILE_ROWS * depth * step;
                    kernel[alula_min(TILE_ROWS, rows - i) - 1](&p, row + i, pointers + i * taps, next, step);
                }
            }
        }
        block_place = place;
    }
}
#endif
