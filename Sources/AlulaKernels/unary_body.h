// unary_f32 and the activations of f32 kernels' epilogues. Included once by a file of each instruction set.
#pragma once
#include "kernels_internal.h"
#include "math_body.h"
#include "row_vectors.h"
#include "transcendental.h"
#include "unary.h"

#define ALULA_EACH(expression)                              \
    ALULA_VECTORIZE for (size_t i = 0; i < n; i++) {        \
        float x = in[i];                                    \
        out[i] = (expression);                              \
    }                                                       \
    break;

static void apply_with_parameters(int32_t function, const float *q, const float *in, float *out, size_t n) {
    float first = q[0], second = q[1], third = q[2], fourth = q[3];
    switch ((alula_unary)function) {
    case ALULA_SWISH: ALULA_EACH(alula_swishf(x, first))
    case ALULA_LEAKY_RELU: ALULA_EACH(alula_leaky_reluf(x, first))
    case ALULA_ELU: ALULA_EACH(alula_eluf(x, first, second, third))
    case ALULA_THRESHOLDED_RELU: ALULA_EACH(alula_thresholded_reluf(x, first))
    case ALULA_SHRINK: ALULA_EACH(alula_shrinkf(x, first, second))
    case ALULA_CLIP: ALULA_EACH(alula_clampf(x * third + fourth, first, second))
    default: break;
    }
}

// q: the function's parameters, for those that have some.
static void apply_unary(int32_t function, const float *q, const float *in, float *out, size_t n) {
    switch ((alula_unary)function) {
    case ALULA_NONE: ALULA_EACH(x)
    case ALULA_RELU: ALULA_EACH(alula_reluf(x))
    case ALULA_GELU: ALULA_EACH(alula_geluf(x))
    case ALULA_GELU_TANH: ALULA_EACH(alula_gelu_tanhf(x))
    case ALULA_SILU: ALULA_EACH(alula_siluf(x))
    case ALULA_SIGMOID: ALULA_EACH(alula_sigmoidf(x))
    case ALULA_TANH: ALULA_EACH(alula_tanhf(x))
    case ALULA_HARD_SWISH: ALULA_EACH(alula_hard_swishf(x))
    case ALULA_HARD_SIGMOID: ALULA_EACH(alula_hard_sigmoidf(x))
    case ALULA_RELU6: ALULA_EACH(alula_relu6f(x))
    case ALULA_EXP: ALULA_EACH(alula_expf(x))
    case ALULA_LOG: ALULA_EACH(alula_logf(x))
    case ALULA_SQRT: ALULA_EACH(alula_sqrtf(x))
    case ALULA_RSQRT: ALULA_EACH(alula_rsqrtf(x))
    case ALULA_RECIPROCAL: ALULA_EACH(alula_reciprocalf(x))
    case ALULA_NEGATE: ALULA_EACH(alula_negatef(x))
    case ALULA_ABS: ALULA_EACH(alula_absf(x))
    case ALULA_ERF: ALULA_EACH(alula_erff(x))
    case ALULA_SIN: ALULA_EACH(alula_sinf(x))
    case ALULA_COS: ALULA_EACH(alula_cosf(x))
    case ALULA_TAN: ALULA_EACH(alula_tanf_trigonometric(x))
    case ALULA_ASIN: ALULA_EACH(alula_asinf(x))
    case ALULA_ACOS: ALULA_EACH(alula_acosf(x))
    case ALULA_ATAN: ALULA_EACH(alula_atanf(x))
    case ALULA_SINH: ALULA_EACH(alula_sinhf(x))
    case ALULA_COSH: ALULA_EACH(alula_coshf(x))
    case ALULA_ASINH: ALULA_EACH(alula_asinhf(x))
    case ALULA_ACOSH: ALULA_EACH(alula_acoshf(x))
    case ALULA_ATANH: ALULA_EACH(alula_atanhf(x))
    case ALULA_FLOOR: ALULA_EACH(alula_floorf(x))
    case ALULA_CEIL: ALULA_EACH(alula_ceilf(x))
    case ALULA_SIGN: ALULA_EACH(alula_signf(x))
    case ALULA_ROUND: ALULA_EACH(alula_roundf(x))
    case ALULA_SOFTPLUS: ALULA_EACH(alula_softplusf(x))
    case ALULA_SOFTSIGN: ALULA_EACH(alula_softsignf(x))
    case ALULA_MISH: ALULA_EACH(alula_mishf(x))
    default: apply_with_parameters(function, q, in, out, n);
    }
}

void ALULA_SYMBOL(unary_f32_apply)(int32_t function, float *x, size_t n) {
    if (function != ALULA_NONE) apply_unary(function, 0, x, x, n);
}

void ALULA_SYMBOL(unary_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_unary_f32_args *p = args;
    apply_unary(p->function, p->parameters, p->input + begin, p->output + begin, end - begin);
}

// The activation takes several rows together where they are short: a row of 48 would leave 16 numbers to scalar code. Larger blocks would wait for the
// memory first and compute then.
enum { AFFINE_BLOCK = 256 };

void ALULA_SYMBOL(affine_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_affine_f32_args *p = args;
    const size_t c = (size_t)p->c, block = c < AFFINE_BLOCK ? AFFINE_BLOCK / c : 1;
    const float *scale = p->scale, *shift = p->shift;
    for (size_t row = begin, rows; row < end; row += rows) {
        rows = alula_min_size(block, end - row);
        const float *in = p->input + row * c;
        float *out = p->output + row * c;
        for (size_t r = 0; r < rows * c; r += c) {
            const float *x = in + r;
            float *y = out + r;
            ALULA_COLUMNS(c, { ALULA_AT(y) = ALULA_IN(x) * ALULA_IN(scale) + ALULA_IN(shift); })
        }
        if (p->activation != ALULA_NONE) apply_unary(p->activation, 0, out, out, rows * c);
    }
}
