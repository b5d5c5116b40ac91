#include "kernels_internal.h"
#include "neon_internal.h"

#if ALULA_ARM64
// The whole table stays in 16 registers.
void alula_table_u8_neon(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_table_u8_args *p = args;
    const uint8_t *in = p->input;
    uint8_t *out = p->output;
    const alula_neon_table table = alula_neon_load_table(p->table);
    size_t i = begin;
    for (; i + 16 <= end; i += 16) vst1q_u8(out + i, alula_neon_lookup(&table, vld1q_u8(in + i)));
    for (; i < end; i++) out[i] = p->table[in[i]];
}
#endif
