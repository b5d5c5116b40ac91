#include "kernels_internal.h"
#include "x86.h"

#if defined(__x86_64__)
// 16 rows of 16 entries. Subtracting 16 from the byte before each row moves row r's bytes to 0...15 at step r; vpshufb gives 0 where bit 7 is
// set, so bytes are first made to saturate: x - 16 r + 112 lies in 112...127 for this row's bytes only, and the low four bits select.
ALULA_TARGET_AVX2 static inline __m256i look_up(__m256i x, const __m256i *rows) {
    __m256i sum = _mm256_setzero_si256();
    for (int r = 0; r < 16; r++) {
        __m256i offset = _mm256_sub_epi8(x, _mm256_set1_epi8((char)(16 * r)));     // 0...15 for this row, 16...255 for others
        __m256i index = _mm256_adds_epu8(offset, _mm256_set1_epi8(112));            // others: bit 7 set, so vpshufb gives 0
        sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(rows[r], index));
    }
    return sum;
}

ALULA_TARGET_AVX2 void alula_table_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_table_u8_args *p = args;
    const uint8_t *in = p->input, *table = p->table;
    uint8_t *out = p->output;
    __m256i rows[16];
    for (int r = 0; r < 16; r++) rows[r] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * r)));
    size_t i = begin;
    for (; i + 32 <= end; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(in + i));
        _mm256_storeu_si256((__m256i *)(out + i), look_up(x, rows));
    }
    for (; i < end; i++) out[i] = table[in[i]];
}
#endif
