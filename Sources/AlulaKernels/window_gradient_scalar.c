#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#define ALULA_SUFFIX _scalar
#include "window_gradient_body.h"

size_t alula_attention_gradient_f32_scratch(const alula_attention_gradient_f32_args *args) {
    const alula_attention_shape *s = &args->shape;
    const size_t depth = (size_t)(s->key_dim > s->value_dim ? s->key_dim : s->value_dim);
    return ((depth + (size_t)s->tokens_q) * alula_round_up((size_t)s->tokens_k, LANES) + 2 * LANES) * sizeof(float);
}
