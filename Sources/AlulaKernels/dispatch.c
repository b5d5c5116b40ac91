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
    .mlp_u8 = alula_mlp_u8_scalar,
    .conv_f32 = alula_conv_f32_scalar,
    .depthwise_f32 = alula_depthwise_f32_scalar,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    // All other families.
    ALULA_GENERAL_FAMILIES(ENTRY, scalar)
};

#if defined(__x86_64__)
#include <cpuid.h>

static const alula_kernel_table avx2_table = {
    .isa = ALULA_ISA_AVX2,
    .name = "avx2",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_avx2,
    .depthwise_u8s8 = alula_depthwise_u8s8_avx2,
    .mlp_u8 = alula_mlp_u8_avx2,
    .conv_f32 = alula_conv_f32_avx2,
    .depthwise_f32 = alula_depthwise_f32_avx2,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    // All other families.
    ALULA_GENERAL_FAMILIES(ENTRY, avx2)
};

static const alula_kernel_table avx512vnni_table = {
    .isa = ALULA_ISA_AVX512VNNI,
    .name = "avx512vnni",
    // Convolutions.
    .conv_u8s8 = alula_conv_u8s8_avx512vnni,
    .depthwise_u8s8 = alula_depthwise_u8s8_avx2,
    .mlp_u8 = alula_mlp_u8_avx512vnni,
    .conv_f32 = alula_conv_f32_avx512,
    .depthwise_f32 = alula_depthwise_f32_avx2,
    .conv_transpose_f32 = alula_conv_transpose_f32_scalar,
    // All other families: the AVX2 versions, but for what gains from wider tables.
    ALULA_GENERAL_FAMILIES_WITHOUT_TABLE(ENTRY, avx2)
    ENTRY(table_u8, avx512vnni)
};

// The parts of the register file that the operating system saves on a context switch.
static uint32_t saved_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static alula_isa ask_cpu(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return ALULA_ISA_SCALAR;
    const unsigned needed = bit_FMA | bit_OSXSAVE | bit_AVX;
    if ((c & needed) != needed || (saved_state() & 0x06) != 0x06) return ALULA_ISA_SCALAR;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return ALULA_ISA_SCALAR;
    const unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL, bytes = bit_AVX512VBMI | bit_AVX512VNNI;
    if ((b & wide) != wide || (c & bytes) != bytes || (saved_state() & 0xe6) != 0xe6) return ALULA_ISA_AVX2;
    return ALULA_ISA_AVX512VNNI;
}

// Asked once: cpuid leaves a virtual machine, which takes tens of microseconds. Threads that ask at the same time find the same.
static alula_isa probe(void) {
    static int known = -1;
    int isa = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (isa < 0) __atomic_store_n(&known, isa = (int)ask_cpu(), __ATOMIC_RELAXED);
    return (alula_isa)isa;
}

const alula_kernel_table *alula_kernels_for(alula_isa isa) {
    if (isa > probe()) return 0;
    switch (isa) {
    case ALULA_ISA_SCALAR: return &scalar_table;
    case ALULA_ISA_AVX2: return &avx2_table;
    case ALULA_ISA_AVX512VNNI: return &avx512vnni_table;
    }
    return 0;
}

const alula_kernel_table *alula_kernels_best(void) { return alula_kernels_for(probe()); }

#else
const alula_kernel_table *alula_kernels_for(alula_isa isa) { return isa == ALULA_ISA_SCALAR ? &scalar_table : 0; }
const alula_kernel_table *alula_kernels_best(void) { return &scalar_table; }
#endif
