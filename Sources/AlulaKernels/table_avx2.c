#include "kernels_internal.h"
#include "x86.h"

#if defined(__x86_64__)
// vpshufb looks up 16 entries and gives 0 where the index has bit 7 set. Of a half table (8 rows of 16), row r holds the exclusive or of the
// rows r and r - 1; a byte of row n takes part in the steps 0...n, which leave row n's entry. The subtraction saturates, so that bytes of
// the other half (negative ones) stay out.
enum { HALF = 8 };

ALULA_TARGET_AVX2 static inline __attribute__((always_inline)) __m256i look_up_half(__m256i x, const __m256i *rows, __m256i sum) {
    for (int r = 0; r < HALF; r++) {
        sum = _mm256_xor_si256(sum, _mm256_shuffle_epi8(rows[r], x));
        x = _mm256_subs_epi8(x, _mm256_set1_epi8(16));
    }
    return sum;
}

ALULA_TARGET_AVX2 void alula_table_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_table_u8_args *p = args;
    const uint8_t *in = p->input, *table = p->table;
    uint8_t *out = p->output;
    __m256i rows[2 * HALF], previous = _mm256_setzero_si256();
    for (int r = 0; r < 2 * HALF; r++) {
        __m256i row = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * r)));
        rows[r] = r % HALF == 0 ? row : _mm256_xor_si256(row, previous);
        previous = row;
    }
    __m256i flip = _mm256_set1_epi8((char)0x80);
    size_t i = begin;
    for (; i + 64 <= end; i += 64) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(in + i)), y = _mm256_loadu_si256((const __m256i *)(in + i + 32));
        __m256i a = look_up_half(x, rows, _mm256_setzero_si256()), b = look_up_half(y, rows, _mm256_setzero_si256());
        a = look_up_half(_mm256_xor_si256(x, flip), rows + HALF, a);
        b = look_up_half(_mm256_xor_si256(y, flip), rows + HALF, b);
        _mm256_storeu_si256((__m256i *)(out + i), a);
        _mm256_storeu_si256((__m256i *)(out + i + 32), b);
    }
    for (; i < end; i++) out[i] = table[in[i]];
}
#endif
