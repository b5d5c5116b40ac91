// Normalization families: layernorm_u8, layernorm_f32, softmax_f32. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "math_body.h"
#include "maximum.h"

#ifndef ALULA_OWN_LAYERNORM_U8
ALULA_INLINE void sums_u8(const uint8_t *x, size_t c, uint32_t *sum, uint32_t *squares) {
    uint32_t s1 = 0, s2 = 0;                                 // c <= 32768: both stay below 2^31
    for (size_t i = 0; i < c; i++) {
        s1 += x[i];
        s2 += (uint32_t)x[i] * x[i];
    }
    *sum = s1;
    *squares = s2;
}
void ALULA_SYMBOL(layernorm_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_u8_args *p = args;
    size_t c = (size_t)p->c;
    int32_t channels = p->c, zero = p->zero;
    const float *gamma = p->gamma, *beta = p->beta;
    for (size_t row = begin; row < end; row++) {
        const uint8_t *in = p->input + row * c;
        uint8_t *out = p->output + row * c;
        uint32_t s1, s2;
        sums_u8(in, c, &s1, &s2);
        int64_t n = (int64_t)channels * s2 - (int64_t)s1 * s1;
        float v = (float)n * p->variance_scale + p->epsilon;
        float r = v > 0.0f ? p->d_scale / alula_sqrtf(v) : 0.0f;
        int32_t offset = (int32_t)s1;
        ALULA_VECTORIZE for (size_t i = 0; i < c; i++) {
            float d = (float)(channels * (int32_t)in[i] - offset) * r;
            out[i] = alula_requantize(d * gamma[i] + beta[i], zero, 0, 255);
        }
    }
}
#endif

ALULA_INLINE float sum_of_eight(const float *s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }

void ALULA_SYMBOL(layernorm_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_f32_args *p = args;
    size_t c = (size_t)p->c, whole = c / 8 * 8;
    const float *gamma = p->gamma, *beta = p->beta;
    for (size_t row = begin; row < end; row++) {
        const float *in = p->input + row * c;
        float *out = p->output + row * c;
        float s[8] = {0};
        for (size_t i = 0; i < whole; i += 8) {
            for (size_t l = 0; l < 8; l++) s[l] += in[i + l];
        }
        for (size_t l = 0; l < c - whole; l++) s[l] += in[whole + l];
        float mean = sum_of_eight(s) / (float)p->c;
        float q[8] = {0};
        for (size_t i = 0; i < whole; i += 8) {
            for (size_t l = 0; l < 8; l++) {
                float d = in[i + l] - mean;
                q[l] += d * d;
            }
        }
        for (size_t l = 0; l < c - whole; l++) {
            float d = in[whole + l] - mean;
            q[l] += d * d;
        }
        float variance = sum_of_eight(q) / (float)p->c;
        float r = 1.0f / alula_sqrtf(variance + p->epsilon);
        ALULA_VECTORIZE for (size_t i = 0; i < c; i++) out[i] = ((in[i] - mean) * r) * gamma[i] + beta[i];
    }
}

static void softmax_row(const float *in, float *out, size_t n) {
    float m = alula_largest(in, n);
    ALULA_VECTORIZE for (size_t j = 0; j < n; j++) out[j] = alula_expf(in[j] - m);
    float sum = 0.0f;
    for (size_t j = 0; j < n; j++) sum += out[j];
    float r = 1.0f / sum;
    ALULA_VECTORIZE for (size_t j = 0; j < n; j++) out[j] = out[j] * r;
}

// Up to 32 neighbouring columns at once; a column's sum runs in order of j.
static void softmax_columns(const float *in, float *out, size_t n, size_t inner, size_t count) {
    float m[32], sum[32];
    for (size_t i = 0; i < count; i++) m[i] = in[i], sum[i] = 0.0f;
    for (size_t j = 1; j < n; j++) {
        for (size_t i = 0; i < count; i++) {
            float x = in[j * inner + i];
            m[i] = x > m[i] ? x : m[i];
        }
    }
    for (size_t j = 0; j < n; j++) {
        const float *x = in + j * inner;
        float *y = out + j * inner;
        ALULA_VECTORIZE for (size_t i = 0; i < count; i++) {
            y[i] = alula_expf(x[i] - m[i]);
            sum[i] += y[i];
        }
    }
    for (size_t i = 0; i < count; i++) sum[i] = 1.0f / sum[i];
    for (size_t j = 0; j < n; j++) {
        float *y = out + j * inner;
        ALULA_VECTORIZE for (size_t i = 0; i < count; i++) y[i] = y[i] * sum[i];
    }
}

void ALULA_SYMBOL(softmax_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_softmax_f32_args *p = args;
    size_t n = (size_t)p->n, inner = (size_t)p->inner;
    for (size_t o = begin; o < end; o++) {
        const float *in = p->input + o * n * inner;
        float *out = p->output + o * n * inner;
        if (inner == 1) {
            softmax_row(in, out, n);
        } else {
            for (size_t i = 0; i < inner; i += 32) softmax_columns(in + i, out + i, n, inner, alula_min_size(32, inner - i));
        }
    }
}
