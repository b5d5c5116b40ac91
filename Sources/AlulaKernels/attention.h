// Where the attention kernels keep what in their scratch memory; one layout for all instruction sets.
#pragma once
#include "alula_kernels.h"
#include "instruction_set.h"

// Queries that are worked on together.
enum { ALULA_ATTENTION_QUERIES = 4 };

// Keys and values are copied once an item, transposed and widened, so that both products run along contiguous memory.
typedef struct {
    size_t depth, keys, values;       // padded key_dim, tokens_k and value_dim: multiples of 16
    size_t key_panel, value_panel, query, scores, weights, sums;   // byte offsets, multiples of 64
    size_t bytes;
} alula_attention_layout;

ALULA_INLINE size_t alula_attention_take(size_t *at, size_t bytes) {
    size_t offset = *at;
    *at = alula_round_up(offset + bytes, 64);
    return offset;
}

ALULA_INLINE alula_attention_layout alula_attention_u8_layout(const alula_attention_shape *s) {
    alula_attention_layout l;
    size_t at = 0;
    l.depth = alula_round_up((size_t)s->key_dim, 16);
    l.keys = alula_round_up((size_t)s->tokens_k, 16);
    l.values = alula_round_up((size_t)s->value_dim, 16);
    l.key_panel = alula_attention_take(&at, l.depth * l.keys * sizeof(int16_t));
    l.value_panel = alula_attention_take(&at, l.keys * l.values * sizeof(int16_t));
    l.query = alula_attention_take(&at, ALULA_ATTENTION_QUERIES * l.depth * sizeof(int16_t));
    l.scores = alula_attention_take(&at, ALULA_ATTENTION_QUERIES * l.keys * sizeof(float));
    l.weights = alula_attention_take(&at, ALULA_ATTENTION_QUERIES * l.keys * sizeof(int16_t));
    l.sums = alula_attention_take(&at, ALULA_ATTENTION_QUERIES * l.values * sizeof(int32_t));
    l.bytes = at;
    return l;
}

// The same for AVX-512 VNNI, which works on bytes.
enum { ALULA_ATTENTION_VNNI_QUERIES = 8 };
typedef struct {
    size_t keys, values;              // padded tokens_k and value_dim: multiples of 16
    size_t key_panel, value_panel, key_terms, scores, weights, sums;   // byte offsets, multiples of 64
    size_t bytes;
} alula_attention_vnni_layout;

ALULA_INLINE alula_attention_vnni_layout alula_attention_vnni_layout_of(const alula_attention_shape *s) {
    alula_attention_vnni_layout l;
    size_t at = 0;
    l.keys = alula_round_up((size_t)s->tokens_k, 16);
    l.values = alula_round_up((size_t)s->value_dim, 16);
    l.key_panel = alula_attention_take(&at, alula_round_up((size_t)s->key_dim, 4) * l.keys);
    l.value_panel = alula_attention_take(&at, alula_round_up((size_t)s->tokens_k, 4) * l.values);
    l.key_terms = alula_attention_take(&at, l.keys * sizeof(int32_t));
    l.scores = alula_attention_take(&at, ALULA_ATTENTION_VNNI_QUERIES * l.keys * sizeof(int32_t));
    l.weights = alula_attention_take(&at, ALULA_ATTENTION_VNNI_QUERIES * l.keys);
    l.sums = alula_attention_take(&at, ALULA_ATTENTION_VNNI_QUERIES * l.values * sizeof(int32_t));
    l.bytes = at;
    return l;
}

ALULA_INLINE alula_attention_layout alula_attention_f32_layout(const alula_attention_shape *s) {
    alula_attention_layout l = {0};
    size_t at = 0;
    l.keys = alula_round_up((size_t)s->tokens_k, 16);
    l.values = alula_round_up((size_t)s->value_dim, 16);
    l.key_panel = alula_attention_take(&at, (size_t)s->key_dim * l.keys * sizeof(float));
    l.scores = alula_attention_take(&at, ALULA_ATTENTION_QUERIES * l.keys * sizeof(float));
    l.bytes = at;
    return l;
}

// Where an item's (batch, head) begins in a tensor of the given token and head strides.
ALULA_INLINE size_t alula_attention_start(const alula_attention_shape *s, size_t item, int32_t tokens, int32_t stride, int32_t head) {
    size_t heads = (size_t)s->heads;
    return item / heads * (size_t)tokens * (size_t)stride + item % heads * (size_t)head;
}

// The item's bias, [tokens_q][tokens_k], or NULL.
ALULA_INLINE const float *alula_attention_bias(const alula_attention_shape *s, size_t item) {
    if (!s->bias) return 0;
    size_t heads = (size_t)s->heads, bias_heads = (size_t)s->bias_heads;
    size_t batch = s->bias_batch > 1 ? item / heads % (size_t)s->bias_batch : 0;
    size_t head = bias_heads > 1 ? item % heads : 0;
    return s->bias + (batch * bias_heads + head) * (size_t)s->tokens_q * (size_t)s->tokens_k;
}
