// The 3x3 mixer, 16 channels at a time along a row: each new column of three bytes is summed once and used by three pixels.
#pragma STDC FP_CONTRACT OFF
#include "kernels_internal.h"
#include "requantize_avx2.h"

#if defined(__x86_64__)
// The factors of sixteen channels, and what the count of taps decides.
typedef struct {
    alula_split_f32 center, average;
    __m256 zero_in, inverse, offset;
    __m256i zero;
} mixer;

ALULA_AVX2_INLINE void count_taps(mixer *m, int32_t count, int32_t zero_in) {
    m->inverse = _mm256_set1_ps(1.0f / (float)count);
    m->offset = alula_offset_f32(count * zero_in);
}

ALULA_AVX2_INLINE __m128i mix(const mixer *m, __m256i pixel, __m256i taps) {
    alula_split_f32 middle = alula_split_f32_of_u16(pixel, m->zero_in), sum = alula_split_f32_of_u16(taps, m->offset);
    __m256 average0 = _mm256_mul_ps(_mm256_mul_ps(sum.first, m->inverse), m->average.first);
    __m256 average1 = _mm256_mul_ps(_mm256_mul_ps(sum.second, m->inverse), m->average.second);
    alula_split_f32 t = {_mm256_add_ps(_mm256_mul_ps(middle.first, m->center.first), average0),
                         _mm256_add_ps(_mm256_mul_ps(middle.second, m->center.second), average1)};
    return alula_requantize_split(t, m->zero);
}

// The sum of a column of bytes; above and below say whether those rows exist.
ALULA_AVX2_INLINE __m256i column(const uint8_t *in, size_t line, bool above, bool below, __m256i pixel) {
    __m256i sum = pixel;
    if (above) sum = _mm256_add_epi16(sum, alula_u16_of_16_bytes(in - line));
    if (below) sum = _mm256_add_epi16(sum, alula_u16_of_16_bytes(in + line));
    return sum;
}

// One row of 16 channels, of which `count` are stored.
ALULA_AVX2_INLINE void mix_row(const alula_pool_mixer_u8_args *p, const uint8_t *in, uint8_t *out, size_t channel, size_t count, bool above,
                               bool below) {
    size_t c = (size_t)p->c, w = (size_t)p->w, line = w * c;
    int32_t rows = 1 + above + below, zero_in = p->zero_in;
    mixer m = {.center = alula_load_split(p->center + channel), .average = alula_load_split(p->average + channel),
               .zero_in = alula_offset_f32(zero_in), .zero = _mm256_set1_epi16((int16_t)p->zero)};
    __m256i pixel = alula_u16_of_16_bytes(in), here = column(in, line, above, below, pixel);
    if (w == 1) {
        count_taps(&m, rows, zero_in);
        alula_store_bytes(out, mix(&m, pixel, here), count);
        return;
    }
    __m256i next_pixel = alula_u16_of_16_bytes(in + c), next = column(in + c, line, above, below, next_pixel), both = _mm256_add_epi16(here, next);
    count_taps(&m, 2 * rows, zero_in);
    alula_store_bytes(out, mix(&m, pixel, both), count);
    count_taps(&m, 3 * rows, zero_in);
    for (size_t x = 1; x + 1 < w; x++) {                     // both holds the columns x - 1 and x
        in += c, out += c;
        pixel = next_pixel;
        next_pixel = alula_u16_of_16_bytes(in + c);
        here = next;
        next = column(in + c, line, above, below, next_pixel);
        alula_store_bytes(out, mix(&m, pixel, _mm256_add_epi16(both, next)), count);
        both = _mm256_add_epi16(here, next);
    }
    count_taps(&m, 2 * rows, zero_in);
    alula_store_bytes(out + c, mix(&m, next_pixel, both), count);
}

ALULA_AVX2_INLINE void mix_channels(const alula_pool_mixer_u8_args *p, size_t row, bool above, bool below) {
    size_t c = (size_t)p->c, start = row * (size_t)p->w * c, channel = 0;
    for (; channel + 16 <= c; channel += 16) mix_row(p, p->input + start + channel, p->output + start + channel, channel, 16, above, below);
    if (channel < c) mix_row(p, p->input + start + channel, p->output + start + channel, channel, c - channel, above, below);
}

ALULA_TARGET_AVX2 void alula_pool_mixer_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_pool_mixer_u8_args *p = args;
    if (p->size != 3) {
        alula_pool_mixer_u8_scalar(args, begin, end, scratch);
        return;
    }
    size_t h = (size_t)p->h;
    for (size_t row = begin; row < end; row++) {
        bool above = row % h > 0, below = row % h + 1 < h;
        if (above && below) mix_channels(p, row, true, true);
        else if (above) mix_channels(p, row, true, false);
        else if (below) mix_channels(p, row, false, true);
        else mix_channels(p, row, false, false);
    }
}
#endif
