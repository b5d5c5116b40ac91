// attention_f32. Included once by the file of each instruction set.
#include "attention.h"
#include "fma.h"
#include "kernels_internal.h"
#include "math_body.h"
#include "maximum.h"

enum { QUERIES = ALULA_ATTENTION_QUERIES, LANES = 16 };

// keys[i][j] = k[j][i], zero for padded j.
static void transpose_keys(const alula_attention_shape *s, const float *k, size_t columns, float *keys) {
    for (size_t i = 0; i < (size_t)s->key_dim; i++) {
        for (size_t j = 0; j < (size_t)s->tokens_k; j++) keys[i * columns + j] = k[j * (size_t)s->k_stride + i];
        for (size_t j = (size_t)s->tokens_k; j < columns; j++) keys[i * columns + j] = 0.0f;
    }
}

// sums[r][l] = fma-sum in order of i of factors[r][i] * matrix[i][l], for l < LANES.
ALULA_INLINE void weigh_lanes(const float *factors, size_t factor_stride, size_t rows, const float *matrix, size_t stride, size_t depth,
                              float sums[QUERIES][LANES]) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t l = 0; l < LANES; l++) sums[r][l] = 0.0f;
    }
    for (size_t i = 0; i < depth; i++) {
        for (size_t r = 0; r < rows; r++) {
            float x = factors[r * factor_stride + i];
            for (size_t l = 0; l < LANES; l++) sums[r][l] = alula_fma(x, matrix[i * stride + l], sums[r][l]);
        }
    }
}

static void weigh_values(const float *weights, size_t weight_stride, size_t rows, const float *values, size_t value_stride, size_t tokens,
                         size_t value_dim, const float *inverse, float *out, size_t out_stride) {
    size_t d = 0;
    for (; d + LANES <= value_dim; d += LANES) {
        float sums[QUERIES][LANES];
        if (rows == QUERIES) weigh_lanes(weights, weight_stride, QUERIES, values + d, value_stride, tokens, sums);
        else for (size_t r = 0; r < rows; r++) weigh_lanes(weights + r * weight_stride, 0, 1, values + d, value_stride, tokens, sums + r);
        for (size_t r = 0; r < rows; r++) {
            for (size_t l = 0; l < LANES; l++) out[r * out_stride + d + l] = sums[r][l] * inverse[r];
        }
    }
    for (; d < value_dim; d++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0.0f;
            for (size_t j = 0; j < tokens; j++) sum = alula_fma(weights[r * weight_stride + j], values[j * value_stride + d], sum);
            out[r * out_stride + d] = sum * inverse[r];
        }
    }
}

// Scores of one query: exp(t - max) in place.
static void exponentials(float *t, const float *bias, float scale, size_t n) {
    if (bias) {
        ALULA_VECTORIZE for (size_t j = 0; j < n; j++) t[j] = t[j] * scale + bias[j];
    } else {
        ALULA_VECTORIZE for (size_t j = 0; j < n; j++) t[j] = t[j] * scale;
    }
    float m = alula_largest(t, n);
    ALULA_VECTORIZE for (size_t j = 0; j < n; j++) t[j] = alula_expf(t[j] - m);
}

// 1 / sum of each row. The order within a sum is fixed, so the rows are summed side by side to hide the latency of an addition.
static void inverse_sums(const float *t, size_t stride, size_t rows, size_t n, float *inverse) {
    float sum[QUERIES] = {0};
    if (rows == QUERIES) {
        for (size_t j = 0; j < n; j++) {
            for (size_t r = 0; r < QUERIES; r++) sum[r] += t[r * stride + j];
        }
    } else {
        for (size_t r = 0; r < rows; r++) {
            for (size_t j = 0; j < n; j++) sum[r] += t[r * stride + j];
        }
    }
    for (size_t r = 0; r < rows; r++) inverse[r] = 1.0f / sum[r];
}

void ALULA_SYMBOL(attention_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_attention_f32_args *p = args;
    const alula_attention_shape *s = &p->shape;
    alula_attention_layout l = alula_attention_f32_layout(s);
    float *keys = (float *)((uint8_t *)scratch + l.key_panel), *scores = (float *)((uint8_t *)scratch + l.scores);
    size_t tokens = (size_t)s->tokens_k, queries = (size_t)s->tokens_q, depth = (size_t)s->key_dim;
    size_t q_stride = (size_t)s->q_stride, o_stride = (size_t)s->o_stride;
    for (size_t item = begin; item < end; item++) {
        const float *q = p->q + alula_attention_start(s, item, s->tokens_q, s->q_stride, s->q_head);
        const float *v = p->v + alula_attention_start(s, item, s->tokens_k, s->v_stride, s->v_head);
        float *out = p->output + alula_attention_start(s, item, s->tokens_q, s->o_stride, s->o_head);
        const float *bias = alula_attention_bias(s, item);
        transpose_keys(s, p->k + alula_attention_start(s, item, s->tokens_k, s->k_stride, s->k_head), l.keys, keys);
        for (size_t first = 0; first < queries; first += QUERIES) {
            size_t rows = alula_min_size(QUERIES, queries - first);
            const float *query = q + first * q_stride;
            for (size_t j = 0; j < l.keys; j += LANES) {
                float sums[QUERIES][LANES];
                if (rows == QUERIES) weigh_lanes(query, q_stride, QUERIES, keys + j, l.keys, depth, sums);
                else for (size_t r = 0; r < rows; r++) weigh_lanes(query + r * q_stride, 0, 1, keys + j, l.keys, depth, sums + r);
                for (size_t r = 0; r < rows; r++) {
                    for (size_t i = 0; i < LANES; i++) scores[r * l.keys + j + i] = sums[r][i];
                }
            }
            float inverse[QUERIES];
            for (size_t r = 0; r < rows; r++) {
                exponentials(scores + r * l.keys, bias ? bias + (first + r) * tokens : 0, s->qk_scale, tokens);
            }
            inverse_sums(scores, l.keys, rows, tokens, inverse);
            weigh_values(scores, l.keys, rows, v, (size_t)s->v_stride, tokens, (size_t)s->value_dim, inverse, out + first * o_stride, o_stride);
        }
    }
}
