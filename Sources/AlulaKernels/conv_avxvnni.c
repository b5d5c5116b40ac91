// int8 convolution with AVX-VNNI: vpdpbusd multiplies u8 by s8 and adds four products into i32, exactly, 8 channels at a time.
//
// Bound: two 256-bit vpdpbusd a cycle, 64 multiply-adds (Alder Lake's large cores and Zen 5; one on its small cores). A 6x16 tile has 12 of them
// for 2 weight loads and 6 broadcasts, and uses 15 of 16 registers. Weights and input are read in place: nothing is widened. No CPU with it has
// measured it; the emulation says that it gives the bytes of the definition.
#include "conv_panels.h"
#if defined(__x86_64__)
#include "conv_epilogue_avx2.h"

#pragma STDC FP_CONTRACT OFF

#ifdef ALULA_EMULATE_AVXVNNI                     // Tests/KernelEmulation, on a CPU with AVX2
#define ALULA_AVXVNNI ALULA_AVX2
#define ALULA_AVXVNNI_INLINE ALULA_AVX2_INLINE
ALULA_AVXVNNI_INLINE __m256i dot(__m256i sum, __m256i x, __m256i w) {
    uint32_t s[8];
    uint8_t u8[32];
    int8_t s8[32];
    __builtin_memcpy(s, &sum, 32);
    __builtin_memcpy(u8, &x, 32);
    __builtin_memcpy(s8, &w, 32);
    for (int i = 0; i < 32; i++) s[i / 4] += (uint32_t)(u8[i] * s8[i]);
    __builtin_memcpy(&sum, s, 32);
    return sum;
}
#else
#define ALULA_AVXVNNI __attribute__((target("avx2,fma,avxvnni")))
#define ALULA_AVXVNNI_INLINE __attribute__((target("avx2,fma,avxvnni"), always_inline)) static inline
ALULA_AVXVNNI_INLINE __m256i dot(__m256i sum, __m256i x, __m256i w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
#endif

// rows x 16, or x 8 where the panel has no more columns. pointers: [taps][stride], of which the first `rows` of each tap are this tile's.
ALULA_AVXVNNI_INLINE void tile(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride, const int rows) {
    __m256i sum[6][2];
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        sum[r][0] = _mm256_loadu_si256((const __m256i *)p->bias);
        sum[r][1] = _mm256_loadu_si256((const __m256i *)(p->bias + 8));
    }
    const int8_t *weight = p->weight;
    for (size_t tap = 0; tap < p->taps; tap++, pointers += stride) {
        const uint8_t *x[6];
        ALULA_UNROLL for (int r = 0; r < rows; r++) x[r] = pointers[r];
        for (size_t c = 0; c < 4 * p->quads; c += 4, weight += 64) {
            const __m256i w0 = _mm256_load_si256((const __m256i *)weight), w1 = _mm256_load_si256((const __m256i *)weight + 1);
            ALULA_UNROLL for (int r = 0; r < rows; r++) {
                const __m256i v = alula_broadcast_4(x[r] + c);
                sum[r][0] = dot(sum[r][0], v, w0);
                sum[r][1] = dot(sum[r][1], v, w1);
            }
        }
    }
    const alula_target target = {p->args, p->bias, p->multiplier, p->column, p->count};
    if (p->args->residual) alula_finish_avx2(&target, row, (const __m256i(*)[2])sum, rows, 1);
    else alula_finish_avx2(&target, row, (const __m256i(*)[2])sum, rows, 0);
}

#define TILE(ROWS)                                                                                                                     \
    ALULA_AVXVNNI static void alula_gemm_u8s8_##ROWS##x16_avxvnni(const alula_panel *p, size_t row, const uint8_t *const *pointers,    \
                                                                  size_t stride) {                                                     \
        tile(p, row, pointers, stride, ROWS);                                                                                          \
    }
TILE(1) TILE(2) TILE(3) TILE(6)
#undef TILE

static const alula_panel_height heights[] = {{6, alula_gemm_u8s8_6x16_avxvnni}, {3, alula_gemm_u8s8_3x16_avxvnni},
                                             {2, alula_gemm_u8s8_2x16_avxvnni}, {1, alula_gemm_u8s8_1x16_avxvnni}};

// The file's weights are what the instruction wants.
static const alula_panel_height *prepare(alula_panel *p, int8_t *repacked, int32_t bias[16], size_t rows) {
    (void)p, (void)repacked, (void)bias, (void)rows;
    return heights;
}

void alula_conv_u8s8_avxvnni(const void *args, size_t begin, size_t end, void *scratch) { alula_walk_panels(args, begin, end, scratch, prepare); }
#endif
