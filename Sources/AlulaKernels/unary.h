// Activation functions in place, for the epilogues of f32 kernels.
#pragma once
#include <stddef.h>
#include <stdint.h>

// x[i] = function(x[i]) for 0 <= i < n; function is an alula_unary.
__attribute__((visibility("hidden"))) void alula_unary_f32_apply_scalar(int32_t function, float *x, size_t n);
#if defined(__x86_64__)
__attribute__((visibility("hidden"))) void alula_unary_f32_apply_avx2(int32_t function, float *x, size_t n);
__attribute__((visibility("hidden"))) void alula_unary_f32_apply_avx512vnni(int32_t function, float *x, size_t n);
#endif
