// Activation functions (alula_unary) that the f32 convolutions apply to a tile of their result.
#pragma once
#include <stddef.h>
#include <stdint.h>

void alula_unary_f32_apply_scalar(int32_t function, float *x, size_t n);
void alula_unary_f32_apply_avx2(int32_t function, float *x, size_t n);
