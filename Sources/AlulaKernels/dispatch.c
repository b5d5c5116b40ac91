// Which kernels this CPU runs. One table an instruction set, one probe.
#include "conv_internal.h"
#include "kernels_internal.h"

#define ENTRY(family, isa) .family = alula_##family##_##isa,

static const alula_kernel_table scalar_table = {
    .isa = ALULA_ISA_SCALAR,
    .name = "scalar",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_scalar,
    .depthwise_u8s8 = alula_depthwise_u8s8_scalar,
    .conv_transpose_u8s8 = alula_conv_transpose_u8s8_scalar,
    .pair_u8 = alula_pair_u8_scalar,
    .conv_f32 = alula_conv_f32_scalar,
    .depthwise_f32 = alula_depthwise_f32_scalar,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    .pair_f32 = alula_pair_f32_scalar,
    // All other families.
    ALULA_GENERAL_FAMILIES(ENTRY, scalar)
    ALULA_GRADIENT_FAMILIES(ENTRY, scalar)
};

// A probe gives a set of instruction sets, one bit each.
#define BIT(isa) (1u << (isa))

#if defined(__x86_64__)
#include <cpuid.h>

static const alula_kernel_table avx2_table = {
    .isa = ALULA_ISA_AVX2,
    .name = "avx2",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_avx2,
    .depthwise_u8s8 = alula_depthwise_u8s8_avx2,
    .conv_transpose_u8s8 = alula_conv_transpose_u8s8_avx2,
    .pair_u8 = alula_pair_u8_avx2,
    .conv_f32 = alula_conv_f32_avx2,
    .depthwise_f32 = alula_depthwise_f32_avx2,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    .pair_f32 = alula_pair_f32_avx2,
    // All other families.
    ALULA_GENERAL_FAMILIES(ENTRY, avx2)
    ALULA_GRADIENT_FAMILIES(ENTRY, avx2)
};

static const alula_kernel_table avxvnni_table = {
    .isa = ALULA_ISA_AVXVNNI,
    .name = "avxvnni",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_avxvnni,
    .depthwise_u8s8 = alula_depthwise_u8s8_avx2,
    .conv_transpose_u8s8 = alula_conv_transpose_u8s8_avx2,
    .pair_u8 = alula_pair_u8_avxvnni,
    .conv_f32 = alula_conv_f32_avx2,
    .depthwise_f32 = alula_depthwise_f32_avx2,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    .pair_f32 = alula_pair_f32_avx2,
    // All other families.
    ALULA_GENERAL_FAMILIES(ENTRY, avx2)
    ALULA_GRADIENT_FAMILIES(ENTRY, avx2)
};

static const alula_kernel_table avx512vnni_table = {
    .isa = ALULA_ISA_AVX512VNNI,
    .name = "avx512vnni",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_avx512vnni,
    .depthwise_u8s8 = alula_depthwise_u8s8_avx512vnni,
    .conv_transpose_u8s8 = alula_conv_transpose_u8s8_avx2,
    .pair_u8 = alula_pair_u8_avx512vnni,
    .conv_f32 = alula_conv_f32_avx512,
    .depthwise_f32 = alula_depthwise_f32_avx512,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    .pair_f32 = alula_pair_f32_avx512vnni,
    // All other families: the AVX2 versions, but for what gains from wider registers.
    ALULA_NARROW_FAMILIES(ENTRY, avx2)
    ALULA_WIDE_FAMILIES(ENTRY, avx512vnni)
    ENTRY(table_u8, avx512vnni)
    ALULA_GRADIENT_FAMILIES(ENTRY, avx512)
};

// The parts of the register file that the operating system saves on a context switch.
static uint32_t saved_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static uint32_t probe(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    const unsigned needed = bit_FMA | bit_OSXSAVE | bit_AVX;
    if ((c & needed) != needed || (saved_state() & 0x06) != 0x06) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 0;
    const unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL, bytes = bit_AVX512VBMI | bit_AVX512VNNI;
    uint32_t found = BIT(ALULA_ISA_AVX2);
    if ((b & wide) == wide && (c & bytes) == bytes && (saved_state() & 0xe6) == 0xe6) found |= BIT(ALULA_ISA_AVX512VNNI);
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1)) found |= BIT(ALULA_ISA_AVXVNNI);
    return found;
}

static const alula_kernel_table *const tables[ALULA_ISA_COUNT] = {
    [ALULA_ISA_SCALAR] = &scalar_table,
    [ALULA_ISA_AVX2] = &avx2_table,
    [ALULA_ISA_AVXVNNI] = &avxvnni_table,
    [ALULA_ISA_AVX512VNNI] = &avx512vnni_table,
};

#elif ALULA_ARM64

// The scalar files are compiled to the base set's vector instructions already, with fused multiply-adds: what is not written by hand is
// theirs.
#define ARM_TABLE(NAME, ISA)                               \
    static const alula_kernel_table NAME##_table = {       \
        .isa = ISA,                                        \
        .name = #NAME,                                     \
        .conv_u8s8 = alula_conv_u8s8_##NAME,               \
        .depthwise_u8s8 = alula_depthwise_u8s8_neon,       \
        .conv_transpose_u8s8 = alula_conv_transpose_u8s8_scalar, \
        .pair_u8 = alula_pair_u8_##NAME,                     \
        .conv_f32 = alula_conv_f32_neon,                   \
        .depthwise_f32 = alula_depthwise_f32_neon,         \
        .conv_transpose_f32 = alula_conv_transpose_f32_scalar, \
        .pair_f32 = alula_pair_f32_neon,                   \
        ALULA_GENERAL_FAMILIES_WITHOUT_TABLE(ENTRY, scalar) \
        ENTRY(table_u8, neon)                              \
        ALULA_GRADIENT_FAMILIES(ENTRY, scalar)             \
    };
ARM_TABLE(neon, ALULA_ISA_NEON)
ARM_TABLE(neondot, ALULA_ISA_NEONDOT)
ARM_TABLE(i8mm, ALULA_ISA_I8MM)

// What the compiler may use anyway; more where Linux says so. Elsewhere (bare metal) the compiler's target decides.
static uint32_t probe(void) {
    uint32_t found = BIT(ALULA_ISA_NEON);
#if defined(__ARM_FEATURE_DOTPROD)
    found |= BIT(ALULA_ISA_NEONDOT);
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
    found |= BIT(ALULA_ISA_I8MM);
#endif
#if defined(__linux__) && __STDC_HOSTED__
    extern unsigned long getauxval(unsigned long);
    enum { HWCAP = 16, HWCAP2 = 26 };                      // of <elf.h>; the bits are those of <asm/hwcap.h>
    if (getauxval(HWCAP) >> 20 & 1) found |= BIT(ALULA_ISA_NEONDOT);
    if (getauxval(HWCAP2) >> 13 & 1) found |= BIT(ALULA_ISA_I8MM);
#endif
    return found;
}

static const alula_kernel_table *const tables[ALULA_ISA_COUNT] = {
    [ALULA_ISA_SCALAR] = &scalar_table,
    [ALULA_ISA_NEON] = &neon_table,
    [ALULA_ISA_NEONDOT] = &neondot_table,
    [ALULA_ISA_I8MM] = &i8mm_table,
};

#elif defined(__wasm_simd128__)

static const alula_kernel_table simd128_table = {
    .isa = ALULA_ISA_SIMD128,
    .name = "simd128",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_simd128,
    .depthwise_u8s8 = alula_depthwise_u8s8_scalar,
    .conv_transpose_u8s8 = alula_conv_transpose_u8s8_scalar,
    .pair_u8 = alula_pair_u8_simd128,
    .conv_f32 = alula_conv_f32_scalar,
    .depthwise_f32 = alula_depthwise_f32_scalar,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    .pair_f32 = alula_pair_f32_scalar,
    // All other families: the scalar versions, which the compiler vectorises with the same instructions.
    ALULA_GENERAL_FAMILIES(ENTRY, scalar)
    ALULA_GRADIENT_FAMILIES(ENTRY, scalar)
};

// A module with vector instructions loads only where there are some.
static uint32_t probe(void) { return BIT(ALULA_ISA_SIMD128); }

static const alula_kernel_table *const tables[ALULA_ISA_COUNT] = {
    [ALULA_ISA_SCALAR] = &scalar_table,
    [ALULA_ISA_SIMD128] = &simd128_table,
};

#else

static uint32_t probe(void) { return 0; }

static const alula_kernel_table *const tables[ALULA_ISA_COUNT] = {[ALULA_ISA_SCALAR] = &scalar_table};
#endif

// Probed once; threads that come at the same time all store the same. Scalar's bit is always set, so 0 means not yet.
static uint32_t available(void) {
    static uint32_t cached;
    uint32_t found = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (found) return found;
    found = probe() | BIT(ALULA_ISA_SCALAR);
    __atomic_store_n(&cached, found, __ATOMIC_RELAXED);
    return found;
}

const alula_kernel_table *alula_kernels_for(alula_isa isa) {
    if ((uint32_t)isa >= ALULA_ISA_COUNT) return 0;
    return available() & BIT(isa) ? tables[isa] : 0;
}

const alula_kernel_table *alula_kernels_best(void) {
    return tables[31 - __builtin_clz(available())];
}
