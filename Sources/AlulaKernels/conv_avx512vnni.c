// int8 convolution with AVX-512 VNNI: vpdpbusd multiplies u8 by s8 and adds four products into i32 without saturation.
//
// Bound: one vpdpbusd of 64 multiply-adds a cycle on Zen 4 (two halves), two on Intel servers. A tile is 3x64, 4x48, 6x32 or 12x16: 12 sums, for 4
// weight loads and 3 broadcasts a step where all columns are there. The sums of the tile before take 12 more registers: they are requantized between
// the steps of this one, as the scheduler sees too few instructions ahead to overlap both by itself. Measured on Zen 4 with cold weights: 190 GMAC/s
// at a depth of 48 (6x64 without overlap 170), 210 to 225 at 96 and more: 81 to 95 % of the register-only peak, requantization and table included.
//
// The input is read in place through pointers, one a row and tap, the same for all output channels.
#include "conv_epilogue_avx512.h"
#if defined(__x86_64__)
#pragma STDC FP_CONTRACT OFF

// Up to four blocks of 16 output channels (the last may have less) and where their results go.
typedef struct {
    const alula_conv_u8s8_args *args;
    const int8_t *weight;         // of the first block; the next lies `depth * 16` bytes further
    const int8_t *ahead;          // weights of the next panel that the tile at hand prefetches, `step` bytes for each quad of its depth
    size_t step;
    const int32_t *bias;
    const float *multiplier;
    size_t taps, quads, block_bytes, column, count;
} panel;

// ---- Epilogue ---------------------------------------------------------------------------------------------------------------------

// The bytes of a 16-channel block where a register of f32 has its lowest ones, by block.
#define LOW_BYTES(x) x, 0, 0, 0, x + 1, 0, 0, 0, x + 2, 0, 0, 0, x + 3, 0, 0, 0
#define LOW_BYTES_16(x) LOW_BYTES(x), LOW_BYTES(x + 4), LOW_BYTES(x + 8), LOW_BYTES(x + 12)
static const _Alignas(64) uint8_t low_bytes[4][64] = {{LOW_BYTES_16(0)}, {LOW_BYTES_16(16)}, {LOW_BYTES_16(32)}, {LOW_BYTES_16(48)}};

// Adds the residual to t. The lowest byte of 2^23 holds what is added to it, so that placing bytes there makes floats of them.
ALULA_AVX512_VNNI_INLINE void add_residual(const alula_conv_u8s8_args *a, size_t at, __m512 *t, const int blocks) {
    const __m512i bytes = _mm512_loadu_si512(a->residual + at), magic = _mm512_set1_epi32(0x4B000000);
    const __m512 zero = _mm512_set1_ps(0x1p23f + (float)a->residual_zero), multiplier = _mm512_set1_ps(a->residual_multiplier);
    ALULA_UNROLL for (int j = 0; j < blocks; j++) {
        const __m512i r = _mm512_mask_permutexvar_epi8(magic, 0x1111111111111111, _mm512_load_si512(low_bytes[j]), bytes);
        t[j] = _mm512_add_ps(t[j], _mm512_mul_ps(_mm512_sub_ps(_mm512_castsi512_ps(r), zero), multiplier));
    }
}

// Requantizes one row of 16 * blocks channels and stores it with one masked store.
ALULA_AVX512_VNNI_INLINE void finish(const panel *p, size_t row, const __m512i *sum, const int blocks) {
    const alula_conv_u8s8_args *a = p->args;
    const size_t at = row * (size_t)a->window.out_c + p->column;
    const uint64_t columns = alula_lanes(p->count);
    __m512 t[4];
    ALULA_UNROLL for (int j = 0; j < blocks; j++) {
        t[j] = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[j]), _mm512_loadu_ps(p->multiplier + 16 * j));
    }
    if (a->residual) add_residual(a, at, t, blocks);
    if (a->output_f32) {
        ALULA_UNROLL for (int j = 0; j < blocks; j++) {
            _mm512_mask_storeu_ps(a->output_f32 + at + 16 * j, (__mmask16)(columns >> (16 * j)), t[j]);
        }
        return;
    }
    __m512i q[4];
    alula_round_avx512(a, q, t, blocks);
    ALULA_UNROLL for (int j = blocks; j < 4; j++) q[j] = _mm512_setzero_si512();
    const __m512i in_order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i x = _mm512_permutexvar_epi32(in_order, alula_pack_avx512(a, q));
    if (a->table) x = alula_lookup_avx512(a->table, x);
    if (blocks == 4 && p->count == 64) _mm512_storeu_si512(a->output + at, x);
    else _mm512_mask_storeu_epi8(a->output + at, columns, x);
}

// ---- Micro-kernels ----------------------------------------------------------------------------------------------------------------

// One step of depth: four channels of a tap.
ALULA_AVX512_VNNI_INLINE void multiply(__m512i sum[12][4], const uint8_t *const *x, size_t c, const int8_t *weight, size_t block_bytes, const int rows,
                                       const int blocks) {
    __m512i w[4];
    ALULA_UNROLL for (int j = 0; j < blocks; j++) w[j] = _mm512_load_si512(weight + (size_t)j * block_bytes);
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        int32_t four;
        __builtin_memcpy(&four, x[r] + c, 4);
        const __m512i v = _mm512_set1_epi32(four);
        ALULA_UNROLL for (int j = 0; j < blocks; j++) sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], v, w[j]);
    }
}

// Sums of a tile, while the rows of the one before it are finished between its first steps: neither waits for the other then. `before` is NULL
// for the first tile. pointers: [taps][stride], of which the first `rows` of each tap are this tile's.
// The steps are written twice: with a struct for the place in the tile, shared by both loops, tiles of 32 columns are 7 % slower.
ALULA_AVX512_VNNI_INLINE void sum_tile(const panel *p, __m512i sum[12][4], const __m512i before[12][4], size_t row_before,
                                       const uint8_t *const *pointers, size_t stride, const int rows, const int blocks) {
    ALULA_UNROLL for (int j = 0; j < blocks; j++) {
        const __m512i bias = _mm512_loadu_si512(p->bias + 16 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    const int8_t *weight = p->weight, *ahead = p->ahead;
    const size_t block_bytes = p->block_bytes, depth = 4 * p->quads, taps = p->taps;
    size_t tap = 0, c = 0;
    const uint8_t *x[12];
    ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
    if (before) {
        // A row each few steps, or each tap.
        const size_t stretch = taps > 1 ? depth : alula_min(depth / (size_t)rows / 4 * 4, 32);
        ALULA_UNROLL for (int i = 0; i < rows; i++) {
            for (const size_t end = alula_min(c + stretch, depth); c < end; c += 4, weight += 64, ahead += p->step) {
                _mm_prefetch(ahead, _MM_HINT_T0);
                multiply(sum, x, c, weight, block_bytes, rows, blocks);
            }
            finish(p, row_before + (size_t)i, before[i], blocks);
            if (c == depth && tap + 1 < taps) {
                tap += 1, c = 0, pointers += stride;
                ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
            }
        }
    }
    for (;;) {
        for (; c < depth; c += 4, weight += 64, ahead += p->step) {
            _mm_prefetch(ahead, _MM_HINT_T0);
            multiply(sum, x, c, weight, block_bytes, rows, blocks);
        }
        if (++tap >= taps) return;
        c = 0, pointers += stride;
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
    }
}

// A tile by itself: what is left of the rows.
ALULA_AVX512_VNNI_INLINE void last_tile(const panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows, const int blocks) {
    __m512i sum[12][4];
    sum_tile(p, sum, 0, 0, pointers, stride, rows, blocks);
    ALULA_UNROLL for (int r = 0; r < rows; r++) finish(p, row + (size_t)r, sum[r], blocks);
}

// All rows of a block: tiles of `height` rows, each finished during the next one; then 4, 2 and 1 rows.
ALULA_AVX512_VNNI_INLINE void all_tiles(panel p, size_t row, const uint8_t *const *pointers, size_t stride, size_t rows, const int height,
                                        const int blocks) {
    const size_t tall = (size_t)height, ahead = p.taps * p.quads * p.step, end = row + rows;
    __m512i sum[12][4], next[12][4];
    // Twelve rows of one register would be finished in a body too long for what it saves.
    for (; blocks == 1 && row + tall <= end; row += tall, pointers += tall, p.ahead += ahead) last_tile(&p, row, pointers, stride, height, blocks);
    if (blocks > 1 && rows >= tall) {
        sum_tile(&p, sum, 0, 0, pointers, stride, height, blocks);
        for (; row + 2 * tall <= end; row += tall) {
            pointers += tall;
            p.ahead += ahead;
            sum_tile(&p, next, (const __m512i(*)[4])sum, row, pointers, stride, height, blocks);
            ALULA_UNROLL for (int r = 0; r < height; r++) {
                ALULA_UNROLL for (int j = 0; j < blocks; j++) sum[r][j] = next[r][j];
            }
        }
        ALULA_UNROLL for (int r = 0; r < height; r++) finish(&p, row + (size_t)r, sum[r], blocks);
        row += tall;
        pointers += tall;
        p.ahead += ahead;
    }
    for (; height > 4 && row + 4 <= end; row += 4, pointers += 4) last_tile(&p, row, pointers, stride, 4, blocks);
    for (; row + 2 <= end; row += 2, pointers += 2) last_tile(&p, row, pointers, stride, 2, blocks);
    if (row < end) last_tile(&p, row, pointers, stride, 1, blocks);
}

typedef void (*panel_kernel)(panel p, size_t row, const uint8_t *const *pointers, size_t stride, size_t rows);

#define PANEL(ROWS, COLUMNS)                                                                                                           \
    ALULA_AVX512_VNNI static void alula_gemm_u8s8_##ROWS##x##COLUMNS##_avx512vnni(panel p, size_t row, const uint8_t *const *pointers,        \
                                                                           size_t stride, size_t rows) {                               \
        all_tiles(p, row, pointers, stride, rows, ROWS, COLUMNS / 16);                                                                 \
    }
PANEL(12, 16) PANEL(6, 32) PANEL(4, 48) PANEL(3, 64)
#undef PANEL

// By blocks of columns.
static const struct { size_t height; panel_kernel kernel; } kernels[4] = {
    {12, alula_gemm_u8s8_12x16_avx512vnni}, {6, alula_gemm_u8s8_6x32_avx512vnni}, {4, alula_gemm_u8s8_4x48_avx512vnni},
    {3, alula_gemm_u8s8_3x64_avx512vnni},
};

// ---- The family's entry -----------------------------------------------------------------------------------------------------------

ALULA_AVX512_VNNI void alula_conv_u8s8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    if (begin >= end) return;
    const size_t outputs = alula_group_outputs(w), blocks = (outputs + 15) / 16, panels = (blocks + 3) / 4;
    const size_t taps = alula_taps(w), depth = alula_depth_u8s8(w), quads = (alula_group_inputs(w) + 3) / 4;
    // One stride for all tiles, as pointers are filled once a block of rows: [taps][block].
    const size_t block = alula_block_rows(end - begin, ALULA_POINTER_ROWS, 12);
    const uint8_t *const *pointers = scratch;
    alula_place block_place = alula_place_of(w, begin);
    for (size_t row = begin; row < end; row += block) {
        const size_t rows = alula_min(block, end - row);
        alula_place place = block_place;
        for (size_t group = 0; group < (size_t)w->groups; group++) {
            place = block_place;
            alula_fill_pointers(scratch, w, a->input, a->pad_row, 1, &place, rows, block, group);
            // Blocks of columns are dealt evenly: 96 columns are 48 + 48, not 64 + 32.
            for (size_t i = 0, first = 0; i < panels; i++) {
                const size_t width = blocks / panels + (i < blocks % panels), n = 16 * first;
                const size_t channel = group * 16 * blocks + n;
                // Deep layers of few rows, whose weights come from memory, wait for them but for the prefetch: 6 % of EfficientFormer-L1's last stage.
                const size_t height = kernels[width - 1].height, step = 64 * width / ((rows + height - 1) / height);
                const panel p = {a, a->weight + channel * depth, a->weight + (channel + 16 * width) * depth, step, a->bias + channel,
                                 a->multiplier + channel, taps, quads, 16 * depth, group * outputs + n, alula_min(16 * width, outputs - n)};
                kernels[width - 1].kernel(p, row, pointers, block, rows);
                first += width;
            }
        }
        block_place = place;
    }
}
#endif
