// The transpose of a plane of bytes, in 16 x 16 tiles, for the copy family.
#pragma once
#include "instruction_set.h"
#include "x86.h"

// out[r * out_stride + c] = in[c * in_stride + r] for 16 rows and columns. Each step interleaves the vectors of the lower and upper half, which
// after four steps is the transpose.
static void alula_transpose_u8_16x16(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t out_stride) {
    __m128i a[16], b[16];
    for (int64_t c = 0; c < 16; c++) a[c] = _mm_loadu_si128((const __m128i *)(in + c * in_stride));
    for (int step = 0; step < 4; step++) {
        for (int l = 0; l < 8; l++) {
            b[2 * l] = _mm_unpacklo_epi8(a[l], a[l + 8]);
            b[2 * l + 1] = _mm_unpackhi_epi8(a[l], a[l + 8]);
        }
        for (int l = 0; l < 16; l++) a[l] = b[l];
    }
    for (int64_t r = 0; r < 16; r++) _mm_storeu_si128((__m128i *)(out + r * out_stride), a[r]);
}
