#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#define ALULA_SUFFIX _scalar
#include "attention_u8_body.h"

size_t alula_attention_u8_scratch(const alula_attention_u8_args *args) { return alula_attention_u8_layout(&args->shape).bytes; }
