#include "kernels_internal.h"
#include "x86.h"

#if defined(__x86_64__)
// Two vpermi2b of 128 entries each; bit 7 chooses between them.
ALULA_TARGET_AVX512VNNI void alula_table_u8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_table_u8_args *p = args;
    const uint8_t *in = p->input, *table = p->table;
    uint8_t *out = p->output;
    __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
    __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
    size_t i = begin;
    for (; i + 64 <= end; i += 64) {
        __m512i x = _mm512_loadu_si512(in + i);
        __m512i low = _mm512_permutex2var_epi8(t0, x, t1), high = _mm512_permutex2var_epi8(t2, x, t3);
        _mm512_storeu_si512(out + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high));
    }
    for (; i < end; i++) out[i] = table[in[i]];
}
#endif
