// Checks the AVX-512 convolutions against the scalar definition, bit for bit, on a CPU without AVX-512: the intrinsics are SIMDe's
// (Debian: libsimde-dev), which computes each with what the build machine has. The AVX2 kernels take the same cases for comparison.
//
//   K=Sources/AlulaKernels; clang -O1 -std=c11 -Wno-psabi -DALULA_SIMDE -ITests/KernelEmulation -I$K -I$K/include \
//       Tests/KernelEmulation/check_avx512.c $(ls $K/*.c | grep -v -e dispatch -e peak) -lm -o check_avx512
//   ./check_avx512 [cases] [seed] [part of a kernel's name]
#define _POSIX_C_SOURCE 200809L
#include "row_cases.h"

static const checked_kernel kernels[] = {
    {"conv_u8s8 avx512vnni", check_u8s8, alula_conv_u8s8_avx512vnni, 0}, {"conv_u8s8 avxvnni", check_u8s8, alula_conv_u8s8_avxvnni, 0},
    {"depthwise_u8s8 avx512vnni", check_u8s8, alula_depthwise_u8s8_avx512vnni, 1}, {"conv_f32 avx512", check_f32, alula_conv_f32_avx512, 0},
    {"conv_u8s8 avx2", check_u8s8, alula_conv_u8s8_avx2, 0},             {"conv_f32 avx2", check_f32, alula_conv_f32_avx2, 0},
    {"depthwise_u8s8 avx2", check_u8s8, alula_depthwise_u8s8_avx2, 1},   {"depthwise_f32 avx2", check_f32, alula_depthwise_f32_avx2, 1},
    {"depthwise_f32 avx512", check_f32, alula_depthwise_f32_avx512, 1},
    {"conv_transpose_u8s8 avx2", check_u8s8, alula_conv_transpose_u8s8_avx2, TRANSPOSED},
};

static const checked_row_kernel row_kernels[] = {
    {"attention_u8 avx512vnni", check_attention, alula_attention_u8_avx512vnni},
    {"attention_u8 avx2", check_attention, alula_attention_u8_avx2},
    {"layernorm_u8 avx512vnni", check_layernorm, alula_layernorm_u8_avx512vnni},
    {"layernorm_u8 avx2", check_layernorm, alula_layernorm_u8_avx2},
};

int main(int count, char **arguments) {
    const long cases = count > 1 ? atol(arguments[1]) : 400;
    state = count > 2 ? strtoull(arguments[2], 0, 10) : 1;
    check_fma(cases * 10000);
    check_table("table_u8 avx512vnni", alula_table_u8_avx512vnni);
    check_rows(row_kernels, sizeof row_kernels / sizeof *row_kernels, cases, count > 3 ? arguments[3] : "");
    check_all(kernels, sizeof kernels / sizeof *kernels, cases, count > 3 ? arguments[3] : "");
    printf("%s: %ld cases a kernel, %ld of fma, %d failures\n", failures ? "FAILED" : "passed", cases, cases * 10000, failures);
    return failures != 0;
}
