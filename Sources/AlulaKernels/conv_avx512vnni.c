// int8 convolution with AVX-512 VNNI: vpdpbusd multiplies u8 by s8 and adds four products into i32 without saturation.
//
// Bound: one vpdpbusd of 64 multiply-adds a cycle on Zen 4 (two halves), two on Intel servers. A 6x64 tile has 24 of them for 4 weight
// loads and 6 broadcasts, and uses 29 of 32 registers; 8x48, 12x32 and 12x16 take what is left of the columns. Measured on Zen 4: 191 to
// 230 GMAC/s, 85 to 97 % of the register-only peak, with requantization and table in the epilogue.
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

// pointers: [taps][stride], of which the first `rows` of each tap are this tile's.
ALULA_AVX512_VNNI_INLINE void tile(const panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows, const int blocks) {
    __m512i sum[12][4];
    ALULA_UNROLL for (int j = 0; j < blocks; j++) {
        const __m512i bias = _mm512_loadu_si512(p->bias + 16 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = bias;
    }
    const int8_t *weight = p->weight, *ahead = p->ahead;
    const size_t block_bytes = p->block_bytes;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const uint8_t *x[12];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < 4 * p->quads; c += 4, weight += 64, ahead += p->step) {
            _mm_prefetch(ahead, _MM_HINT_T1);
            __m512i w[4];
            ALULA_UNROLL for (int j = 0; j < blocks; j++) w[j] = _mm512_load_si512(weight + (size_t)j * block_bytes);
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                int32_t four;
                __builtin_memcpy(&four, x[r] + c, 4);
                const __m512i v = _mm512_set1_epi32(four);
                ALULA_UNROLL for (int j = 0; j < blocks; j++) sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], v, w[j]);
            }
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) finish(p, row + (size_t)r, sum[r], blocks);
}

typedef void (*tile_kernel)(const panel *p, size_t row, const uint8_t *const *pointers, size_t stride);

#define TILE(ROWS, COLUMNS)                                                                                                            \
    ALULA_AVX512_VNNI static void alula_gemm_u8s8_##ROWS##x##COLUMNS##_avx512vnni(const panel *p, size_t row, const uint8_t *const *pointers, \
                                                                           size_t stride) {                                            \
        tile(p, row, pointers, stride, ROWS, COLUMNS / 16);                                                                            \
    }
TILE(1, 16) TILE(2, 16) TILE(4, 16) TILE(12, 16)
TILE(1, 32) TILE(2, 32) TILE(4, 32) TILE(12, 32)
TILE(1, 48) TILE(2, 48) TILE(4, 48) TILE(8, 48)
TILE(1, 64) TILE(2, 64) TILE(4, 64) TILE(6, 64)
#undef TILE

// By blocks of columns: the full tile, then 4, 2 and 1 rows for the rest.
static const struct { size_t rows; tile_kernel full, four, two, one; } kernels[4] = {
    {12, alula_gemm_u8s8_12x16_avx512vnni, alula_gemm_u8s8_4x16_avx512vnni, alula_gemm_u8s8_2x16_avx512vnni,
     alula_gemm_u8s8_1x16_avx512vnni},
    {12, alula_gemm_u8s8_12x32_avx512vnni, alula_gemm_u8s8_4x32_avx512vnni, alula_gemm_u8s8_2x32_avx512vnni,
     alula_gemm_u8s8_1x32_avx512vnni},
    {8, alula_gemm_u8s8_8x48_avx512vnni, alula_gemm_u8s8_4x48_avx512vnni, alula_gemm_u8s8_2x48_avx512vnni,
     alula_gemm_u8s8_1x48_avx512vnni},
    {6, alula_gemm_u8s8_6x64_avx512vnni, alula_gemm_u8s8_4x64_avx512vnni, alula_gemm_u8s8_2x64_avx512vnni,
     alula_gemm_u8s8_1x64_avx512vnni},
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
                const size_t height = kernels[width - 1].rows, step = 64 * width / ((rows + height - 1) / height);
                panel p = {a, a->weight + channel * depth, a->weight + (channel + 16 * width) * depth, step, a->bias + channel, a->multiplier + channel, taps, quads, 16 * depth,
                                 group * outputs + n, alula_min(16 * width, outputs - n)};
                size_t done = 0;
                for (; done + height <= rows; done += height) {
                    kernels[width - 1].full(&p, row + done, pointers + done, block);
                    p.ahead += depth / 4 * step;
                }
                for (; done + 4 <= rows; done += 4) kernels[width - 1].four(&p, row + done, pointers + done, block);
                for (; done + 2 <= rows; done += 2) kernels[width - 1].two(&p, row + done, pointers + done, block);
                if (done < rows) kernels[width - 1].one(&p, row + done, pointers + done, block);
                first += width;
            }
        }
        block_place = place;
    }
}
#endif
