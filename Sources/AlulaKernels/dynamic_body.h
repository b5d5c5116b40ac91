// Families range_f32, dynamic_quantize, dynamic_layer. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "requantize.h"

enum { RANGE_LANES = 16 };

// Comparisons with NaN are false, so it changes nothing; the order of the elements does not matter.
static void range_of(const float *x, size_t n, float *range) {
    float low[RANGE_LANES] = {0}, high[RANGE_LANES] = {0};
    size_t whole = n / RANGE_LANES * RANGE_LANES;
    for (size_t i = 0; i < whole; i += RANGE_LANES) {
        for (size_t l = 0; l < RANGE_LANES; l++) {
            low[l] = x[i + l] < low[l] ? x[i + l] : low[l];
            high[l] = x[i + l] > high[l] ? x[i + l] : high[l];
        }
    }
    for (size_t l = 0; l < n - whole; l++) {
        low[l] = x[whole + l] < low[l] ? x[whole + l] : low[l];
        high[l] = x[whole + l] > high[l] ? x[whole + l] : high[l];
    }
    for (size_t l = 1; l < RANGE_LANES; l++) {
        low[0] = low[l] < low[0] ? low[l] : low[0];
        high[0] = high[l] > high[0] ? high[l] : high[0];
    }
    range[0] = low[0];
    range[1] = high[0];
}

void ALULA_SYMBOL(range_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_range_f32_args *p = args;
    for (size_t block = begin; block < end; block++) {
        size_t first = block * ALULA_RANGE_BLOCK;
        range_of(p->input + first, alula_min_size(ALULA_RANGE_BLOCK, p->count - first), p->ranges + 2 * block);
    }
}

void ALULA_SYMBOL(dynamic_quantize)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_dynamic_quantize_args *p = args;
    float low = 0.0f, high = 0.0f;
    for (int32_t block = 0; block < p->blocks; block++) {
        low = p->ranges[2 * block] < low ? p->ranges[2 * block] : low;
        high = p->ranges[2 * block + 1] > high ? p->ranges[2 * block + 1] : high;
    }
    float scale = high > low ? (high - low) / 255.0f : 1.0f;
    // A range of denormal numbers may have no step.
    scale = scale > 0.0f ? scale : 1.0f;
    float start = -low / scale;
    start = start > 0.0f ? start : 0.0f;    // 0 for NaN, of infinite numbers
    int32_t zero = alula_rne_small(start < 255.0f ? start : 255.0f);
    if (begin == 0) {
        *p->scale = scale;
        *p->zero = (float)zero;
    }
    const float *in = p->input;
    uint8_t *out = p->output;
    ALULA_VECTORIZE for (size_t i = begin; i < end; i++) {
        float t = in[i] / scale;
        t = t == t ? t : 0.0f;
        out[i] = alula_requantize(t, zero, 0, 255);
    }
}

void ALULA_SYMBOL(dynamic_layer)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    if (begin >= end) return;
    const alula_dynamic_layer_args *p = args;
    // Whoever computed it: only a zero point that u8 has keeps the sums within i32.
    float limited = *p->zero > 0.0f ? *p->zero : 0.0f;
    int32_t zero = alula_rne_small(limited < 255.0f ? limited : 255.0f);
    float scale = p->scale ? *p->scale : 1.0f;
    for (int32_t c = 0; c < p->count; c++) {
        p->bias_result[c] = -zero * p->sums[c];
        p->multiplier_result[c] = scale * p->multiplier[c];
    }
    for (int32_t i = 0; i < p->pad_bytes; i++) p->pad_row[i] = (uint8_t)zero;
}
