#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#define ALULA_SUFFIX _scalar
#include "attention_f32_body.h"

size_t alula_attention_f32_scratch(const alula_attention_f32_args *args) { return alula_attention_f32_layout(&args->shape).bytes; }
