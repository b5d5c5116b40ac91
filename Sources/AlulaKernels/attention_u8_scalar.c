#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#define ALULA_SUFFIX _scalar
#include "attention_u8_body.h"

// The same for all instruction sets: enough for each.
size_t alula_attention_u8_scratch(const alula_attention_u8_args *args) {
    size_t general = alula_attention_u8_layout(&args->shape).bytes, vnni = alula_attention_vnni_layout_of(&args->shape).bytes;
    return general > vnni ? general : vnni;
}
