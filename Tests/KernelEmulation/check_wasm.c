// Checks the WebAssembly kernels against the scalar definition, bit for bit, as a module without a library; run.sh builds it and runs it in
// Node. wasm/ has what little of the C library the cases use.
#include "kernel_cases.h"

uint8_t heap[64 << 20];
size_t heap_used;

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)to)[i] = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < n; i++) if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

// The number of failures, or -1 when the dispatch table has no such kernels.
__attribute__((export_name("check"))) int check(int cases, int seed) {
    const alula_kernel_table *table = alula_kernels_for(ALULA_ISA_SIMD128);
    if (!table || alula_kernels_best() != table) return -1;
    state = (uint64_t)seed;
    const checked_kernel kernel = {"conv_u8s8 simd128", check_u8s8, table->conv_u8s8, 0};
    for (int i = 0; i < cases; i++) {
        heap_used = 0;
        check_all(&kernel, 1, 1, "");
    }
    return failures;
}
