// attention_u8. Included once by the file of each instruction set.
#include "attention.h"
#include "kernels_internal.h"
#include "math_body.h"
#include "maximum.h"

// scores[j] = f32(products[j]) * scale + bias[j] (the same memory), then weights[j] = rne(exp(t[j] - max) * 255); returns their sum. The padded
// tokens n..<padded get weight 0. (bias is read up to the padded length; rows end at most 60 bytes before readable memory does.)
static int32_t softmax_weights(const int32_t *products, float *scores, const float *bias, float scale, size_t n, size_t padded,
                               int16_t *weights) {
    if (bias) {
        ALULA_VECTORIZE for (size_t j = 0; j < padded; j++) scores[j] = (float)products[j] * scale + bias[j];
    } else {
        ALULA_VECTORIZE for (size_t j = 0; j < padded; j++) scores[j] = (float)products[j] * scale;
    }
    for (size_t j = n; j < padded; j++) scores[j] = -__builtin_inff();
    float m = alula_largest(scores, padded);
    int32_t sum = 0;
    ALULA_VECTORIZE for (size_t j = 0; j < padded; j++) {
        float t = scores[j] - m;
        t = t < -80.0f ? -80.0f : t;                         // weight 0 either way, without denormal numbers on it
        int32_t u = alula_requantize(alula_expf(t) * 255.0f, 0, 0, 255);
        weights[j] = (int16_t)u;
        sum += u;
    }
    return sum;
}

#ifndef ALULA_OWN_ATTENTION_U8
static void write_output(const int32_t *sums, size_t n, float multiplier, int32_t zero, uint8_t *out) {
    ALULA_VECTORIZE for (size_t d = 0; d < n; d++) out[d] = alula_requantize((float)sums[d] * multiplier, zero, 0, 255);
}

// keys[i][j] = k[j][i] - k_zero, values[j][d] = v[j][d] - v_zero; padded keys are 0.
static void pack_item(const alula_attention_u8_args *p, const alula_attention_layout *l, const uint8_t *k, const uint8_t *v, int16_t *keys,
                      int16_t *values) {
    const alula_attention_shape *s = &p->shape;
    size_t tokens = (size_t)s->tokens_k, depth = (size_t)s->key_dim, value_dim = (size_t)s->value_dim;
    for (size_t i = 0; i < depth; i++) {
        for (size_t j = 0; j < tokens; j++) keys[i * l->keys + j] = (int16_t)(k[j * (size_t)s->k_stride + i] - p->k_zero);
        for (size_t j = tokens; j < l->keys; j++) keys[i * l->keys + j] = 0;
    }
    for (size_t j = 0; j < tokens; j++) {
        const uint8_t *in = v + j * (size_t)s->v_stride;
        for (size_t d = 0; d < value_dim; d++) values[j * l->values + d] = (int16_t)(in[d] - p->v_zero);
        for (size_t d = value_dim; d < l->values; d++) values[j * l->values + d] = 0;
    }
}

typedef int16_t i16_block __attribute__((vector_size(32)));
typedef int32_t i32_block __attribute__((vector_size(64)));

// sums[i] = sum over r of factors[r] * panel[r][i]; columns is a multiple of 16, whose sums stay in registers.
static void weigh_rows(const int16_t *factors, size_t rows, const int16_t *panel, size_t columns, int32_t *sums) {
    for (size_t first = 0; first < columns; first += 16) {
        i32_block sum = {0};
        const int16_t *row = panel + first;
        for (size_t r = 0; r < rows; r++, row += columns) {
            i16_block x, factor = (i16_block){0} + factors[r];
            __builtin_memcpy(&x, row, sizeof x);
            sum += __builtin_convertvector(factor, i32_block) * __builtin_convertvector(x, i32_block);
        }
        __builtin_memcpy(sums + first, &sum, sizeof sum);
    }
}

void ALULA_SYMBOL(attention_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_attention_u8_args *p = args;
    const alula_attention_shape *s = &p->shape;
    alula_attention_layout l = alula_attention_u8_layout(s);
    uint8_t *memory = scratch;
    int16_t *keys = (int16_t *)(memory + l.key_panel), *values = (int16_t *)(memory + l.value_panel);
    int16_t *query = (int16_t *)(memory + l.query), *weights = (int16_t *)(memory + l.weights);
    int32_t *sums = (int32_t *)(memory + l.sums), *products = (int32_t *)(memory + l.scores);
    size_t tokens = (size_t)s->tokens_k, depth = (size_t)s->key_dim;
    for (size_t item = begin; item < end; item++) {
        const uint8_t *q = p->q + alula_attention_start(s, item, s->tokens_q, s->q_stride, s->q_head);
        pack_item(p, &l, p->k + alula_attention_start(s, item, s->tokens_k, s->k_stride, s->k_head),
                  p->v + alula_attention_start(s, item, s->tokens_k, s->v_stride, s->v_head), keys, values);
        uint8_t *out = p->output + alula_attention_start(s, item, s->tokens_q, s->o_stride, s->o_head);
        const float *bias = alula_attention_bias(s, item);
        for (size_t row = 0; row < (size_t)s->tokens_q; row++) {
            for (size_t i = 0; i < depth; i++) query[i] = (int16_t)(q[row * (size_t)s->q_stride + i] - p->q_zero);
            weigh_rows(query, depth, keys, l.keys, products);
            int32_t sum = softmax_weights(products, (float *)products, bias ? bias + row * tokens : 0, s->qk_scale, tokens, l.keys,
                                          weights);
            weigh_rows(weights, tokens, values, l.values, sums);
            write_output(sums, (size_t)s->value_dim, p->v_multiplier / (float)sum, p->zero, out + row * (size_t)s->o_stride);
        }
    }
}
#endif
