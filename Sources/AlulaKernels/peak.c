// The limits that kernels are measured against: the most multiply-adds a second that this CPU can do, with the instructions of the inner
// loops on registers alone, and the most bytes a second that it reads.
#include "alula_kernels.h"
#include "arm.h"

// Each returns the multiply-adds that it did; the sum goes to *sink so that nothing is optimized away.
enum { ROUNDS = 20000 };

static double scalar_work(int32_t *sink) {
    int32_t sum[8] = {0};
    int32_t x = *sink & 255, w = (*sink & 127) + 1;
    for (int i = 0; i < ROUNDS; i++) {
        for (int j = 0; j < 8; j++) {
            sum[j] += x * w;
            __asm__ volatile("" : "+r"(sum[j]), "+r"(x), "+r"(w));
        }
    }
    for (int j = 0; j < 8; j++) *sink ^= sum[j];
    return 8.0 * ROUNDS;
}

static double scalar_f32_work(int32_t *sink) {
    float sum[8] = {0}, x = (float)*sink, w = 0.5f;
    for (int i = 0; i < ROUNDS; i++) {
        for (int j = 0; j < 8; j++) {
            sum[j] += x * w;
            __asm__ volatile("" : "+m"(sum[j]), "+m"(x));
        }
    }
    for (int j = 0; j < 8; j++) *sink ^= sum[j] > 1e30f;
    return 8.0 * ROUNDS;
}

#if defined(__x86_64__)
#include <immintrin.h>

// 12 accumulators as in the 6x16 tile: enough for latency 3 + 1 at two multiplications a cycle.
__attribute__((target("avx2"))) static double avx2_work(int32_t *sink) {
    __m256i sum[12], x = _mm256_set1_epi16((int16_t)(*sink & 255)), w = _mm256_set1_epi16(1);
    for (int j = 0; j < 12; j++) sum[j] = _mm256_setzero_si256();
    for (int i = 0; i < ROUNDS; i++) {
        _Pragma("clang loop unroll(full)") for (int j = 0; j < 12; j++) {
            __asm__ volatile("" : "+x"(x));
            sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(x, w));
        }
    }
    for (int j = 1; j < 12; j++) sum[0] = _mm256_xor_si256(sum[0], sum[j]);
    *sink ^= _mm256_extract_epi32(sum[0], 0);
    return 12.0 * 16 * ROUNDS;
}

__attribute__((target("avx2,avxvnni"))) static double avxvnni_work(int32_t *sink) {
    __m256i sum[12], x = _mm256_set1_epi8((char)*sink), w = _mm256_set1_epi8(1);
    for (int j = 0; j < 12; j++) sum[j] = _mm256_setzero_si256();
    for (int i = 0; i < ROUNDS; i++) {
        _Pragma("clang loop unroll(full)") for (int j = 0; j < 12; j++) {
            __asm__ volatile("" : "+x"(x));
            sum[j] = _mm256_dpbusd_avx_epi32(sum[j], x, w);
        }
    }
    for (int j = 1; j < 12; j++) sum[0] = _mm256_xor_si256(sum[0], sum[j]);
    *sink ^= _mm256_extract_epi32(sum[0], 0);
    return 12.0 * 32 * ROUNDS;
}

__attribute__((target("avx512f,avx512vnni"))) static double avx512vnni_work(int32_t *sink) {
    __m512i sum[24], x = _mm512_set1_epi8((char)*sink), w = _mm512_set1_epi8(1);
    for (int j = 0; j < 24; j++) sum[j] = _mm512_setzero_si512();
    for (int i = 0; i < ROUNDS; i++) {
        _Pragma("clang loop unroll(full)") for (int j = 0; j < 24; j++) {
            __asm__ volatile("" : "+v"(x));
            sum[j] = _mm512_dpbusd_epi32(sum[j], x, w);
        }
    }
    for (int j = 1; j < 24; j++) sum[0] = _mm512_xor_si512(sum[0], sum[j]);
    *sink ^= _mm512_reduce_add_epi32(sum[0]);
    return 24.0 * 64 * ROUNDS;
}

// TYPE and the operations are of one vector width; 12 accumulators fill two units of latency 4, and more.
#define F32_WORK(NAME, FEATURES, TYPE, LANES, SET, FMA, REGISTER)                                                                       \
    __attribute__((target(FEATURES))) static double NAME##_f32_work(int32_t *sink) {                                                    \
        TYPE sum[12], x = SET((float)*sink), w = SET(0.5f);                                                                             \
        for (int j = 0; j < 12; j++) sum[j] = SET(0.0f);                                                                                \
        for (int i = 0; i < ROUNDS; i++) {                                                                                              \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < 12; j++) {                                                           \
                __asm__ volatile("" : "+" REGISTER(x));                                                                                 \
                sum[j] = FMA(x, w, sum[j]);                                                                                             \
            }                                                                                                                           \
        }                                                                                                                               \
        for (int j = 0; j < 12; j++) __asm__ volatile("" : : REGISTER(sum[j]));                                                         \
        return 12.0 * LANES * ROUNDS;                                                                                                   \
    }
F32_WORK(avx2, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps, "x")
F32_WORK(avx512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps, "v")
#undef F32_WORK
#elif ALULA_ARM64
#include <arm_neon.h>

static double neon_f32_work(int32_t *sink) {
    float32x4_t sum[16], x = vdupq_n_f32((float)*sink), w = vdupq_n_f32(0.5f);
    for (int j = 0; j < 16; j++) sum[j] = vdupq_n_f32(0);
    for (int i = 0; i < ROUNDS; i++) {
        _Pragma("clang loop unroll(full)") for (int j = 0; j < 16; j++) {
            __asm__ volatile("" : "+w"(x));
            sum[j] = vfmaq_f32(sum[j], x, w);
        }
    }
    for (int j = 0; j < 16; j++) __asm__ volatile("" : : "w"(sum[j]));
    return 16.0 * 4 * ROUNDS;
}

// STEP adds `multiply_adds` products to an int32x4_t, from x and w.
#define ARM_WORK(NAME, FEATURES, TYPE_X, STEP, MULTIPLY_ADDS)                                                                           \
    FEATURES static double NAME##_work(int32_t *sink) {                                                                                 \
        int32x4_t sum[16];                                                                                                              \
        TYPE_X x;                                                                                                                       \
        __builtin_memset(&x, *sink, sizeof x);                                                                                          \
        const int8x16_t w = vdupq_n_s8(1);                                                                                              \
        for (int j = 0; j < 16; j++) sum[j] = vdupq_n_s32(0);                                                                           \
        for (int i = 0; i < ROUNDS; i++) {                                                                                              \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < 16; j++) {                                                           \
                __asm__ volatile("" : "+w"(x));                                                                                         \
                sum[j] = STEP;                                                                                                          \
            }                                                                                                                           \
        }                                                                                                                               \
        for (int j = 1; j < 16; j++) sum[0] = veorq_s32(sum[0], sum[j]);                                                                \
        *sink ^= vaddvq_s32(sum[0]);                                                                                                    \
        return 16.0 * MULTIPLY_ADDS * ROUNDS;                                                                                           \
    }
ARM_WORK(neon, , int8x16_t, vpadalq_s16(sum[j], vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(w)), x, w)), 16)
ARM_WORK(neondot, __attribute__((target("dotprod"))), int8x16_t, vdotq_s32(sum[j], x, w), 16)
ARM_WORK(i8mm, __attribute__((target("i8mm"))), uint8x16_t, vusmmlaq_s32(sum[j], x, w), 32)
#undef ARM_WORK
#endif

// The best of many short spans, in operations a second: others share the machine.
static double best_rate(double (*work)(int32_t *), uint64_t (*clock)(void), double milliseconds) {
    int32_t sink = 3;
    double best = 0;
    const uint64_t start = clock();
    for (uint64_t now = start; (double)(now - start) < milliseconds * 1e6;) {
        const double operations = work(&sink);
        const uint64_t then = clock();
        if (then > now && operations / (double)(then - now) > best) best = operations / (double)(then - now);
        now = then;
    }
    __asm__ volatile("" : : "r"(sink));
    return best * 1e9;
}

double alula_measure_peak_u8s8(alula_isa isa, uint64_t (*clock)(void), double milliseconds) {
    double (*work)(int32_t *) = scalar_work;
    if (!alula_kernels_for(isa)) return 0;
#if defined(__x86_64__)
    if (isa == ALULA_ISA_AVX2) work = avx2_work;
    if (isa == ALULA_ISA_AVXVNNI) work = avxvnni_work;
    if (isa == ALULA_ISA_AVX512VNNI) work = avx512vnni_work;
#elif ALULA_ARM64
    if (isa == ALULA_ISA_NEON) work = neon_work;
    if (isa == ALULA_ISA_NEONDOT) work = neondot_work;
    if (isa == ALULA_ISA_I8MM) work = i8mm_work;
#endif
    return best_rate(work, clock, milliseconds);
}

double alula_measure_peak_f32(alula_isa isa, uint64_t (*clock)(void), double milliseconds) {
    double (*work)(int32_t *) = scalar_f32_work;
    if (!alula_kernels_for(isa)) return 0;
#if defined(__x86_64__)
    if (isa == ALULA_ISA_AVX2 || isa == ALULA_ISA_AVXVNNI) work = avx2_f32_work;
    if (isa == ALULA_ISA_AVX512VNNI) work = avx512_f32_work;
#elif ALULA_ARM64
    if (isa != ALULA_ISA_SCALAR) work = neon_f32_work;
#endif
    return best_rate(work, clock, milliseconds);
}

double alula_measure_read_bandwidth(const void *memory, size_t bytes, uint64_t (*clock)(void), double milliseconds) {
    enum { LANES = 8, BLOCK = LANES * sizeof(uint64_t) };
    const uint8_t *start = memory;
    uint64_t sum[LANES] = {0};
    double best = 0;
    const uint64_t first = clock();
    for (uint64_t now = first; (double)(now - first) < milliseconds * 1e6;) {
        for (size_t i = 0; i + BLOCK <= bytes; i += BLOCK) {
            uint64_t block[LANES];
            __builtin_memcpy(block, start + i, BLOCK);
            for (int j = 0; j < LANES; j++) sum[j] ^= block[j];
        }
        for (int j = 0; j < LANES; j++) __asm__ volatile("" : "+r"(sum[j]));
        const uint64_t then = clock();
        if (then > now && (double)bytes / (double)(then - now) > best) best = (double)bytes / (double)(then - now);
        now = then;
    }
    return best * 1e9;
}
