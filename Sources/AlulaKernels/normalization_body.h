// Normalization families: layernorm_u8, layernorm_f32, softmax_f32. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "math_body.h"
#include "maximum.h"
#include "row_vectors.h"

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

// Layer norm takes its steps for a block of rows each: a row waits for two sums, two divisions and a square root, which only other rows can fill.

ALULA_INLINE void row_sums(const float *in, size_t c, float *sum, const size_t rows) {
    alula_eight s[4] = {{0}};
    ALULA_EIGHTS(c, {
        ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) s[l] += alula_first_floats(in + l * c + i, n);
    })
    alula_store_sums(s, sum, rows);
}

ALULA_INLINE void row_squares(const float *in, size_t c, const float *mean, float *sum, const size_t rows) {
    alula_eight s[4] = {{0}};
    ALULA_EIGHTS(c, {
        ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) {
            const alula_eight d = alula_only_first(alula_first_floats(in + l * c + i, n) - mean[l], n);
            s[l] += d * d;
        }
    })
    alula_store_sums(s, sum, rows);
}

ALULA_INLINE void normalized_rows(const float *in, const alula_layernorm_f32_args *p, const float *mean, const float *factor, float *out,
                                  const size_t rows) {
    const size_t c = (size_t)p->c;
    const float *gamma = p->gamma, *beta = p->beta;
    ALULA_COLUMNS(c, {
        const V scale = ALULA_IN(gamma), shift = ALULA_IN(beta);
        ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) {
            ALULA_AT(out + l * c) = ((ALULA_IN(in + l * c) - mean[l]) * factor[l]) * scale + shift;
        }
    })
}

ALULA_STEP sums_of_four(const float *in, size_t c, float *sum) { row_sums(in, c, sum, 4); }
ALULA_STEP sums_of_one(const float *in, size_t c, float *sum) { row_sums(in, c, sum, 1); }
ALULA_STEP squares_of_four(const float *in, size_t c, const float *mean, float *sum) { row_squares(in, c, mean, sum, 4); }
ALULA_STEP squares_of_one(const float *in, size_t c, const float *mean, float *sum) { row_squares(in, c, mean, sum, 1); }
ALULA_STEP normalized_four(const float *in, const alula_layernorm_f32_args *p, const float *mean, const float *factor, float *out) {
    normalized_rows(in, p, mean, factor, out, 4);
}
ALULA_STEP normalized_one(const float *in, const alula_layernorm_f32_args *p, const float *mean, const float *factor, float *out) {
    normalized_rows(in, p, mean, factor, out, 1);
}

void ALULA_SYMBOL(layernorm_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_f32_args *p = args;
    const size_t c = (size_t)p->c, block = alula_rows_at_once(c);
    const float size = (float)p->c, epsilon = p->epsilon;
    float mean[ALULA_ROWS_AT_ONCE] = {0}, factor[ALULA_ROWS_AT_ONCE] = {0};
    for (; begin < end; begin += block) {
        const size_t n = alula_min_size(block, end - begin), fours = n / 4 * 4;
        const float *in = p->input + begin * c;
        float *out = p->output + begin * c;
        for (size_t l = 0; l < fours; l += 4) sums_of_four(in + l * c, c, mean + l);
        for (size_t l = fours; l < n; l++) sums_of_one(in + l * c, c, mean + l);
        for (size_t l = 0; l < ALULA_ROWS_AT_ONCE; l++) mean[l] = mean[l] / size;
        for (size_t l = 0; l < fours; l += 4) squares_of_four(in + l * c, c, mean + l, factor + l);
        for (size_t l = fours; l < n; l++) squares_of_one(in + l * c, c, mean + l, factor + l);
        for (size_t l = 0; l < ALULA_ROWS_AT_ONCE; l++) factor[l] = 1.0f / alula_sqrtf(factor[l] / size + epsilon);
        for (size_t l = 0; l < fours; l += 4) normalized_four(in + l * c, p, mean + l, factor + l, out + l * c);
        for (size_t l = fours; l < n; l++) normalized_one(in + l * c, p, mean + l, factor + l, out + l * c);
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
