#include "kernels_internal.h"

#define ALULA_ENTRY_SCALAR(family, isa) .family = alula_##family##_scalar,
#define ALULA_ENTRY_AVX2(family, isa) .family = alula_##family##_avx2,

static const alula_kernel_table scalar_table = {
    .isa = ALULA_ISA_SCALAR, .name = "scalar", ALULA_GENERAL_FAMILIES(ALULA_ENTRY_SCALAR, scalar)
};

#if defined(__x86_64__)
static const alula_kernel_table avx2_table = {
    .isa = ALULA_ISA_AVX2, .name = "avx2", ALULA_GENERAL_FAMILIES(ALULA_ENTRY_AVX2, avx2)
};
static alula_kernel_table avx512vnni_table;
#endif

const alula_kernel_table *alula_kernels_for(alula_isa isa) {
    switch (isa) {
    case ALULA_ISA_SCALAR: return &scalar_table;
#if defined(__x86_64__)
    case ALULA_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &avx2_table : 0;
    case ALULA_ISA_AVX512VNNI:
        if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512vbmi")) return 0;
        avx512vnni_table = avx2_table;
        avx512vnni_table.isa = ALULA_ISA_AVX512VNNI;
        avx512vnni_table.name = "avx512vnni";
        avx512vnni_table.table_u8 = alula_table_u8_avx512vnni;
        return &avx512vnni_table;
#endif
    default: return 0;
    }
}
