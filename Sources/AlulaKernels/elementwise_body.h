// Elementwise families: binary_f32, select_f32, affine_f32, binary_u8, quantize, dequantize. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "math_body.h"
#include "strides.h"
#include "unary_body.h"

// ---- Binary with broadcast ----------------------------------------------------------------------------------------------------

ALULA_INLINE float maximum(float x, float y) { return ((x > y) | (x != x)) ? x : y; }    // NaN if either is
ALULA_INLINE float minimum(float x, float y) { return ((x < y) | (x != x)) ? x : y; }
ALULA_INLINE float truth(bool holds) { return holds ? 1.0f : 0.0f; }

// The strides of the usual cases are constants, so that the loops vectorise.
#define ALULA_ROW(expression)                                                                    \
    if (sa == 1 && sb == 1) {                                                                    \
        ALULA_VECTORIZE for (size_t i = 0; i < n; i++) { float x = a[i], y = b[i]; out[i] = (expression); }       \
    } else if (sa == 1 && sb == 0) {                                                             \
        float y = b[0];                                                                          \
        ALULA_VECTORIZE for (size_t i = 0; i < n; i++) { float x = a[i]; out[i] = (expression); } \
    } else if (sa == 0 && sb == 1) {                                                             \
        float x = a[0];                                                                          \
        ALULA_VECTORIZE for (size_t i = 0; i < n; i++) { float y = b[i]; out[i] = (expression); } \
    } else {                                                                                     \
        for (size_t i = 0; i < n; i++) {                                                         \
            float x = a[(int64_t)i * sa], y = b[(int64_t)i * sb];                                \
            out[i] = (expression);                                                               \
        }                                                                                        \
    }                                                                                            \
    break;

static void power_row(const float *a, int64_t sa, const float *b, int64_t sb, float *out, size_t n) {
    // Squares and roots are common and alula_powf defines them as these operations.
    if (sa == 1 && sb == 0 && b[0] == 2.0f) {
        ALULA_VECTORIZE for (size_t i = 0; i < n; i++) out[i] = a[i] == 1.0f ? 1.0f : a[i] * a[i];
        return;
    }
    for (size_t i = 0; i < n; i++) out[i] = alula_powf(a[(int64_t)i * sa], b[(int64_t)i * sb]);
}

static void binary_row(int32_t function, const float *a, int64_t sa, const float *b, int64_t sb, float *out, size_t n) {
    switch ((alula_binary)function) {
    case ALULA_ADD: ALULA_ROW(x + y)
    case ALULA_SUB: ALULA_ROW(x - y)
    case ALULA_MUL: ALULA_ROW(x * y)
    case ALULA_DIV: ALULA_ROW(x / y)
    case ALULA_MAX: ALULA_ROW(maximum(x, y))
    case ALULA_MIN: ALULA_ROW(minimum(x, y))
    case ALULA_POW: power_row(a, sa, b, sb, out, n); break;
    case ALULA_EQUAL: ALULA_ROW(truth(x == y))
    case ALULA_LESS: ALULA_ROW(truth(x < y))
    case ALULA_LESS_EQUAL: ALULA_ROW(truth(x <= y))
    case ALULA_PRELU: ALULA_ROW(alula_leaky_reluf(x, y))
    case ALULA_MOD:
        for (size_t i = 0; i < n; i++) out[i] = alula_modf(a[(int64_t)i * sa], b[(int64_t)i * sb]);
        break;
    case ALULA_FMOD:
        for (size_t i = 0; i < n; i++) out[i] = alula_fmodf(a[(int64_t)i * sa], b[(int64_t)i * sb]);
        break;
    }
}

void ALULA_SYMBOL(binary_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_binary_f32_args *p = args;
    int32_t last = p->rank - 1;
    size_t n = (size_t)p->shape[last];
    for (size_t row = begin; row < end; row++) {
        const float *a = p->a + alula_offset_of(row, last, p->shape, p->a_strides);
        const float *b = p->b + alula_offset_of(row, last, p->shape, p->b_strides);
        binary_row(p->function, a, p->a_strides[last], b, p->b_strides[last], p->output + row * n, n);
    }
}

// ---- Select -------------------------------------------------------------------------------------------------------------------

// The strides of the last axis are 0 or 1 in nearly all cases.
#define ALULA_SELECT_ROW(sc, sa, sb)                                                                                                           \
    if (p->condition_strides[last] == sc && p->a_strides[last] == sa && p->b_strides[last] == sb) {                                           \
        ALULA_VECTORIZE for (size_t i = 0; i < n; i++) {                                                                                       \
            float x = a[i * sa], y = b[i * sb];                                                                                                \
            out[i] = c[i * sc] != 0.0f ? x : y;                                                                                                \
        }                                                                                                                                      \
        return;                                                                                                                                \
    }

static void select_row(const alula_select_f32_args *p, const float *c, const float *a, const float *b, float *out) {
    int32_t last = p->rank - 1;
    size_t n = (size_t)p->shape[last];
    ALULA_SELECT_ROW(1, 1, 1)
    ALULA_SELECT_ROW(1, 1, 0)
    ALULA_SELECT_ROW(1, 0, 1)
    ALULA_SELECT_ROW(0, 1, 1)
    for (size_t i = 0; i < n; i++) {
        bool holds = c[(int64_t)i * p->condition_strides[last]] != 0.0f;
        out[i] = holds ? a[(int64_t)i * p->a_strides[last]] : b[(int64_t)i * p->b_strides[last]];
    }
}

void ALULA_SYMBOL(select_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_select_f32_args *p = args;
    int32_t last = p->rank - 1;
    for (size_t row = begin; row < end; row++) {
        const float *condition = p->condition + alula_offset_of(row, last, p->shape, p->condition_strides);
        const float *a = p->a + alula_offset_of(row, last, p->shape, p->a_strides);
        const float *b = p->b + alula_offset_of(row, last, p->shape, p->b_strides);
        select_row(p, condition, a, b, p->output + row * (size_t)p->shape[last]);
    }
}

// ---- Between u8 and f32 ---------------------------------------------------------------------------------------------------------

#ifndef ALULA_OWN_BYTES
#define ALULA_BYTES_ROW(expression)                                                              \
    ALULA_VECTORIZE for (size_t i = 0; i < n; i++) {                                             \
        float x = (float)((int32_t)a[i * sa] - a_zero), y = (float)((int32_t)b[i * sb] - b_zero); \
        out[i] = alula_requantize(expression, zero, low, high);                                  \
    }

// sa and sb, 0 or 1, are constants in each call.
ALULA_INLINE void binary_bytes(const alula_binary_u8_args *p, const uint8_t *a, size_t sa, const uint8_t *b, size_t sb, uint8_t *out, size_t n) {
    int32_t a_zero = p->a_zero, b_zero = p->b_zero, zero = p->zero, low = p->low, high = p->high;
    float a_multiplier = p->a_multiplier, b_multiplier = p->b_multiplier;
    if (p->is_product) ALULA_BYTES_ROW((x * y) * a_multiplier)
    else ALULA_BYTES_ROW(x * a_multiplier + y * b_multiplier)
}

void ALULA_SYMBOL(binary_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_binary_u8_args *p = args;
    int32_t last = p->rank - 1;
    size_t n = (size_t)p->shape[last];
    for (size_t row = begin; row < end; row++) {
        const uint8_t *a = p->a + alula_offset_of(row, last, p->shape, p->a_strides);
        const uint8_t *b = p->b + alula_offset_of(row, last, p->shape, p->b_strides);
        uint8_t *out = p->output + row * n;
        if (p->a_strides[last] && p->b_strides[last]) binary_bytes(p, a, 1, b, 1, out, n);
        else if (p->a_strides[last]) binary_bytes(p, a, 1, b, 0, out, n);
        else if (p->b_strides[last]) binary_bytes(p, a, 0, b, 1, out, n);
        else binary_bytes(p, a, 0, b, 0, out, n);
    }
}

void ALULA_SYMBOL(quantize)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_quantize_args *p = args;
    const float *in = p->input;
    uint8_t *out = p->output;
    float inverse_scale = p->inverse_scale;
    int32_t zero = p->zero;
    ALULA_VECTORIZE for (size_t i = begin; i < end; i++) {
        float t = in[i] * inverse_scale;
        t = t == t ? t : 0.0f;
        out[i] = alula_requantize(t, zero, 0, 255);
    }
}
#endif

void ALULA_SYMBOL(dequantize)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_dequantize_args *p = args;
    const uint8_t *in = p->input;
    float *out = p->output;
    float scale = p->scale;
    int32_t zero = p->zero;
    ALULA_VECTORIZE for (size_t i = begin; i < end; i++) out[i] = (float)((int32_t)in[i] - zero) * scale;
}
