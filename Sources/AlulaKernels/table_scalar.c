#include "kernels_internal.h"

void alula_table_u8_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_table_u8_args *p = args;
    const uint8_t *in = p->input, *table = p->table;
    uint8_t *out = p->output;
    for (size_t i = begin; i < end; i++) out[i] = table[in[i]];
}
